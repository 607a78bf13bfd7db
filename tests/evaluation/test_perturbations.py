import dataclasses

import numpy as np
import pytest

from tests.data.cases import make_case
from xctrs_tf.data.dataset import network_arrays
from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.data.projection.projection_geometry import ProjectionGeometry
from xctrs_tf.data.volumes.volume import Volume
from xctrs_tf.evaluation.perturbations import PERTURBATIONS, perturbed_arrays, project_case

SIZE, SPACING_MM = 32, 4.0


@pytest.fixture
def case():
    """Case with a box at the right, anterior and inferior side; its edges differ in length."""
    ct = np.full((SIZE,) * 3, -1000, np.int16)
    ct[6:12, 8:20, 5:15] = 300
    ct[20:23, 12:15, 18:24] = 900
    bare = dataclasses.replace(
        make_case("p", 0, SIZE), ct=ct, spacing_mm=SPACING_MM, origin_mm=(-10.0, 20.0, 30.0)
    )
    return dataclasses.replace(bare, **project_case(bare, ProjectionGeometry()))


def films(case, name, severity, seed=0, scan=None):
    arrays = perturbed_arrays(case, network_arrays(case), name, severity, seed, scan)
    return {view: arrays[view][..., 0] for view in ("ap", "la")}


def difference(case, name, severity, **options):
    plain = {view: normalise_film(getattr(case, view)) for view in ("ap", "la")}
    changed = films(case, name, severity, **options)
    return {view: np.abs(changed[view] - plain[view]).mean() for view in plain}


@pytest.mark.parametrize(
    "name", [name for name, each in PERTURBATIONS.items() if len(each.severities) > 1]
)
def test_difference_grows_with_severity_and_depends_on_the_seed(case, name):
    severities = PERTURBATIONS[name].severities
    first, *_, last = (difference(case, name, severity)["la"] for severity in severities)
    assert 0 < first < last
    again = films(case, name, severities[-1])
    assert all(np.array_equal(again[v], films(case, name, severities[-1])[v]) for v in again)
    # The sign of a change in exposure is random, so one other seed may give the same.
    others = [films(case, name, severities[-1], seed=seed)["la"] for seed in range(1, 9)]
    assert any(not np.array_equal(again["la"], other) for other in others) == (
        name not in ("cone", "contrast")
    )


def test_nothing_but_the_films_changes(case):
    arrays = network_arrays(case)
    changed = perturbed_arrays(case, arrays, "rotation", 5, 0)
    assert changed["ct"] is arrays["ct"]
    assert changed["segmentation"] is arrays["segmentation"]
    assert changed["ap"].shape == (SIZE, SIZE, 1)


def test_movement_changes_the_la_film_only(case):
    assert difference(case, "movement", 5)["ap"] == 0
    assert difference(case, "movement", 5)["la"] > 0


def test_translation_has_its_length_in_both_films(case):
    """Measure the shift of the box centre: x and z on AP, y and z on LA."""
    one = dataclasses.replace(case, ct=np.where(case.ct == 300, case.ct, -1000).astype(np.int16))
    one = dataclasses.replace(one, **project_case(one, ProjectionGeometry()))

    def middle(film):
        weight = film - film.min()
        axes = np.indices(film.shape)
        return (axes * weight).sum((1, 2)) / weight.sum() * SPACING_MM

    moved = perturbed_arrays(one, network_arrays(one), "translation", 10, 0)
    shift = {
        view: middle(moved[view][..., 0]) - middle(normalise_film(getattr(one, view)))
        for view in ("ap", "la")
    }
    assert shift["ap"][1] == pytest.approx(shift["la"][1], abs=0.2)
    length = np.linalg.norm([shift["ap"][0], shift["la"][0], shift["ap"][1]])
    assert length == pytest.approx(10, abs=0.3)


def test_swapped_films_are_swapped(case):
    swapped = films(case, "swapped", 1)
    assert np.array_equal(swapped["ap"], normalise_film(case.la))
    assert np.array_equal(swapped["la"], normalise_film(case.ap))


def test_full_field_of_view_shows_what_lies_outside_the_crop(case):
    """Put the crop in a scan of three times its depth, with a rod behind the crop."""
    array = np.full((SIZE, 3 * SIZE, SIZE), -1000, np.int16)
    array[:, SIZE : 2 * SIZE] = case.ct
    origin_mm = (-10.0, 20.0 - SIZE * SPACING_MM, 30.0)
    empty = films(case, "full", 1, scan=Volume(array, (SPACING_MM,) * 3, origin_mm))
    plain = films(case, "exposure", 0)
    assert np.allclose(empty["ap"], plain["ap"], atol=1e-5)
    array[14:18, 2 * SIZE + 5, 25:28] = 1000
    rod = films(case, "full", 1, scan=Volume(array, (SPACING_MM,) * 3, origin_mm))
    assert rod["ap"][16, 26] > plain["ap"][16, 26] + 0.1
    assert np.allclose(rod["la"], empty["la"], atol=1e-5)


def test_exposure_is_a_power_of_two(case):
    plain, changed = normalise_film(case.la), films(case, "exposure", 1)["la"]
    assert np.allclose(changed, plain**2, atol=1e-6) or np.allclose(changed, plain**0.5, atol=1e-6)
