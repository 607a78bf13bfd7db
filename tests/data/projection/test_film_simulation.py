import json

import numpy as np
import pytest

from xctrs_tf.data.projection.drr import films_of
from xctrs_tf.data.projection.film_effects import film_effects
from xctrs_tf.data.projection.film_simulation import FilmSimulation
from xctrs_tf.data.projection.projection_geometry import ProjectionGeometry, VolumeFrame
from xctrs_tf.data.volumes.volume import Volume
from xctrs_tf.errors import UserError

FRAME = VolumeFrame(12, 2.0, (-20.0, 5.0, 30.0))
EFFECTS = {
    "photons": 500.0,
    "scatter_fraction": 0.3,
    "scatter_width_mm": 8.0,
    "blur_mm": 1.6,
    "gamma": 2.0,
}


@pytest.fixture
def scan():
    array = np.random.default_rng(0).integers(-1000, 1500, (12,) * 3, np.int16)
    return Volume(array, (2.0,) * 3, FRAME.origin_mm)


def test_by_default_the_films_are_the_line_integrals_to_the_bit(scan):
    scan.array[:, :3] = scan.array[9:] = -1000
    films = FilmSimulation().films("a", scan, FRAME)
    for view, expected in films_of(scan, FRAME, ProjectionGeometry()).items():
        assert films[view].tobytes() == expected.tobytes()


def test_poses_depend_on_patient_and_seed():
    simulation = FilmSimulation(pose_rotation_deg=5, pose_translation_mm=7)
    pose = simulation.geometry_of("a")
    assert pose == simulation.geometry_of("a")
    assert pose != simulation.geometry_of("b")
    assert pose != FilmSimulation(seed=1, pose_rotation_deg=5, pose_translation_mm=7).geometry_of(
        "a"
    )
    # Noise and poses have separate random generators.
    assert pose == FilmSimulation(
        pose_rotation_deg=5, pose_translation_mm=7, photons=10
    ).geometry_of("a")
    turns, shifts = (
        np.abs([getattr(simulation.geometry_of(f"p{i}"), name) for i in range(200)])
        for name in ("rotation_deg", "translation_mm")
    )
    assert 4.5 < turns.max() <= 5 and 6.5 < shifts.max() <= 7


def test_differences_of_films():
    plain, cone = FilmSimulation(), FilmSimulation(ProjectionGeometry.preset("clinical"))
    assert plain.differences(FilmSimulation(seed=3)) == []
    assert cone.differences(plain) == [
        "kind cone instead of parallel",
        "source_to_isocentre_mm 1500 instead of none",
        "source_to_detector_mm 1800 instead of none",
    ]
    noisy = FilmSimulation(ProjectionGeometry(field_of_view="full"), photons=20000.0)
    assert plain.differences(noisy) == [
        "field_of_view crop instead of full",
        "photons none instead of 20000",
    ]


def test_each_jitter_works_alone():
    geometry = ProjectionGeometry("cone", "full", 541.0, 949.0)
    turned = FilmSimulation(geometry, pose_rotation_deg=5).geometry_of("a")
    assert any(turned.rotation_deg) and not any(turned.translation_mm)
    moved = FilmSimulation(geometry, pose_translation_mm=5).geometry_of("a")
    assert any(moved.translation_mm) and not any(moved.rotation_deg)
    assert (turned.kind, turned.field_of_view) == ("cone", "full")
    assert FilmSimulation(geometry).geometry_of("a") is geometry


def test_effects_in_mm_are_those_in_the_films_pixels(scan):
    clean = films_of(scan, FRAME, ProjectionGeometry())
    films = FilmSimulation(seed=3, **EFFECTS).films("ä", scan, FRAME)
    for view, stream in (("ap", 1), ("la", 2)):
        expected = film_effects(
            clean[view],
            # The seed, the number of the view, and the patient id in UTF-8.
            [3, stream, 0xC3, 0xA4],
            photons=500.0,
            scatter_fraction=0.3,
            scatter_width_pixels=4.0,
            blur_pixels=0.8,
            gamma=2.0,
        )
        np.testing.assert_array_equal(films[view], expected)


@pytest.mark.parametrize(
    "effect",
    [
        {"photons": 500},
        {"scatter_fraction": 0.3, "scatter_width_mm": 8},
        {"blur_mm": 1.6},
        {"gamma": 2},
    ],
)
def test_each_effect_works_alone(scan, effect):
    clean = films_of(scan, FRAME, ProjectionGeometry())
    films = FilmSimulation(**effect).films("a", scan, FRAME)
    for view in ("ap", "la"):
        assert np.abs(films[view] - clean[view]).max() > 0.01


def test_noise_depends_on_patient_view_and_seed():
    flat = Volume(np.zeros((12,) * 3, np.int16), (2.0,) * 3, FRAME.origin_mm)

    def film(seed=0, patient="a", view="ap"):
        return FilmSimulation(seed=seed, photons=100.0).films(patient, flat, FRAME)[view]

    np.testing.assert_array_equal(film(), film())
    for other in (film(seed=1), film(patient="b"), film(view="la")):
        assert (other != film()).mean() > 0.5


def test_json_and_back():
    assert FilmSimulation(seed=4).to_json() == {"geometry": "parallel"}
    cone = ProjectionGeometry.preset("x2ct")
    assert FilmSimulation(cone).to_json() == cone.to_json()
    noisy = FilmSimulation(photons=1e4, pose_rotation_deg=2.0)
    assert noisy.to_json() == {
        **ProjectionGeometry().to_json(),
        "photons": 1e4,
        "pose_rotation_deg": 2.0,
    }
    for simulation in (
        FilmSimulation(),
        FilmSimulation(cone),
        noisy,
        FilmSimulation(cone, pose_translation_mm=3.0, **EFFECTS),
    ):
        record = json.loads(json.dumps(simulation.to_json()))
        assert FilmSimulation.from_json(record) == simulation
    with pytest.raises(UserError, match="projection: needs field_of_view, kind"):
        FilmSimulation.from_json({"photons": 1e4})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pose_rotation_deg": 16.0}, "--pose_rotation_deg=16: must be from 0 to 15"),
        ({"pose_translation_mm": -1.0}, "--pose_translation_mm=-1: must be from 0 to 50"),
        ({"photons": 0.0}, r"--photons=0: must be from 1 to 1e\+09"),
        ({"photons": np.nan}, "--photons=nan: must be from 1"),
        ({"scatter_fraction": 1.0, "scatter_width_mm": 9.0}, "--scatter_fraction=1: must be"),
        ({"scatter_fraction": 0.3}, "--scatter_fraction and --scatter_width_mm: give both or none"),
        ({"scatter_width_mm": 9.0}, "--scatter_fraction and --scatter_width_mm: give both or none"),
        ({"blur_mm": np.inf}, "--blur_mm=inf: must be from 0 to 20"),
        ({"gamma": 0.0}, r"--gamma=0: must be from 0\.1 to 20"),
    ],
)
def test_options_out_of_their_limits(options, message):
    with pytest.raises(UserError, match=message):
        FilmSimulation(**options)
