import numpy as np
import pytest

from xctrs_tf.data.volumes.volume import Volume
from xctrs_tf.neck_finder.scan_films import PIXEL_MM, scan_films

SPACING_MM = 4.0


def body_with_a_block(high_hu=1500):
    """Return a body of soft tissue with one block of bone, labelled as C1, and the labels."""
    ct = np.full((40, 40, 60), -1000, np.float32)
    ct[8:32, 8:32] = 0
    labels = np.zeros(ct.shape, np.uint8)
    labels[17:23, 17:23, 24:40] = 1
    ct[labels > 0] = high_hu
    origin = (10.0, -30.0, 5.0)
    return (Volume(array, (SPACING_MM,) * 3, origin) for array in (ct, labels))


@pytest.fixture
def straight(monkeypatch):
    """Project along parallel rays, with no turn."""
    name = "xctrs_tf.neck_finder.scan_films"
    monkeypatch.setattr(f"{name}._SHARE_PARALLEL", 1.0)
    monkeypatch.setattr(f"{name}._POSE_DEG", {"ap": (0, 0, 0), "la": (0, 0, 0)})


@pytest.mark.usefixtures("straight")
@pytest.mark.parametrize("view", ["ap", "la"])
def test_the_place_of_the_neck_follows_the_proportions_of_the_body(view):
    films = scan_films(*body_with_a_block(), view, 6, np.random.default_rng(0), stretch=0.3)
    for film in films:
        lines = film.line_integrals.astype(np.float32)
        block = lines > (lines.max() + np.median(lines[lines > 0.1])) / 2
        columns, rows = (np.flatnonzero(block.any(axis)) for axis in (1, 0))
        size = [(part[-1] - part[0] + 1) * PIXEL_MM for part in (columns, rows)]
        np.testing.assert_allclose(size, film.neck_mm, atol=2.5 * PIXEL_MM)
        middle = [(part[-1] + part[0] + 1) / 2 for part in (columns, rows)]
        np.testing.assert_allclose(middle, np.array(lines.shape) / 2, atol=1)
    sizes = np.array([film.neck_mm for film in films])
    assert (np.ptp(sizes, axis=0) > 0.1 * sizes.mean(0)).all()
    assert (np.ptp([film.high_mm - film.low_mm for film in films])) > 20


def test_films_without_a_stretch_have_the_proportions_of_the_scan():
    films = scan_films(*body_with_a_block(), "ap", 3, np.random.default_rng(0))
    assert len({film.neck_mm for film in films}) == 1
