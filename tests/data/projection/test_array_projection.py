import itertools
import threading

import numpy as np
import pytest

from xctrs_tf.data.projection.array_projection import for_both_views, project_array
from xctrs_tf.data.projection.ray_integrals import project


@pytest.mark.parametrize("view", ["ap", "la"])
@pytest.mark.parametrize(
    ("source_mm", "pose"),
    [
        *itertools.product(
            (None, 250.0),
            (
                (None, None),
                (None, (4.0, -5.0, 2.0)),
                ((3.0, -14.0, 9.0), (1.0, 2.0, -3.0)),
                ((-15.0, 15.0, -15.0), None),
            ),
        ),
        # Inside the volume.
        (15.0, (None, None)),
    ],
)
def test_films_are_those_of_the_differentiable_projection(view, source_mm, pose):
    mu = np.random.default_rng(0).random((20, 22, 24), np.float32)
    grid = ((2.0, 1.5, 3.0), (-17.0, -16.0, -34.0))
    # As wide as a voxel, several times as wide, narrower; partly beside the volume.
    for pixels, pixel_mm in (((20, 24), 2.0), ((9, 11), 7.3), ((40, 50), 0.7)):
        frame = (*grid, view, pixels, pixel_mm, source_mm, *pose)
        film = project_array(mu, *frame)
        expected = np.asarray(project(mu, *frame))
        assert film.dtype == np.float32 and film.shape == pixels
        np.testing.assert_allclose(film, expected, rtol=1e-4, atol=1e-5 * expected.max())


def test_a_volume_of_any_memory_layout():
    mu = np.random.default_rng(0).random((8, 9, 10)).T
    frame = ((2.0,) * 3, (-9.0, -8.0, -7.0), "la", (9, 8), 2.0, 100.0)
    np.testing.assert_array_equal(
        project_array(mu, *frame), project_array(np.ascontiguousarray(mu, np.float32), *frame)
    )


def test_a_volume_beside_the_film_leaves_it_dark():
    mu = np.ones((4, 5, 6), np.float32)
    film = project_array(mu, (1.0,) * 3, (100.0, 100.0, 100.0), "ap", (7, 8), 1.0, 500.0)
    np.testing.assert_array_equal(film, np.zeros((7, 8), np.float32))


def test_both_films_are_made_at_the_same_time():
    # Each waits for the other one.
    met = threading.Barrier(2)

    def film(view):
        met.wait(timeout=60)
        return f"film of {view}"

    assert for_both_views(film) == {"ap": "film of ap", "la": "film of la"}


@pytest.mark.parametrize("view", ["ap", "la"])
def test_a_continued_volume_is_one_with_its_borders_repeated(view):
    mu = np.random.default_rng(0).random((10, 9, 8), np.float32)
    pad = ((0, 0) if view == "la" else (20, 20), (0, 0) if view == "ap" else (20, 20), (20, 20))
    padded = np.pad(mu, pad, mode="edge")
    film = (view, (14, 16), 2.0, 90.0, (4.0, -3.0, 6.0), (1.0, 2.0, -3.0))
    first = np.array([-9.0, -8.0, -7.0])
    continued = project_array(mu, (2.0,) * 3, first, *film, beyond="border")
    expected = project_array(
        padded, (2.0,) * 3, first - 2.0 * np.array([before for before, _ in pad]), *film
    )
    np.testing.assert_allclose(continued, expected, rtol=1e-4)
    assert np.any(project_array(mu, (2.0,) * 3, first, *film) < 0.5 * continued)
