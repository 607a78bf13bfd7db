import numpy as np
import pytest
from PIL import Image

from xctrs_tf.data.films.film import read_film
from xctrs_tf.data.films.film_frame import FilmFrame
from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.data.films.pair.film_picture import draw_films
from xctrs_tf.data.films.raw_film import RawFilm
from xctrs_tf.errors import UserError

PICTURE = np.arange(12 * 9, dtype=np.float32).reshape(9, 12)  # [row, column]


def film_of(picture=PICTURE, **attributes):
    return RawFilm(picture[::-1].T, **attributes)


def as_picture(film):
    return film.T[::-1]


def test_the_crop_box_counts_from_the_upper_left_corner():
    part = FilmFrame(crop_box=(2, 1, 7, 6)).cut(film_of(), 32)
    np.testing.assert_array_equal(as_picture(part), PICTURE[1:6, 2:7])


def test_flips_and_inversion():
    box = {"crop_box": (2, 1, 7, 6)}
    expected = PICTURE[1:6, 2:7]
    for frame, picture in (
        (FilmFrame(**box, flip_horizontal=True), expected[:, ::-1]),
        (FilmFrame(**box, flip_vertical=True), expected[::-1]),
        (FilmFrame(**box, invert=True), -expected),
    ):
        np.testing.assert_array_equal(as_picture(frame.cut(film_of(), 32)), picture)


def test_flips_of_the_file_and_of_the_user_add_up():
    film = film_of(PICTURE[:, :9], flip_horizontal=True, flip_vertical=True)
    np.testing.assert_array_equal(as_picture(FilmFrame().cut(film, 9)), PICTURE[::-1, 8::-1])
    frame = FilmFrame(flip_horizontal=True, flip_vertical=True)
    np.testing.assert_array_equal(as_picture(frame.cut(film, 9)), PICTURE[:, :9])


def test_the_networks_square_is_cut_around_the_middle_in_mm():
    # 4 network pixels of 3 mm: 12 mm are 6 columns of 2 mm and 3 rows of 4 mm.
    frame = FilmFrame(spacing_mm=3.0)
    part = frame.cut(film_of(pixel_mm=(2.0, 4.0)), 4)
    np.testing.assert_array_equal(as_picture(part), PICTURE[3:6, 3:9])
    # Around the centre (8, 4) of the box, with the pixel size that the user gives.
    frame = FilmFrame(crop_box=(6, 2, 10, 6), spacing_mm=3.0, pixel_mm=3.0)
    part = frame.cut(film_of(pixel_mm=(2.0, 2.0)), 4)
    np.testing.assert_array_equal(as_picture(part), PICTURE[2:6, 6:10])


def test_what_is_square_in_mm_need_not_be_in_pixels():
    assert FilmFrame().cut(film_of(pixel_mm=(3.0, 4.0)), 4).shape == (12, 9)
    with pytest.raises(UserError, match="12 x 9 pixels of 4 x 3 mm; crop or pad the film square"):
        FilmFrame().cut(film_of(pixel_mm=(4.0, 3.0)), 4)
    with pytest.raises(UserError, match="12 x 9 pixels; crop or pad the film square"):
        FilmFrame().cut(film_of(pixel_mm=(4.0, 4.0)), 4)


@pytest.mark.parametrize(
    "box", [(-1, 0, 4, 5), (0, 0, 13, 9), (5, 2, 5, 6), (0, 5, 5, 2), (3, 4, 5, 10)]
)
def test_boxes_outside_the_film(box):
    with pytest.raises(UserError, match=r"crop box .*: not inside the film of 12 x 9 pixels"):
        FilmFrame(crop_box=box).cut(film_of(), 32)


def test_a_square_that_reaches_over_the_film():
    with pytest.raises(UserError, match=r"sees 10 mm, which reaches .* 12 x 9 mm; take a film"):
        FilmFrame(spacing_mm=1.0, pixel_mm=1.0).cut(film_of(), 10)
    with pytest.raises(UserError, match=r"reaches over the edge .*; move the crop box, or"):
        FilmFrame((0, 0, 2, 2), spacing_mm=1.0, pixel_mm=1.0).cut(film_of(), 4)


def test_spacings_that_make_no_sense():
    with pytest.raises(UserError, match="its pixels have no size in mm; give it"):
        FilmFrame(spacing_mm=1.0).cut(film_of(), 4)
    for frame in (FilmFrame(spacing_mm=-1.0, pixel_mm=1.0), FilmFrame(spacing_mm=1.0, pixel_mm=0)):
        with pytest.raises(UserError, match="sizes in mm must be above zero"):
            frame.cut(film_of(), 4)


def test_one_size_for_pixels_that_are_not_square_is_refused():
    film = film_of(pixel_shape=(1.0, 2.0))
    with pytest.raises(UserError, match="the shape 1 x 2, for which one size in mm is too little"):
        FilmFrame(pixel_mm=0.5).cut(film, 4)
    film = film_of(pixel_mm=(0.2, 0.4))
    with pytest.raises(UserError, match=r"the shape 0\.2 x 0\.4, for which one size in mm"):
        FilmFrame(pixel_mm=0.3).cut(film, 4)
    # 12 columns of 3 and 9 rows of 4 are a square.
    assert FilmFrame().cut(film_of(pixel_shape=(3.0, 4.0)), 4).shape == (12, 9)


def test_a_picture_in_the_networks_frame(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 65535, (40, 30), np.uint16)
    Image.fromarray(pixels).save(tmp_path / "film.png")
    frame = FilmFrame((4, 8, 20, 24), flip_horizontal=True, invert=True)
    film = read_film(tmp_path / "film.png", "ap", 16, frame)
    expected = normalise_film(-pixels[8:24, 4:20][::-1, ::-1].T.astype(np.float32))
    np.testing.assert_allclose(film, expected, atol=1e-6)
    with pytest.raises(UserError, match=r"film\.png: crop box 4,8,20,44: not inside the film"):
        read_film(tmp_path / "film.png", "ap", 16, FilmFrame((4, 8, 20, 44)))


def test_the_picture_of_two_films_shows_both_upright(tmp_path):
    ap, la = np.zeros((32, 32)), np.zeros((32, 32))
    ap[0, -1] = 1.0  # The patient's right, superior: upper left.
    la[-1, 0] = 1.0  # Posterior, inferior: lower right.
    draw_films(tmp_path / "view.png", {"ap": ap, "la": la})
    drawn = np.asarray(Image.open(tmp_path / "view.png"))[..., 0]
    # Below a line of text, with a margin between both.
    films = drawn[46 : 46 + 512, 24 : 24 + 512], drawn[46 : 46 + 512, 560 : 560 + 512]
    assert films[0][5, 5] > 250 and films[1][-5, -5] > 250
    assert films[1][5, 5] == 0 and films[0][-5, -5] == 0
