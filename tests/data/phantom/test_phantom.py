"""Phantoms: arrays, labels, grids, determinism."""

import time

import numpy as np
import pytest
from scipy import ndimage

from tests.data.phantom.phantoms import SEEDS, phantom
from xctrs_tf.data.phantom import make_phantom, noise

# Ranges in cm3 of dry and of segmented adult vertebrae, widened to include small women.
VOLUME_CM3 = {1: (6, 14), 2: (10, 18), 3: (5, 11), 4: (5, 11), 5: (5, 11), 6: (5.5, 12), 7: (7, 14)}


def test_same_seed_same_bytes():
    first, second = make_phantom(3, 32, 4.0), make_phantom(3, 32, 4.0)
    assert first.ct.tobytes() == second.ct.tobytes()
    assert first.segmentation.tobytes() == second.segmentation.tobytes()
    assert first.anatomy == second.anatomy


def test_other_seed_other_anatomy():
    first, second = make_phantom(3, 32, 4.0), make_phantom(4, 32, 4.0)
    assert not np.array_equal(first.segmentation, second.segmentation)


def test_grid_and_types():
    made = make_phantom(0, (40, 56, 72), 2.0)
    assert made.ct.shape == made.segmentation.shape == (40, 56, 72)
    assert (made.ct.dtype, made.segmentation.dtype) == (np.int16, np.uint8)
    assert made.origin_mm == (-39.0, -55.0, -71.0)
    assert made.spacing_mm == 2.0


@pytest.mark.parametrize("seed", SEEDS)
def test_every_vertebra_is_one_piece(seed):
    segmentation = phantom(seed).segmentation
    assert set(np.unique(segmentation)) == set(range(8))
    for label in range(1, 8):
        pieces, _ = ndimage.label(segmentation == label)
        sizes = np.bincount(pieces.ravel())[1:]
        assert sizes.max() / sizes.sum() > 0.995, label


@pytest.mark.parametrize("seed", SEEDS)
def test_vertebrae_are_ordered_from_head_to_foot(seed):
    segmentation = phantom(seed).segmentation
    heights = [np.mean(np.nonzero(segmentation == label)[2]) for label in range(1, 8)]
    assert np.all(np.diff(heights) < -8)


@pytest.mark.parametrize(("size", "spacing_mm"), [(128, 1.0), (64, 2.0), (32, 4.0)])
@pytest.mark.parametrize("seed", SEEDS)
def test_no_vertebra_touches_the_border(seed, size, spacing_mm):
    where = np.argwhere(phantom(seed, size, spacing_mm).segmentation)
    assert where.min() >= 1
    assert where.max() <= size - 2


@pytest.mark.parametrize("seed", SEEDS)
def test_grid_is_centred_on_the_vertebrae(seed):
    where = np.argwhere(phantom(seed).segmentation)
    middle = (where.min(0) + where.max(0)) / 2
    np.testing.assert_allclose(middle, 63.5, atol=2.0)


@pytest.mark.parametrize("seed", SEEDS)
def test_volumes_are_those_of_adults(seed):
    segmentation = phantom(seed).segmentation
    for label, (low, high) in VOLUME_CM3.items():
        assert low < np.sum(segmentation == label) / 1000 < high, label


def test_coarse_grid_shows_the_same_anatomy():
    fine = phantom(1).segmentation
    coarse = phantom(1, 64, 2.0).segmentation
    blocks = fine.reshape(64, 2, 64, 2, 64, 2)
    share = np.stack([(blocks == label).mean((1, 3, 5)) for label in range(8)])
    pooled = share.argmax(0)
    for label in range(1, 8):
        a, b = pooled == label, coarse == label
        assert 2 * np.sum(a & b) / (a.sum() + b.sum()) > 0.85, label


def test_coarse_ct_is_the_mean_of_the_fine_one():
    fine = phantom(1).ct.astype(float)
    coarse = phantom(1, 64, 2.0).ct
    pooled = fine.reshape(64, 2, 64, 2, 64, 2).mean((1, 3, 5))
    assert np.mean(np.abs(pooled - coarse)) < 20


def test_smaller_field_is_a_crop():
    whole, part = phantom(5), phantom(5, (64, 72, 80))
    crop = (slice(32, 96), slice(28, 100), slice(24, 104))
    np.testing.assert_array_equal(part.segmentation, whole.segmentation[crop])
    np.testing.assert_allclose(part.ct, whole.ct[crop], atol=1)


def test_noise_has_the_scanners_strength():
    noisy, clean = make_phantom(0, (48, 40, 44)), phantom(0, (48, 40, 44))
    blurred = ndimage.gaussian_filter(clean.ct.astype(float), noise.BLUR_MM, truncate=3.0)
    assert np.std(noisy.ct - blurred) == pytest.approx(noise.NOISE_HU, rel=0.03)
    np.testing.assert_array_equal(noisy.segmentation, clean.segmentation)


def test_full_size_is_made_within_five_seconds_of_one_core():
    start = time.process_time()
    make_phantom(11)
    assert time.process_time() - start < 5
