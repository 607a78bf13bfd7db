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
