import numpy as np
import pytest

from xctrs_tf.neck_finder import training_windows
from xctrs_tf.neck_finder.film_window import network_input
from xctrs_tf.neck_finder.no_necks import no_neck
from xctrs_tf.neck_finder.scan_films import PIXEL_MM, ScanFilm
from xctrs_tf.neck_finder.training_windows import TrainingWindows, draw_batch

NECK_MM = (80.0, 120.0)


def dotted_film(view):
    """Return a film with a bright dot at the centre of the neck and a dark one at its top."""
    shape = (200, 180)
    x, y = np.meshgrid(*((np.arange(n) - (n - 1) / 2) * PIXEL_MM for n in shape), indexing="ij")
    film = 2 + 2 * np.exp(-(x**2 + y**2) / 40)
    film -= 2 * np.exp(-(x**2 + (y - NECK_MM[1] / 2) ** 2) / 40)
    return ScanFilm(view, film.astype(np.float16), -170.0, 170.0, NECK_MM)


@pytest.fixture
def plain_looks(monkeypatch):
    monkeypatch.setattr(training_windows, "random_look", lambda film, inside, rng: film)
    monkeypatch.setattr(training_windows, "with_border", lambda film, keep, rng: film)
    monkeypatch.setattr(training_windows, "with_markers", lambda film, rng: film)
    monkeypatch.setattr(training_windows, "_rectangle", lambda inside: inside)


@pytest.mark.usefixtures("plain_looks")
@pytest.mark.parametrize("mirrored", [False, True])
def test_the_answers_are_where_the_neck_is(mirrored):
    rng = np.random.default_rng(3)
    windows = TrainingWindows([dotted_film("ap")])
    for _ in range(8):
        drawn = windows.draw(rng, mirrored=mirrored)
        film = np.where(drawn.inside, drawn.film, 2)
        bright, dark = (
            (np.array(np.unravel_index(np.argmax(sign * film), film.shape)) + 0.5) / len(film) - 0.5
            for sign in (1, -1)
        )
        np.testing.assert_allclose(drawn.centre, bright, atol=0.011)
        up = drawn.height / 2 * np.array([-np.sin(drawn.angle), np.cos(drawn.angle)])
        np.testing.assert_allclose(drawn.centre + up, dark, atol=0.011)
        assert drawn.share > 0.9


def test_a_batch_has_necks_of_both_views_and_films_that_are_none():
    windows = {view: TrainingWindows([dotted_film(view)]) for view in ("ap", "la")}
    inputs, targets = draw_batch(windows, np.random.default_rng(0), 40)
    assert inputs.shape == (40, 96, 96, 2)
    assert targets.shape == (40, 2, 6)
    there = targets[..., 1]
    assert there.sum(0).min() > 3
    assert not np.any(there.sum(1) == 2)
    assert (there.sum(1) == 0).sum() > 10


def test_batches_are_the_same_for_the_same_seed():
    windows = {view: TrainingWindows([dotted_film(view)]) for view in ("ap", "la")}
    first, second = (draw_batch(windows, np.random.default_rng(5), 6) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_pictures_of_no_neck_are_finite_and_differ():
    rng = np.random.default_rng(0)
    pictures = [no_neck(48, rng) for _ in range(12)]
    inside = np.ones((48, 48), bool)
    inputs = [network_input(picture, inside) for picture in pictures]
    assert np.isfinite(inputs).all()
    assert len({picture.tobytes() for picture in pictures}) == 12
