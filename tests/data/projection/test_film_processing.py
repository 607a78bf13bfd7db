import numpy as np
import pytest
from scipy import ndimage

from xctrs_tf.data.projection.film_processing import (
    burn_in,
    collimate,
    enhance_detail,
    local_contrast,
    random_heights,
    saturate,
    tone_curve,
)


def film_of(shape=(48, 40), seed=0):
    noise = np.random.default_rng(seed).random(shape)
    film = ndimage.gaussian_filter(noise, 3)
    return ((film - film.min()) / np.ptp(film)).astype(np.float32)


def test_the_window_cuts_both_ends():
    film = 50 + np.arange(2000.0).reshape(50, 40)
    cut = saturate(film, 10, 95)
    assert cut.dtype == np.float32
    assert np.mean(cut == 0) == pytest.approx(0.1, abs=1e-3)
    assert np.mean(cut == 1) == pytest.approx(0.05, abs=1e-3)
    inside = (cut > 0) & (cut < 1)
    np.testing.assert_allclose(np.diff(cut[inside]), 1 / (0.85 * 1999), rtol=1e-3)
    np.testing.assert_array_equal(saturate(np.full((4, 5), 3.0), 1, 99), np.zeros((4, 5)))


def test_random_curves_rise_from_0_to_1():
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 1, 500, dtype=np.float32)
    for _ in range(20):
        curve = tone_curve(ramp, random_heights(5, rng))
        assert curve[0] == 0 and curve[-1] == pytest.approx(1, abs=1e-6)
        assert np.all(np.diff(curve) >= 0)


def test_one_tile_without_a_limit_equalises_the_whole_histogram():
    film = film_of() ** 3
    even = local_contrast(film, tiles=1, clip=1e9)
    order = np.argsort(film.ravel())
    assert np.all(np.diff(even.ravel()[order]) >= -1e-6)
    np.testing.assert_allclose(np.sort(even.ravel()), np.linspace(0, 1, film.size), atol=0.03)


def test_a_limit_of_the_mean_count_changes_little():
    film = film_of()
    np.testing.assert_allclose(local_contrast(film, 3, clip=1e-9), film, atol=1e-5)
    steep = local_contrast(film, 3, clip=8.0)
    assert np.abs(steep - film).max() > 0.1 and steep.min() >= 0 and steep.max() <= 1.0001


def test_local_contrast_rises_in_dull_regions_and_has_no_seams():
    column, row = np.indices((64, 64))
    film = np.where(column < 32, 0.2, 0.7) + 0.02 * np.sin(row / 2)
    enhanced = local_contrast(film.astype(np.float32), 4, clip=10.0)
    for part in (slice(4, 28), slice(36, 60)):
        assert enhanced[part].std() > 3 * film[part].std()
    smooth = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1))
    steps = np.diff(local_contrast(smooth, 4, clip=3.0), axis=1)
    assert np.abs(steps).max() < 4 / 64


def test_detail_is_enhanced_band_by_band():
    rng = np.random.default_rng(0)
    film = 5 + rng.random((40, 30)).astype(np.float32)
    np.testing.assert_allclose(enhance_detail(film, (1, 1, 1)), film, rtol=1e-5)
    np.testing.assert_allclose(enhance_detail(np.full((9, 8), 3.0), (9, 4)), 3.0, rtol=1e-5)
    column = np.arange(120)[:, None] + np.zeros(8)
    inner = slice(30, 90)
    for gains in ((4, 1, 1), (1, 1, 4)):
        for length in (5, 30):
            film = np.sin(2 * np.pi * column / length)
            # What a Gaussian blur leaves of a sine, for no blur and each band's.
            left = np.exp(-((2 * np.pi / length * np.array([0, 0.5, 1, 2])) ** 2) / 2)
            gain = left[3] + np.dot(gains, left[:3] - left[1:])
            enhanced = enhance_detail(film, gains)[inner]
            assert enhanced.std() / film[inner].std() == pytest.approx(gain, rel=0.08)


def test_strong_structures_are_compressed_by_powers_below_1():
    row = np.arange(120)[:, None] + np.zeros(8)
    wave = np.sin(2 * np.pi * row / 8)
    for power, expected in ((0.5, 10.0), (1.0, 100.0), (1.5, 1000.0)):
        # A weak wave left, a strong one right, on one film.
        film = np.concatenate([0.01 * wave, wave], axis=1)
        change = enhance_detail(film, (0, 0, 1), base_gain=0.0, power=power)[30:90]
        ratio = np.abs(change[:, -2:]).max() / np.abs(change[:, :2]).max()
        assert ratio == pytest.approx(expected, rel=0.3)


def test_the_base_and_dark_regions_gain_less():
    film = film_of()
    shifted = enhance_detail(film + 7, (1, 1), base_gain=0.0)
    np.testing.assert_allclose(shifted, enhance_detail(film, (1, 1), base_gain=0.0), atol=1e-5)
    wave = 0.1 * np.sin(2 * np.pi * np.arange(80) / 5)[:, None] + np.zeros(40)
    film = np.where(np.arange(40) < 20, 0.0, 5.0) + wave
    waves = enhance_detail(film, (3, 3, 3), density=1.0) - enhance_detail(film, (1, 1, 1))
    dark, bright = waves[10:-10, :8].std(), waves[10:-10, -8:].std()
    assert bright > 0.05 and dark < 1.2 * wave.std() and bright > 1.5 * dark


def test_tiles_may_differ_between_the_axes():
    film = film_of((60, 60))
    flipped = local_contrast(film.T, (2, 5), 4.0).T
    np.testing.assert_allclose(local_contrast(film, (5, 2), 4.0), flipped, atol=1e-6)
    np.testing.assert_array_equal(local_contrast(film, (3, 3), 4.0), local_contrast(film, 3, 4.0))
    film[:, 50] = film[:, 10]
    # With one tile across, a row has one curve.
    rows = local_contrast(film, (5, 1), 4.0)
    np.testing.assert_allclose(rows[:, 50], rows[:, 10], atol=1e-6)
    columns = local_contrast(film, (1, 5), 4.0)
    assert np.abs(columns[:, 50] - columns[:, 10]).max() > 0.02


def test_the_collimator_covers_the_strips_that_it_is_told():
    film = np.full((100, 80), 0.5, np.float32)
    covered = collimate(film, (0.1, 0.2, 0.0, 0.25), 0.0, grey=1.0)
    assert np.all(covered[:9] == 1) and np.all(covered[81:] == 1)
    assert np.all(covered[:, 61:] == 1)
    np.testing.assert_array_equal(covered[12:78, :58], film[12:78, :58])
    np.testing.assert_array_equal(collimate(film, (0, 0, 0, 0), 5.0, 0.0), film)
    turned = collimate(film, (0.1, 0.0, 0.0, 0.0), 5.0, 0.0) < 0.25
    bottom, top = turned[:, 0].sum(), turned[:, -1].sum()
    assert abs(int(bottom) - int(top)) == pytest.approx(80 * np.tan(np.radians(5)), abs=2)


def test_a_text_is_burnt_in_where_it_belongs():
    film = np.zeros((64, 64), np.float32)
    marked = burn_in(film, "L", (0.25, 0.75), 0.2, grey=0.9)
    assert marked.dtype == np.float32 and not film.any()
    assert 0.7 < marked.max() <= 0.9
    across, up = np.nonzero(marked > 0.3)
    assert across.mean() == pytest.approx(16, abs=3) and up.mean() == pytest.approx(48, abs=4)
    assert 6 <= np.ptp(up) + 1 <= 16
    # The L's foot is at the bottom and points to the right.
    assert up[across == across.max()].max() < up.mean() < up[across == across.min()].max()
    reversed_letter = burn_in(film, "L", (0.25, 0.75), 0.2, 0.9, mirrored=True)
    across, up = np.nonzero(reversed_letter > 0.3)
    assert up[across == across.min()].max() < up[across == across.max()].max()


@pytest.mark.parametrize("place", [(0.0, 0.5), (1.0, 1.0), (-0.5, 0.5), (2.0, 0.5)])
def test_a_text_may_reach_beyond_the_film(place):
    film = np.zeros((40, 40), np.float32)
    marked = burn_in(film, "PORTABLE", place, 0.2, 1.0)
    assert marked.shape == film.shape
    assert bool(marked.any()) == (0 <= place[0] <= 1)
