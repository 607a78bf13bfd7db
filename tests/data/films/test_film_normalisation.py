import numpy as np
import pytest

from xctrs_tf.data.films.film_normalisation import fill_padding, normalise_film
from xctrs_tf.errors import UserError


def test_normalising_clips_the_outer_half_percents():
    # 1001 values 0..1000: the percentiles 0.5 and 99.5 are 5 and 995.
    film = np.arange(1001, dtype=np.float32).reshape(7, 143)
    expected = np.clip((film - 5) / 990, 0, 1)
    normalised = normalise_film(film)
    np.testing.assert_allclose(normalised, expected, atol=1e-6)
    assert normalised.dtype == np.float32


def test_normalising_forgets_exposure_and_is_idempotent():
    film = np.random.default_rng(0).random((32, 33)).astype(np.float32)
    normalised = normalise_film(film)
    np.testing.assert_allclose(normalise_film(film * 40 - 7), normalised, atol=1e-5)
    np.testing.assert_array_equal(normalise_film(normalised), normalised)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_film_that_is_not_finite(value):
    film = np.random.default_rng(0).random((8, 8)).astype(np.float32)
    film[2, 3] = value
    with pytest.raises(UserError, match="film: holds NaN or infinite values"):
        normalise_film(film)


def test_a_constant_film_but_for_a_single_speck():
    film = np.full((32, 32), 7.0)
    film[3, 4] = 9.0
    with pytest.raises(UserError, match="film: constant"):
        normalise_film(film)


def test_values_whose_range_overflows_are_refused():
    film = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    film[:2], film[-2:] = -3e38, 3e38
    with pytest.raises(UserError, match=r"its values go from -3e\+38 to 3e\+38"):
        normalise_film(film)


def test_padding_gets_the_dark_end_of_the_film():
    film = np.random.default_rng(0).random((20, 20)).astype(np.float32)
    outside = np.broadcast_to(np.arange(20) < 5, film.shape)
    padded = np.ma.masked_array(np.where(outside, 1e9, film), outside)
    filled = normalise_film(fill_padding(padded))
    assert (filled[:, :5] == 0).all()
    np.testing.assert_allclose(filled[:, 5:], normalise_film(film[:, 5:]), atol=0.02)
    assert fill_padding(film) is film


def test_equalized_grey_values_are_ranks_and_equal_values_share_their_mean():
    film = np.array([[3.0, -1.0], [3.0, 8.0]])
    np.testing.assert_allclose(
        normalise_film(film, "equalized"), [[0.5, 0.0], [0.5, 1.0]], rtol=0, atol=1e-7
    )
    random = np.random.default_rng(0).random((64, 64))
    equalized = normalise_film(random, "equalized")
    assert equalized.dtype == np.float32
    # Flat but for the half percent at each end, whose pixels are not told apart.
    inner = np.sort(equalized.ravel())[21:-21]
    np.testing.assert_allclose(inner, np.arange(21, 4096 - 21) / 4095, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "curve", [lambda x: x**2, lambda x: x**0.5, np.exp, lambda x: 4096 * np.tanh(3 * x) - 7]
)
def test_no_rising_curve_changes_an_equalized_film(curve):
    film = np.random.default_rng(1).random((32, 32)).astype(np.float32).astype(np.float64)
    equalized = normalise_film(film, "equalized")
    # Curves in 64 bits: rounding to 32 makes few values equal.
    changed = normalise_film(curve(film), "equalized")
    np.testing.assert_allclose(changed, equalized, rtol=0, atol=1 / 1023)
    assert np.abs(changed - equalized).mean() < 1e-5
    assert np.abs(normalise_film(curve(film)) - normalise_film(film)).max() > 0.05


def test_equalizing_again_or_after_percentiles_changes_nothing():
    film = np.random.default_rng(2).normal(size=(48, 48))
    equalized = normalise_film(film, "equalized")
    np.testing.assert_array_equal(normalise_film(equalized, "equalized"), equalized)
    np.testing.assert_array_equal(normalise_film(normalise_film(film), "equalized"), equalized)


def test_an_unknown_normalisation():
    with pytest.raises(UserError, match="--film_normalization=ranks: must be one of percentile"):
        normalise_film(np.eye(4), "ranks")
