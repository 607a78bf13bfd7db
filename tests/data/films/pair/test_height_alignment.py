import pathlib
import re

import numpy as np
import pytest

from tests.data.films.pair.necks import neck_films
from xctrs_tf.data.films.film_frame import FilmFrame
from xctrs_tf.data.films.pair import film_pair
from xctrs_tf.data.films.pair.box_moving import extended_film, moved_box, strip_box
from xctrs_tf.data.films.pair.film_pair import OpenFilm, cut_pair
from xctrs_tf.data.films.pair.height_alignment import can_be_aligned, is_aligned, plan_box_change
from xctrs_tf.data.films.pair.height_match import HeightMatch
from xctrs_tf.data.films.pair.view_check import ViewJudgement
from xctrs_tf.data.films.raw_film import RawFilm
from xctrs_tf.data.projection.film_processing import local_contrast

BOX = (40, 40, 140, 140)


def plan(match, boxes=(BOX, BOX), pixel_mm=(None, None), edge_mm=None):
    """Return the change of the box of one of two films of 200 x 200 pixels."""
    frames = {v: FilmFrame(pixel_mm=mm) for v, mm in zip(("ap", "la"), pixel_mm, strict=True)}
    film = RawFilm(np.zeros((200, 200), np.float32))
    opened = {view: OpenFilm(pathlib.Path(f"{view}.png"), film) for view in frames}
    return plan_box_change(opened, frames, dict(zip(frames, boxes, strict=True)), match, edge_mm)


def match(shift, scale=1.0):
    return HeightMatch(shift, scale, 0.99, 1.0)


def test_the_lateral_box_follows_what_its_film_shows():
    # 10 of 100 pixels higher; a quarter larger.
    change = plan(match(0.1), edge_mm=160)
    assert (change.view, change.box) == ("la", (40, 30, 140, 130))
    assert change.remark == (
        "films: LA shows the neck 16.0 mm (10 pixels) higher than AP; --la_crop_box=40,30,140,130 "
        "was used instead"
    )
    assert plan(match(0.0, 1.2)).box == (30, 30, 150, 150)
    assert "LA shows the neck 1.20 times larger than AP" in plan(match(0.0, 1.2)).remark


def test_the_film_of_unknown_size_is_changed():
    change = plan(match(0.1, 1.25), pixel_mm=(None, 1.6))
    assert (change.view, change.box) == ("ap", (50, 58, 130, 138))
    assert "AP shows the neck 8 pixels lower and 1.25 times smaller than LA" in change.remark


def test_the_other_film_is_moved_where_there_is_no_room():
    high = (40, 5, 140, 105)
    assert plan(match(0.1), (BOX, high)).box == (40, 50, 140, 150)
    both = plan(match(0.1), ((40, 100, 140, 200), high))
    assert (both.view, both.box) == ("la", (40, -5, 140, 95))
    assert "with the film's edge repeated where the film ends" in both.remark
    assert "its film does not reach so far" in both.refusal


@pytest.mark.parametrize("factor", [1.15, 1.4])
@pytest.mark.parametrize("spacing_mm", [None, 2.0])
def test_the_advice_for_two_sizes_that_contradict_each_other_works(factor, spacing_mm):
    # The lateral film's file says that its pixels are larger than they are.
    width = round(56 / factor)
    boxes = {"ap": (4, 4, 60, 60), "la": (32 - width // 2,) * 2 + (32 - width // 2 + width,) * 2}
    sizes = {"ap": 2.5, "la": 2.5 * 56 / width}

    def cut(boxes, sizes):
        opened = {
            view: OpenFilm(
                pathlib.Path(f"{view}.dcm"),
                RawFilm(film, (2.5, 2.5)),
                FilmFrame(boxes[view], pixel_mm=sizes[view]),
            )
            for view, film in zip(("ap", "la"), neck_films(0), strict=True)
        }
        return cut_pair(opened, 64, spacing_mm)

    pair = cut(boxes, sizes)
    said = pair.problem or pair.remarks[-1]
    assert (pair.problem is None) == (factor < 1.25)
    assert "by their pixel sizes the films contradict each other; check both" in said
    flags = re.search(r"give --la_pixel_mm=([\d.]+) and give --la_crop_box=([\d,]+)", said)
    assert float(flags[1]) == pytest.approx(2.5, rel=0.05)
    box = tuple(map(int, flags[2].split(",")))
    if pair.problem is None:
        # The size was not changed, and the box alone was.
        assert f"; --la_crop_box={flags[2]} was used instead; next time, give --la_pix" in said
    aligned = cut({**boxes, "la": box}, {**sizes, "la": float(flags[1])})
    assert aligned.problem is None and aligned.remarks == ()


def test_pixels_that_are_not_square_have_their_sizes_corrected_in_the_file():
    change = plan(match(0.0, 1.25), pixel_mm=((2.0, 2.0), (2.5, 2.0)))
    assert change.remark.endswith(
        f"; {(flag := '--la_crop_box=' + ','.join(map(str, change.box)))} was used instead; next "
        f"time, correct the pixel size in the LA film's file to 2 x 1.6 mm and give {flag}"
    )
    assert "_pixel_mm" not in change.remark + change.refusal + change.suggestion


def test_limits():
    assert is_aligned(match(0.01, 1.02)) and not is_aligned(match(0.02))
    assert can_be_aligned(match(-0.15, 0.81)) and not can_be_aligned(match(0.16))
    assert not can_be_aligned(match(0.0, 1.3))


@pytest.mark.parametrize(
    ("frame", "box"),
    [
        (FilmFrame(), (40, 30, 140, 130)),
        (FilmFrame(flip_vertical=True), (40, 50, 140, 150)),
        (FilmFrame(rotate_deg=180), (40, 50, 140, 150)),
        # What points up after a quarter turn clockwise pointed left.
        (FilmFrame(rotate_deg=90), (30, 40, 130, 140)),
        (FilmFrame(rotate_deg=-90), (50, 40, 150, 140)),
    ],
)
def test_up_is_up_on_the_upright_film(frame, box):
    film = RawFilm(np.random.default_rng(0).random((200, 200), np.float32))
    assert moved_box(film, frame, BOX, 0.1, 1) == box
    # What was 10 pixels below the upper edge is now 20 below it.
    before, after = frame.cut(film, 64, BOX), frame.cut(film, 64, box)
    np.testing.assert_array_equal(after[:, :90], before[:, 10:])


def test_edges_are_repeated_and_strips_are_as_wide_as_the_film():
    pixels = np.random.default_rng(0).random((20, 30), np.float32)
    film, box = extended_film(RawFilm(pixels), (-2, 25, 8, 35))
    assert FilmFrame().cut(film, 10, box).shape == (10, 10)
    # The top row is the last: the film's lowest row is the first.
    np.testing.assert_array_equal(
        FilmFrame().cut(film, 10, box)[2:, :5], np.tile(pixels[:8, :1], 5)
    )
    assert strip_box(RawFilm(pixels), FilmFrame(), (5, 5, 15, 15)) == (0, 5, 20, 15)
    assert strip_box(RawFilm(pixels), FilmFrame(rotate_deg=90), (5, 5, 15, 15)) == (5, 0, 15, 30)


@pytest.mark.parametrize(("seed", "turned", "contrast"), [(1, False, True), (0, True, False)])
def test_heights_are_aligned_before_a_fault_of_both_films_is_named(seed, turned, contrast):
    # Local contrast makes films less like the mean films, and so does a shift.
    films = [local_contrast(film, 8, 2.56) if contrast else film for film in neck_films(seed)]
    films = [film[::-1, ::-1] if turned else film for film in films]
    boxes = ((8, 8, 56, 56), (8, 4, 56, 52))
    opened = {
        view: OpenFilm(pathlib.Path(f"{view}.png"), RawFilm(film), FilmFrame(box))
        for view, film, box in zip(("ap", "la"), films, boxes, strict=True)
    }
    pair = cut_pair(opened, 64)
    if turned:
        assert pair.problem == "films: both films are turned by 180 degrees: give --rotate=180"
    else:
        assert pair.problem is None and pair.used_boxes["la"] == boxes[0]
        assert len(pair.remarks) == 1 and pair.doubts == ()


def test_a_doubt_is_a_remark_and_told_apart(monkeypatch):
    opened = {
        view: OpenFilm(pathlib.Path(f"{view}.png"), RawFilm(film), remarks=(f"{view} was turned",))
        for view, film in zip(("ap", "la"), neck_films(0), strict=True)
    }
    doubtful = ViewJudgement(None, doubt="films: look at them")
    monkeypatch.setattr(film_pair, "judge_views", lambda *films, **more: doubtful)
    pair = cut_pair(opened, 64)
    assert pair.problem is None and pair.doubts == ("films: look at them",)
    assert pair.remarks == ("ap was turned", "la was turned", "films: look at them")
