import math

import numpy as np
import pytest

from xctrs_tf.neck_finder.film_window import FilmPyramid, Window, network_input


def smooth_film(shape):
    x, y = np.meshgrid(*(np.arange(count) / 20 for count in shape), indexing="ij")
    return (np.sin(x) + np.cos(1.7 * y + 0.3 * x)).astype(np.float32)


@pytest.mark.parametrize("quarter", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_turned_window_is_the_turned_picture(quarter, mirrored):
    pyramid = FilmPyramid(smooth_film((120, 90)))
    plain, inside = pyramid.sample(Window((50.0, 40.0), 64.0))
    turned, _ = pyramid.sample(Window((50.0, 40.0), 64.0, quarter * math.pi / 2, mirrored))
    expected = np.rot90(plain, -quarter)
    expected = expected[::-1] if mirrored else expected
    np.testing.assert_allclose(turned, expected, atol=1e-4)
    assert inside.all()


def test_a_window_beyond_the_film_shows_where_the_film_is():
    film, inside = FilmPyramid(np.ones((40, 80))).sample(Window((20.0, 40.0), 80.0), 40)
    assert inside.sum() == 20 * 40
    assert inside[10:30].all()
    np.testing.assert_allclose(film[inside], 1.0)


def test_large_windows_are_means_of_pixels():
    film = np.indices((256, 256)).sum(0) % 2
    sampled, _ = FilmPyramid(film).sample(Window((128.0, 128.0), 256.0), 64)
    np.testing.assert_allclose(sampled, 0.5, atol=1e-6)


def test_a_rising_curve_does_not_change_the_network_input():
    film = smooth_film((30, 30))
    inside = np.ones(film.shape, bool)
    inside[:5] = False
    one, other = network_input(film, inside), network_input(np.exp(3 * film), inside)
    np.testing.assert_array_equal(one, other)
    assert (one[:5] == 0).all()
