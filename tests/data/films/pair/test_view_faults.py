import dataclasses
import itertools
import types

import numpy as np
import pytest

from tests.data.films.pair.necks import neck_films
from xctrs_tf.data.films.film_frame import FilmFrame
from xctrs_tf.data.films.pair.view_check import judge_views
from xctrs_tf.data.films.pair.view_faults import FAULTS, UNDO, Fault
from xctrs_tf.data.films.raw_film import RawFilm

PIXELS = np.random.default_rng(0).random((6, 6)).astype(np.float32)
FRAMES = [
    FilmFrame(flip_horizontal=horizontal, flip_vertical=vertical, rotate_deg=degrees)
    for horizontal, vertical, degrees in itertools.product((0, 1), (0, 1), (0, 90, 180, -90))
]


def opened_film(frame=FilmFrame(), **flips):  # noqa: B008
    return types.SimpleNamespace(frame=frame, raw=RawFilm(PIXELS, **flips))


def follow(frame, message, view):
    """Return the frame with the flags that a message gives."""
    for flag in message.split("give ")[1].split(" and "):
        name, _, value = flag.removeprefix("--").partition("=")
        is_on = not name.startswith("no")
        field = name.removeprefix("no").removeprefix(f"{view}_")
        if field == "rotate":
            frame = dataclasses.replace(frame, rotate_deg=float(value))
        else:
            frame = dataclasses.replace(frame, **{field: is_on})
    return frame


@pytest.mark.parametrize("name", [name for name in UNDO if name not in ("none", "invert")])
@pytest.mark.parametrize("flips", [{}, {"flip_horizontal": True}, {"flip_vertical": True}])
def test_the_flags_undo_the_fault_of_a_film_however_it_is_turned_already(name, flips):
    fault = Fault("la wrong", "wrong", {"la": name})
    for frame in FRAMES:
        film = opened_film(frame, **flips)
        message = fault.message({"ap": opened_film(), "la": film})
        undone = follow(frame, message, "la").cut(film.raw, 6)
        np.testing.assert_array_equal(undone, UNDO[name](frame.cut(film.raw, 6)))


def test_a_flag_that_is_wrong_is_taken_back():
    films = {"ap": opened_film(), "la": opened_film(FilmFrame(invert=True, flip_horizontal=True))}
    messages = [fault.message(films) for fault in FAULTS]
    assert "the lateral film shows bone dark: give --nola_invert" in messages
    assert "both films show bone dark: give --ap_invert and --nola_invert" in messages
    assert "the lateral film faces right: give --nola_flip_horizontal" in messages


def test_one_flag_for_both_films_only_where_no_film_has_its_own():
    both = Fault("both wrong", "both", {"ap": "clockwise", "la": "clockwise"})
    assert both.message() == "both: give --rotate=90"
    films = {view: opened_film(FilmFrame(rotate_deg=90)) for view in ("ap", "la")}
    assert both.message(films) == "both: give --ap_rotate=180 and --la_rotate=180"
    films = {"ap": opened_film(), "la": opened_film(flip_horizontal=True)}
    assert both.message(films) == "both: give --ap_rotate=90 and --la_rotate=-90"


def test_the_check_of_a_pair_names_flags_that_fit_its_frames():
    ap, la = neck_films(0)
    films = {"ap": opened_film(), "la": opened_film(FilmFrame(invert=True))}
    assert judge_views(ap, 1 - la, opened=films).problem.endswith("give --nola_invert")
