import dataclasses
import pathlib

import numpy as np
import pytest

from tests.neck_finder.phantom_films import PIXEL_MM, phantom_films
from xctrs_tf.data.films.film_frame import FilmFrame
from xctrs_tf.data.films.pair.film_pair import OpenFilm, cut_pair
from xctrs_tf.data.films.raw_film import RawFilm
from xctrs_tf.errors import UserError
from xctrs_tf.neck_finder.neck_search import search_neck
from xctrs_tf.neck_finder.pair_crops import propose_crops

SIZE, SPACING_MM = 32, 5.0
FREE = {"ap": (), "la": ()}


def opened(pixel_mm=(PIXEL_MM, PIXEL_MM), frame=FilmFrame(), **changed):  # noqa: B008
    pixels = {**phantom_films(), **changed}
    return {
        view: OpenFilm(pathlib.Path(f"{view}.png"), RawFilm(film, pixel_mm), frame)
        for view, film in pixels.items()
    }


def errors_mm(found):
    """Return how far the boxes' centres are from the films' middles."""
    away = []
    for film in found.values():
        left, top, right, bottom = film.frame.crop_box
        middle = np.array(film.raw.pixels.shape) / 2
        away.append(np.hypot(*(np.array([left + right, top + bottom]) / 2 - middle)) * PIXEL_MM)
    return np.array(away)


def test_the_neck_of_a_phantom_is_found_on_both_phantom_films():
    found = propose_crops(opened(), SIZE, SPACING_MM, FREE)
    assert errors_mm(found).max() < 15
    for view, film in found.items():
        assert not (film.frame.flip_horizontal or film.frame.flip_vertical or film.frame.invert)
        assert f"{view}.png: " in film.remarks[0]
        assert f"--{view}_crop_box=" in film.remarks[0]
    pair = cut_pair(found, SIZE, SPACING_MM, check=False)
    assert set(pair.remarks) >= set(found["la"].remarks)
    assert pair.record()["la"]["found"]["crop_box"] == list(found["la"].frame.crop_box)


def test_the_sentences_name_the_boxes_as_they_were_moved_to_joint_heights():
    def search(picture, view, candidates):
        found = search_neck(picture, view, candidates)
        across, up = found.centre
        return dataclasses.replace(found, centre=(across, up - 8 * (view == "la")))

    found = propose_crops(opened(), SIZE, SPACING_MM, FREE, search)
    for view, film in found.items():
        assert film.found["moved_to_joint_height"]
        box = ",".join(map(str, film.frame.crop_box))
        assert film.remarks[0] == (
            f"{view}.png: C1 to C7 are found: taken as --{view}_crop_box={box}"
        )
    assert "the found boxes were moved to the same heights" in found["la"].remarks[-1]


@pytest.mark.parametrize(
    ("film", "turned"),
    [
        (lambda la: la[::-1], "flip_horizontal"),
        (lambda la: la[:, ::-1], "flip_vertical"),
        (lambda la: 3 - la, "invert"),
    ],
)
def test_a_lateral_film_is_turned_as_it_should_be(film, turned):
    found = propose_crops(opened(la=film(phantom_films()["la"])), SIZE, SPACING_MM, FREE)
    assert getattr(found["la"].frame, turned)
    assert turned in found["la"].remarks[0]
    assert errors_mm(found).max() < 15


def test_a_given_box_and_a_film_of_the_network_stay_as_they_are():
    given = opened(frame=FilmFrame(crop_box=(10, 10, 60, 60)))
    assert propose_crops(given, SIZE, SPACING_MM, FREE) == given
    own = opened(None, ap=np.eye(SIZE), la=np.eye(SIZE))
    assert propose_crops(own, SIZE, SPACING_MM, FREE) == own


def test_without_pixel_sizes_the_neck_gives_the_scale_and_it_is_said():
    found = propose_crops(opened(None), SIZE, SPACING_MM, FREE)
    for film in found.values():
        left, _, right, _ = film.frame.crop_box
        assert (right - left) * PIXEL_MM == pytest.approx(SIZE * SPACING_MM, rel=0.2)
        assert any("pixel size is unknown" in remark for remark in film.remarks)


def test_films_without_a_neck_are_refused_by_name():
    noise = np.random.default_rng(0).uniform(size=(120, 90)).astype(np.float32)
    with pytest.raises(UserError, match=r"^ap\.png: no neck is found"):
        propose_crops(opened(ap=noise), SIZE, SPACING_MM, FREE)
