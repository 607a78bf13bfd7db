import numpy as np
import pytest

from xctrs_tf.data.projection.film_effects import (
    contrast_curve,
    detector_blur,
    detector_saturation,
    film_effects,
    fine_structure,
    log_signal,
    quantum_noise,
    scatter_veil,
    transmission,
)

FILM = np.random.default_rng(0).uniform(0, 6, (20, 30)).astype(np.float32)


def test_photons_that_pass():
    np.testing.assert_allclose(transmission([0.0, np.log(2), 5.0]), [1, 0.5, np.exp(-5)])
    np.testing.assert_allclose(log_signal(transmission(FILM)), FILM, rtol=1e-6)


def test_counts_have_poissons_mean_and_variance():
    share = np.full((400, 300), 0.25)
    counted = quantum_noise(share, 800.0, np.random.default_rng(0))
    # 200 photons a pixel: 120,000 pixels determine the mean to 1e-5 and the variance to 1 %.
    assert counted.mean() == pytest.approx(0.25, abs=2e-4)
    assert counted.var() == pytest.approx(0.25 / 800, rel=0.02)
    assert np.allclose(counted * 800, np.round(counted * 800))
    nothing = quantum_noise(np.zeros((3, 4)), 100.0, np.random.default_rng(0))
    np.testing.assert_array_equal(nothing, np.full((3, 4), 0.01))


def test_fine_structures_follow_what_the_rays_pass():
    thick = np.full((200, 200), 4.0)
    thick[:100] = 1.0
    thick[0] = 0.0
    changed = fine_structure(thick, 0.05, 0.8, np.random.default_rng(0))
    assert changed.dtype == np.float32 and not changed[0].any()
    rest = changed - thick
    assert rest.std() == pytest.approx(0.05 * np.sqrt((16 + 1) / 2), rel=0.03)
    assert rest[100:].std() / rest[1:100].std() == pytest.approx(4, rel=0.05)
    # Neighbours of white noise that a Gaussian of 0.8 pixels blurred: exp(-1 / (4 * 0.8**2)).
    near = np.corrcoef(rest[100:-1].ravel(), rest[101:].ravel())[0, 1]
    assert near == pytest.approx(np.exp(-1 / 2.56), abs=0.05)


def test_a_detector_saturates_beside_the_patient():
    share = np.array([1e-6, 0.01, 0.2, 1.0, 1e6])
    signal = detector_saturation(share, 0.2)
    np.testing.assert_allclose(signal[0], share[0], rtol=1e-4)
    np.testing.assert_allclose(signal[2], 0.1)
    np.testing.assert_allclose(signal[4], 0.2, rtol=1e-4)
    assert np.all(np.diff(signal) > 0)


def test_scatter_is_its_fraction_of_all_photons():
    share = transmission(FILM)
    veiled = scatter_veil(share, 0.4, 6.0)
    # A Gaussian with reflected borders keeps the sum.
    assert share.sum() / veiled.sum() == pytest.approx(0.6, rel=1e-6)
    np.testing.assert_allclose(scatter_veil(np.full((9, 8), 0.3), 0.25, 2.0), 0.4)


def test_blur_has_the_gaussians_transfer_function():
    for axis, period in ((0, 16), (1, 20)):
        wave = np.cos(2 * np.pi * (np.arange(160) + 0.5) / period)
        film = np.broadcast_to(wave[:, np.newaxis], (160, 160))
        blurred = detector_blur(film if axis == 0 else film.T, 1.5)
        expected = np.exp(-2 * (np.pi * 1.5 / period) ** 2)
        np.testing.assert_allclose(blurred, expected * (film if axis == 0 else film.T), atol=1e-3)


def test_the_contrast_curve():
    x = np.linspace(0, 1, 1001)
    curve = contrast_curve(x, 1.5)
    np.testing.assert_allclose(curve[[0, 500, 1000]], [0, 0.5, 1], atol=1e-12)
    assert np.all(np.diff(curve) > 0)
    # The logistic's slope at its middle is gamma, over the range between its ends.
    ends = [1 / (1 + np.exp(-6 * side)) for side in (-0.5, 0.5)]
    slope = (curve[501] - curve[499]) / 0.002
    assert slope == pytest.approx(1.5 / (ends[1] - ends[0]), rel=1e-4)
    steepest = np.argmax(np.diff(contrast_curve(x, 3.0, middle=0.3)))
    assert x[steepest] == pytest.approx(0.3, abs=2e-3)


def test_no_effect_leaves_the_line_integrals():
    film = film_effects(FILM)
    np.testing.assert_allclose(film, FILM, rtol=1e-6)
    assert film.dtype == np.float32


def test_effects_are_applied_in_physical_order():
    film = film_effects(
        FILM, 3, photons=500, scatter_fraction=0.3, scatter_width_pixels=4, blur_pixels=0.8
    )
    share = detector_blur(scatter_veil(transmission(FILM), 0.3, 4), 0.8)
    expected = log_signal(quantum_noise(share, 500, np.random.default_rng(3)))
    np.testing.assert_allclose(film, expected, rtol=1e-6)
    curved = film_effects(
        FILM, 3, photons=500, scatter_fraction=0.3, scatter_width_pixels=4, blur_pixels=0.8, gamma=2
    )
    low, high = expected.min(), expected.max()
    np.testing.assert_allclose(
        (curved - low) / (high - low), contrast_curve((expected - low) / (high - low), 2), atol=1e-5
    )


def test_noise_is_seeded():
    films = [film_effects(FILM, seed, photons=50) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(films[0], films[1])
    assert np.any(films[0] != films[2])
