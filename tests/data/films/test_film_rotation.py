import numpy as np
import pytest

from xctrs_tf.data.films.film_frame import FilmFrame
from xctrs_tf.data.films.film_normalisation import fill_padding
from xctrs_tf.data.films.raw_film import RawFilm
from xctrs_tf.errors import UserError


def smooth(x, y):
    return 100 * np.sin(x / 9) * np.cos(y / 11) + 3 * x + 2 * y


def picture(width, height, edges=(1, 1)):
    """Return samples ``[row, column]`` of the smooth function in pixels of such edges."""
    y, x = np.mgrid[:height, :width] + 0.5
    return smooth(x * edges[0], y * edges[1]).astype(np.float32)


def cut(rows, frame, **attributes):
    """Return the frame's part as ``[row, column]``."""
    film = RawFilm(np.ma.asarray(rows)[::-1].T, **attributes)
    return frame.cut(film, 64).T[::-1]


def expected(degrees, middle, width, height, edges=(1, 1)):
    """Return what a clockwise rotation about the middle brings to the box's pixels."""
    angle = np.deg2rad(degrees)
    y, x = np.mgrid[:height, :width] + 0.5
    x, y = (x - width / 2) * edges[0], (y - height / 2) * edges[1]
    return smooth(
        middle[0] + np.cos(angle) * x + np.sin(angle) * y,
        middle[1] - np.sin(angle) * x + np.cos(angle) * y,
    )


@pytest.mark.parametrize("degrees", [5, -10, 37.5, 100, -170])
def test_the_film_turns_clockwise_about_the_boxs_centre(degrees):
    frame = FilmFrame(crop_box=(50, 30, 150, 130), rotate_deg=degrees)
    part = cut(picture(200, 160), frame)
    assert not np.ma.is_masked(part)
    np.testing.assert_allclose(part, expected(degrees, (100, 80), 100, 100), atol=0.05)


def test_pixels_that_are_not_square():
    frame = FilmFrame(crop_box=(60, 20, 140, 60), rotate_deg=30)
    part = cut(picture(200, 100, (1, 2)), frame, pixel_mm=(1.0, 2.0))
    np.testing.assert_allclose(part, expected(30, (100, 80), 80, 40, (1, 2)), atol=0.05)


@pytest.mark.parametrize("degrees", [90, 180, -90, -180])
def test_right_angles_move_pixels_and_compute_none(degrees):
    rows = picture(80, 60)
    part = cut(rows, FilmFrame(crop_box=(20, 10, 60, 50), rotate_deg=degrees))
    turned = np.rot90(rows[10:50, 20:60], -degrees // 90)
    np.testing.assert_array_equal(part, turned)
    near = cut(rows, FilmFrame(crop_box=(20, 10, 60, 50), rotate_deg=degrees - np.sign(degrees)))
    assert np.abs(near - turned).max() < np.ptp(turned) / 20


def test_a_rotation_comes_before_flips_and_keeps_the_spacing():
    options = {"crop_box": (80, 60, 120, 100), "rotate_deg": 20, "spacing_mm": 1.0}
    plain = cut(picture(200, 160), FilmFrame(**options), pixel_mm=(0.8, 0.8))
    np.testing.assert_allclose(plain, expected(20, (100, 80), 80, 80), atol=0.05)
    for names, step in (
        (["flip_horizontal"], np.s_[:, ::-1]),
        (["flip_vertical"], np.s_[::-1]),
    ):
        frame = FilmFrame(**options, **dict.fromkeys(names, True), invert=True)
        part = cut(picture(200, 160), frame, pixel_mm=(0.8, 0.8))
        np.testing.assert_array_equal(part, -plain[step])


def test_corners_from_outside_are_filled_as_padding():
    part = cut(picture(100, 100), FilmFrame(rotate_deg=10))
    mask = np.ma.getmaskarray(part)
    corners = [mask[row, column] for row in (0, -1) for column in (0, -1)]
    assert all(corners) and not mask[20:-20, 20:-20].any()
    # Of a square rotated by 10 degrees, 8 % lie outside of the square.
    assert mask.mean() == pytest.approx(0.08, abs=0.01)
    assert np.unique(fill_padding(part)[mask]).size == 1
    inside = expected(10, (50, 50), 100, 100)
    np.testing.assert_allclose(part[~mask], inside[~mask], atol=1)


def test_padding_turns_with_the_film():
    rows = np.ma.masked_array(picture(100, 100), False)
    rows[:30] = np.ma.masked
    rows.data[:30] = -1e6
    part = cut(rows, FilmFrame(crop_box=(20, 20, 80, 80), rotate_deg=89))
    mask = np.ma.getmaskarray(part)
    assert mask[:, 52:].all() and not mask[:, :48].any()
    assert part[~mask].min() >= rows.min()
    rows[:70] = np.ma.masked
    part = cut(rows, FilmFrame(crop_box=(20, 20, 80, 80), rotate_deg=45))
    with pytest.raises(UserError, match=r"more than half of it is padding .* or lies outside"):
        fill_padding(part)


def test_values_stay_within_those_of_the_film():
    rows = np.zeros((60, 60), np.float32)
    rows[20:40, 28:32] = 1
    part = cut(rows, FilmFrame(crop_box=(10, 10, 50, 50), rotate_deg=33))
    assert (part.min(), part.max()) == (0, 1)
