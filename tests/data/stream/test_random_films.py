import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from tests.data.stream.test_augmentation import blob_case
from xctrs_tf.data.dataset import network_arrays
from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.data.projection.array_projection import project_array
from xctrs_tf.data.projection.attenuation import attenuation
from xctrs_tf.data.projection.projection_geometry import ProjectionGeometry
from xctrs_tf.data.stream import film_appearance, random_films
from xctrs_tf.data.stream.augmentation import (
    augmentation_shares,
    augmented_arrays,
    check_projection,
)
from xctrs_tf.data.volumes.intensity import AIR_HU, denormalise_hu
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VIEWS

STILL = {
    "SOURCE_MM": (1e7, 1e7),
    "POSE_DEG": 0.0,
    "POSE_SHARE": 0.0,
    "FILM_DEG": 0.0,
    "FILM_MM": 0.0,
    "FILM_SCALE": 0.0,
    "BONE_CONTRAST": (1.0, 1.0),
}


@pytest.fixture
def still(monkeypatch):
    """Switch off every change; films are line integrals of almost parallel rays."""
    for name, value in STILL.items():
        monkeypatch.setattr(random_films, name, value)
    monkeypatch.setattr(random_films, "random_appearance", lambda film, spacing_mm, rng: film)
    return monkeypatch


def draw(case, seed=0):
    return random_films.random_films(case, np.random.default_rng(seed))


def test_without_changes_the_films_are_those_of_the_folder(still):
    case = blob_case()
    arrays = draw(case)
    for name, expected in network_arrays(case).items():
        np.testing.assert_allclose(arrays[name], expected, atol=2e-4)
        assert arrays[name].dtype == expected.dtype and arrays[name].shape == expected.shape


def test_ct_labels_and_films_move_together(still):
    still.setattr(random_films, "POSE_DEG", 8.0)
    still.setattr(random_films, "POSE_SHARE", 0.1)
    for seed in range(5):
        arrays = draw(blob_case(), seed)
        place = np.array(ndimage.center_of_mass(denormalise_hu(arrays["ct"][..., 0]) - AIR_HU))
        seen = ndimage.center_of_mass(arrays["segmentation"] > 0)
        np.testing.assert_allclose(seen, place, atol=0.3)
        assert np.linalg.norm(place - (9, 14, 10)) > 0.3
        for view, axes in (("ap", (0, 2)), ("la", (1, 2))):
            film = ndimage.center_of_mass(arrays[view][..., 0])
            np.testing.assert_allclose(film, place[list(axes)], atol=0.3)


@pytest.mark.parametrize("change", ["FILM_MM", "FILM_DEG"])
def test_each_film_differs_from_the_pose_of_the_ct(still, change):
    case = blob_case()
    # In mm, or in degrees about an axis that is at most 11 mm away.
    still.setattr(random_films, change, 4.0)
    for seed in range(5):
        arrays = draw(case, seed)
        np.testing.assert_allclose(arrays["ct"], network_arrays(case)["ct"], atol=1e-6)
        away = [
            2.0 * (np.array(ndimage.center_of_mass(arrays[view][..., 0])) - place)
            for view, place in (("ap", (9, 10)), ("la", (14, 10)))
        ]
        assert np.abs(away).max() <= 4.2 and np.abs(np.subtract(*away)).max() > 0.1


def test_a_mirrored_patient_is_mirrored_before_the_cone_sees_it(still):
    still.setattr(random_films, "SOURCE_MM", (150.0, 150.0))
    case = blob_case()
    index = next(
        index for index in range(20) if np.random.default_rng([0, index, 1]).random() < 0.5
    )
    arrays = augmented_arrays(case, ("mirror", "films"), 0, index)
    ct = case.ct[::-1]
    np.testing.assert_array_equal(arrays["segmentation"], case.segmentation[::-1])
    np.testing.assert_allclose(denormalise_hu(arrays["ct"][..., 0]), ct, atol=0.1)
    films, plain = (
        {
            view: normalise_film(
                project_array(
                    attenuation(volume), (2.0,) * 3, (-23.0,) * 3, view, (24, 24), 2.0, 150.0
                )
            )
            for view in VIEWS
        }
        for volume in (ct, case.ct)
    )
    for view in VIEWS:
        np.testing.assert_allclose(arrays[view][..., 0], films[view], atol=1e-4)
    # The mirror image of the cone's film is another one.
    assert np.abs(plain["la"] - films["la"]).max() > 0.05


def test_the_scan_is_projected_where_it_is_known(still):
    case = blob_case()
    # A second ball behind the frame: on the AP film alone.
    scan = np.full((30, 40, 24), AIR_HU, np.int16)
    scan[4:28, 2:26] = case.ct
    scan[22:26, 34:38, 18:22] = 1400
    known = dataclasses.replace(case, scan=scan, scan_start=(-4, -2, 0))
    arrays, crop = draw(known), draw(case)
    np.testing.assert_array_equal(arrays["ct"], crop["ct"])
    assert arrays["ap"][19, 19, 0] > 0.2 > crop["ap"][19, 19, 0]
    np.testing.assert_allclose(arrays["la"], crop["la"], atol=1e-5)
    twice = random_films.mirrored_case(random_films.mirrored_case(known))
    assert twice.scan_start == known.scan_start
    np.testing.assert_array_equal(twice.scan, scan)
    mirrored = draw(random_films.mirrored_case(known))
    np.testing.assert_allclose(mirrored["ap"], arrays["ap"][::-1], atol=1e-4)


def test_samples_are_functions_of_seed_and_index():
    case = blob_case()
    names = ("mirror", "films", "histogram")
    first, again, other = (augmented_arrays(case, names, 3, index) for index in (8, 8, 9))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
        assert np.any(array != other[name])
    for view in VIEWS:
        assert first[view].dtype == np.float32 and first[view].shape == (24, 24, 1)


def test_appearances_stay_films():
    case = blob_case(32)
    spread = []
    for seed in range(60):
        film = film_appearance.random_appearance(case.ap, 2.0, np.random.default_rng(seed))
        assert film.dtype == np.float32 and film.shape == (32, 32)
        assert film.min() >= 0 and film.max() <= 1
        spread.append(film.std())
    assert min(spread) > 0.02 and np.std(spread) > 0.02


def test_a_film_that_nothing_passes_is_exposed_too():
    thick = np.full((16, 16), 60.0)
    thick[4:9] = 90.0
    film = film_appearance.random_appearance(thick, 2.0, np.random.default_rng(0))
    assert np.isfinite(film).all()


def test_films_of_any_folder_are_made_anew_but_not_in_two_poses():
    cone = ProjectionGeometry.preset("clinical").to_json()
    turned = cone | {"pose_rotation_deg": 4.0, "photons": 1000.0}
    check_projection(augmentation_shares(("mirror", "films")), turned)
    with pytest.raises(UserError, match="leave pose out"):
        check_projection(augmentation_shares(("pose", "films")), {"geometry": "parallel"})
    # Half of the samples keep the folder's films, which a mirror image does not fit.
    check_projection(augmentation_shares(("pose", "films:0.5")), {"geometry": "parallel"})
    with pytest.raises(UserError, match="augment mirror: with a cone beam the LA film"):
        check_projection(augmentation_shares(("mirror", "films:0.5")), turned)


def test_films_of_a_share_of_the_samples():
    case = blob_case()
    indices = range(40)
    new = [augmented_arrays(case, ("mirror", "films"), 2, index) for index in indices]
    moved = [augmented_arrays(case, ("mirror", "pose"), 2, index) for index in indices]
    mixed = [augmented_arrays(case, ("mirror", "pose", "films:0.25"), 2, i) for i in indices]
    as_films = [np.array_equal(a["ap"], b["ap"]) for a, b in zip(mixed, new, strict=True)]
    as_pose = [np.array_equal(a["ap"], b["ap"]) for a, b in zip(mixed, moved, strict=True)]
    assert [not films for films in as_films] == as_pose
    assert 4 <= sum(as_films) <= 17  # Four standard deviations about 10.
