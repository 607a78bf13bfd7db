import re

import numpy as np
import pytest
from scipy import ndimage

from tests.data.cases import make_case
from xctrs_tf.data.dataset import Case, network_arrays
from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.data.projection.drr import hu_to_mu, parallel_projection
from xctrs_tf.data.stream.augmentation import (
    AUGMENTATIONS,
    OF_THE_SCAN,
    add_noise,
    augmentation_shares,
    augmented_arrays,
    enhance_contrast,
    mirror,
    move,
    randomise_histogram,
)
from xctrs_tf.data.stream.rigid_motion import euler_degrees
from xctrs_tf.data.volumes.intensity import denormalise_hu
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import rotation_matrix


def blob_case(size=24):
    """Return a case with a blurred ball of bone and its label, away from the centre."""
    x, y, z = np.indices((size,) * 3)
    distance = np.sqrt((x - 9.0) ** 2 + (y - 14.0) ** 2 + (z - 10.0) ** 2)
    ct = np.clip(1400 - 400 * distance, -1000, 1400).astype(np.int16)
    mu = hu_to_mu(ct)
    films = {view: np.asarray(parallel_projection(mu, 2.0, view)) for view in ("ap", "la")}
    return Case(
        "blob", ct, (distance < 4).astype(np.uint8), **films, spacing_mm=2.0, origin_mm=(0,) * 3
    )


class Fixed:
    """Stand-in for a random generator that returns given numbers."""

    def __init__(self, *draws):
        self.draws = list(draws)

    def uniform(self, low, high, count=None):
        return np.array(self.draws.pop(0))


def test_the_mirrored_ct_projects_to_the_mirrored_films():
    case = make_case("p0")
    ct = np.flip(case.ct, axis=0)
    mirrored = mirror({"ap": case.ap, "la": case.la, "ct": case.ct, "segmentation": case.ct})
    np.testing.assert_array_equal(mirrored["ct"], ct)
    np.testing.assert_array_equal(mirrored["segmentation"], ct)
    np.testing.assert_array_equal(mirrored["ap"], ct.sum(axis=1))
    np.testing.assert_array_equal(mirrored["la"], ct.sum(axis=0))


def test_grey_values_follow_a_random_rising_line():
    film = np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30)
    lines = [randomise_histogram(film, np.random.default_rng(seed)) for seed in range(300)]
    for line in lines[:20]:
        assert line.dtype == np.float32 and line.shape == film.shape
        assert line.flat[0] == 0 and line.flat[-1] == pytest.approx(1, abs=1e-6)
        assert np.all(np.diff(line.ravel()) >= 0)
    # Partial sums of a flat Dirichlet distribution have the mean k / 6. In the middle
    # their variance is that of Beta(3, 3), 1 / 28.
    middle = [np.interp(0.5, film.ravel(), line.ravel()) for line in lines]
    assert np.mean(middle) == pytest.approx(0.5, abs=4 * np.sqrt(1 / 28 / 300))
    assert np.var(middle) == pytest.approx(1 / 28, rel=0.3)


def test_noise_of_a_random_strength():
    film = np.full((64, 65), 0.5, np.float32)
    spread = [(add_noise(film, np.random.default_rng(seed)) - film).std() for seed in range(100)]
    assert max(spread) < 0.021 and max(spread) > 0.018 and min(spread) < 0.002
    assert np.mean(spread) == pytest.approx(0.01, rel=0.2)
    bright = add_noise(np.ones((8, 9), np.float32), np.random.default_rng(0))
    assert bright.max() == 1.0 and bright.dtype == np.float32


def test_local_contrast_is_enhanced_by_random_amounts():
    # Faint stripes on a steep slope.
    slope, stripes = np.meshgrid(np.linspace(0.1, 0.9, 64), np.arange(64) % 8 < 4, indexing="ij")
    film = (slope + 0.02 * stripes).astype(np.float32)[..., np.newaxis]

    def contrast(film):
        return np.abs(np.diff(film[..., 0], axis=1)).mean()

    changed = [enhance_contrast(film, np.random.default_rng(seed)) for seed in range(40)]
    gains = [contrast(each) / contrast(film) for each in changed]
    assert min(gains) > 0.9 and 1.5 < max(gains) < 20 and np.std(gains) > 0.2
    assert all(each.shape == film.shape and each.dtype == np.float32 for each in changed)
    assert min(each.min() for each in changed) >= 0 and max(each.max() for each in changed) <= 1


def test_films_are_equalized_after_they_were_changed():
    case = blob_case()
    changed = augmented_arrays(case, ("noise", "contrast"), 7, 5)
    equalized = augmented_arrays(case, ("noise", "contrast"), 7, 5, film_normalization="equalized")
    for view in ("ap", "la"):
        np.testing.assert_array_equal(equalized[view], normalise_film(changed[view], "equalized"))
    np.testing.assert_array_equal(equalized["ct"], changed["ct"])


def test_a_patient_that_does_not_move_stays():
    case = blob_case()
    arrays = move(case, Fixed([0.0] * 3, [0.0] * 3))
    for name, expected in network_arrays(case).items():
        np.testing.assert_allclose(arrays[name], expected, atol=1e-5)
        assert arrays[name].dtype == expected.dtype


def test_a_moved_patient_moves_in_ct_labels_and_films():
    # 1/12 of 24 voxels: by (2, -2, 4) voxels after a quarter turn about z, which
    # takes (9, 14, 10) to (11.5 - 2.5, 11.5 - 2.5, 10).
    arrays = move(blob_case(), Fixed([0.0, 0.0, 90.0], np.array([2, -2, 4]) / 24))
    place = (9.0 + 2, 9.0 - 2, 10.0 + 4)
    np.testing.assert_allclose(ndimage.center_of_mass(arrays["segmentation"]), place, atol=1e-6)
    np.testing.assert_allclose(np.unravel_index(arrays["ct"].argmax(), (24,) * 3), place, atol=1e-6)
    for view, expected in (("ap", (11, 14)), ("la", (7, 14))):
        bright = ndimage.center_of_mass(arrays[view][..., 0] > 0.95)
        np.testing.assert_allclose(bright, expected, atol=1e-6)


def test_the_films_of_a_moved_patient_are_those_of_its_ct():
    arrays = move(blob_case(), np.random.default_rng(3))
    mu = hu_to_mu(denormalise_hu(arrays["ct"][..., 0]))
    for view in ("ap", "la"):
        film = normalise_film(np.asarray(parallel_projection(mu, 2.0, view)))
        np.testing.assert_allclose(arrays[view][..., 0], film, atol=2e-3)


def test_moves_are_small():
    centres = []
    for seed in range(40):
        arrays = move(blob_case(), np.random.default_rng(seed))
        centres.append(ndimage.center_of_mass(arrays["segmentation"]))
    away = np.linalg.norm(np.array(centres) - (9, 14, 10), axis=1)
    # 3 % of 24 voxels along each axis, and 5 degrees about each at 3.8 voxels.
    assert 0.5 < away.max() < np.sqrt(3) * (0.72 + 3.8 * np.radians(5))


def test_each_augmentation_has_its_own_random_numbers():
    case = blob_case()
    names = tuple(name for name in AUGMENTATIONS if name not in OF_THE_SCAN)
    everything = augmented_arrays(case, names, 7, 5)
    posed = augmented_arrays(case, ("mirror", "pose"), 7, 5)
    np.testing.assert_array_equal(everything["ct"], posed["ct"])
    histogram = augmented_arrays(case, ("histogram",), 7, 5)
    rng = np.random.default_rng([7, 5, AUGMENTATIONS["histogram"]])
    expected = network_arrays(case)
    for view in ("ap", "la"):
        np.testing.assert_array_equal(histogram[view], randomise_histogram(expected[view], rng))
    np.testing.assert_array_equal(histogram["ct"], expected["ct"])
    again = augmented_arrays(case, names, 7, 5)
    for name, array in everything.items():
        np.testing.assert_array_equal(again[name], array)
    other = augmented_arrays(case, names, 7, 6)
    assert np.any(other["ap"] != everything["ap"])


def test_shares_of_the_samples():
    assert augmentation_shares(("mirror", "films:0.25", "pose")) == {
        "mirror": 0.5,
        "films": 0.25,
        "pose": 1.0,
    }
    for entries, message in (
        (("shear",), "augment 'shear': must be one of mirror"),
        (("pose", "pose:0.5"), "augment pose: named twice"),
        (("films:0",), "augment films:0: the share must be above 0"),
        (("films:1.5",), "augment films:1.5: the share must be above 0 and at most 1"),
        (("films:nan",), "augment films:nan: the share"),
        (("films:half",), "augment films:half: the share"),
    ):
        with pytest.raises(UserError, match=re.escape(message)):
            augmentation_shares(entries)


def test_the_rotations_axes_and_signs():
    # About z, x goes to y; about x, y to z; about y, z to x.
    for axis, (source, target) in enumerate([(1, 2), (2, 0), (0, 1)]):
        turn = np.zeros(3)
        turn[axis] = 90
        moved = rotation_matrix(turn) @ np.eye(3)[source]
        np.testing.assert_allclose(moved, np.eye(3)[target], atol=1e-12)
    degrees = (3.0, -7.0, 11.0)
    np.testing.assert_allclose(euler_degrees(rotation_matrix(degrees)), degrees)
