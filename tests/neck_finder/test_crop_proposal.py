import functools

import numpy as np
import pytest

from tests.neck_finder.marked_films import HEIGHT, find_marks, marked_film
from xctrs_tf.data.films.film_frame import FilmFrame
from xctrs_tf.data.films.raw_film import RawFilm
from xctrs_tf.errors import UserError
from xctrs_tf.neck_finder.crop_proposal import MIN_MARGIN, differences, propose_crop
from xctrs_tf.neck_finder.neck_search import FoundNeck, Orientation, search_neck

SEARCH = functools.partial(search_neck, network=find_marks)
SHAPE, CENTRE = (230, 260), (110, 140)


def raw_film(angle=0, mirrored=False, inverted=False, **options):
    film = marked_film(SHAPE, CENTRE, angle, mirrored)
    return RawFilm(-film if inverted else film, **({"pixel_mm": (1.0, 1.0)} | options))


def told(proposal):
    return proposal.tell(proposal.frame)


def propose(film, frame=FilmFrame(), view="la", field_mm=100, fixed=()):  # noqa: B008
    return propose_crop(film, frame, view, field_mm, fixed, SEARCH)


def check_upright(part):
    """Check that a cut shows the bright disc in its middle and the dark bar above, to the left."""
    part = np.ma.filled(part, 0)
    disc, bar = (np.argwhere(sign * part > 1.5).mean(0) for sign in (1, -1))
    np.testing.assert_allclose(disc, (np.array(part.shape) - 1) / 2, atol=2.5)
    assert (bar - disc) / HEIGHT == pytest.approx((-0.15, 0.5), abs=0.09)


@pytest.mark.parametrize(
    ("angle", "mirrored", "header"),
    [
        (0, False, {}),
        (90, True, {}),
        (180, False, {}),
        (180, True, {"flip_horizontal": True}),
        (-90, False, {"flip_horizontal": True}),
        (20, True, {"flip_vertical": True}),
        (180, False, {"flip_vertical": True}),
    ],
)
def test_the_proposed_cut_is_centred_and_upright(angle, mirrored, header):
    film = raw_film(angle, mirrored, **header)
    proposal = propose(film)
    check_upright(proposal.frame.cut(film, 50))
    assert proposal.frame.crop_box is not None


def test_an_inverted_film_is_inverted_and_said():
    film = raw_film(inverted=True)
    proposal = propose(film)
    check_upright(proposal.frame.cut(film, 50))
    assert "--la_invert" in told(proposal)[0]


def test_the_sentence_tells_the_flags_that_give_the_same_cut():
    proposal = propose(raw_film(mirrored=True))
    left, top, right, bottom = proposal.frame.crop_box
    flags = f"--la_crop_box={left},{top},{right},{bottom} --la_flip_horizontal"
    assert flags in told(proposal)[0]
    assert proposal.record["crop_box"] == [left, top, right, bottom]


def test_given_flags_win():
    frame = FilmFrame(flip_horizontal=True, rotate_deg=5.0)
    proposal = propose(raw_film(), frame, fixed=("turn", "mirror", "invert"))
    assert proposal.frame.flip_horizontal
    assert proposal.frame.rotate_deg == 5.0
    assert "mirrored" in told(proposal)[-1]


def test_the_square_has_the_width_of_the_network_in_mm():
    proposal = propose(raw_film(pixel_mm=(0.5, 0.5)), field_mm=60)
    left, top, right, bottom = proposal.frame.crop_box
    assert (right - left, bottom - top) == (120, 120)


def test_a_film_that_the_square_fills_is_taken_as_it_is():
    film = RawFilm(marked_film((120, 120), (58, 63)), (1.0, 1.0))
    proposal = propose(film, field_mm=112)
    assert (proposal.frame, told(proposal)) == (FilmFrame(), [])
    # A box that was not used is no part of the record.
    assert "crop_box" not in proposal.record and proposal.record["score"] > 0


@pytest.mark.parametrize(
    ("centre", "field_mm", "line"),
    [
        ((58, 63), 132, None),
        ((58, 63), 150, "the neck fills the film: the network sees 150 mm, 150 pixels, and the "),
        ((50, 63), 110, None),
        ((38, 63), 110, "the neck is at the film's edge: the square of 110 mm around it reaches "),
    ],
)
def test_a_square_film_that_is_too_small_for_the_box_is_taken_whole_and_told(
    centre, field_mm, line
):
    film = RawFilm(marked_film((120, 120), centre), (1.0, 1.0))
    proposal = propose(film, field_mm=field_mm)
    assert proposal.frame == FilmFrame()
    if line is None:
        assert told(proposal) == []
    else:
        (found,) = told(proposal)
        assert found.startswith(line)
        assert found.endswith("; all of it is taken: look at films.png")


def test_a_box_that_is_wider_than_the_film_by_rounding_is_cut_out():
    film = raw_film()
    box = propose(film, field_mm=232).frame.crop_box
    assert (box[2] - box[0], box[3] - box[1]) == (230, 232)
    propose(film, field_mm=232).frame.cut(film, 50)


def test_no_box_is_told_as_moved_where_none_is_used():
    film = RawFilm(marked_film((120, 120), (50, 63), mirrored=True), (2.0, 2.0))
    (line,) = told(propose(film, field_mm=220))
    assert line == "C1 to C7 are found: taken as --la_flip_horizontal (it faces right)"


@pytest.mark.parametrize(
    ("film", "field_mm", "words"),
    [
        (RawFilm(np.zeros((90, 120), np.float32), (1.0, 1.0)), 80, "no neck"),
        (raw_film(), 300, "the neck fills the film"),
        # Wide enough up, and too narrow across for a square box.
        (raw_film(), 240, "the neck fills the film: .* 240 pixels, and the film has 230; take"),
        (RawFilm(marked_film(SHAPE, (45, 140)), (1.0, 1.0)), 160, "at the film's edge"),
    ],
)
def test_films_without_a_box_are_refused(film, field_mm, words):
    with pytest.raises(UserError, match=words):
        propose(film, field_mm=field_mm)


@pytest.mark.parametrize("shape", [(240, 240), SHAPE])
def test_a_doubt_about_the_orientation_is_told_and_refuses_films_that_are_not_square(shape):
    def search(picture, view, candidates):
        margins = {"turn": 9.0, "mirror": MIN_MARGIN - 1, "invert": 9.0}
        return FoundNeck((110.0, 130.0), 60.0, 0.0, True, False, 5.0, margins)

    film = RawFilm(marked_film(shape, CENTRE), (1.0, 1.0))
    words = "perhaps it faces right, but that is not certain; look at"
    if shape == SHAPE:
        with pytest.raises(UserError, match=words):
            propose_crop(film, FilmFrame(), "la", 100, (), search)
        return
    proposal = propose_crop(film, FilmFrame(), "la", 100, (), search)
    assert not proposal.frame.flip_horizontal
    assert told(proposal)[-1] == f"{words} films.png, and give --la_flip_horizontal if so"


def test_only_what_differs_needs_a_margin():
    margins = {"turn": MIN_MARGIN + 1, "mirror": MIN_MARGIN - 1, "invert": MIN_MARGIN - 1}
    found = FoundNeck((100.0, 100.0), 60.0, 170.0, True, False, 5.0, margins)
    assert differences(found, Orientation(2, True)) == (set(), [])
    assert differences(found, Orientation(0, True)) == ({"turn"}, [])
    assert differences(found, Orientation()) == ({"turn", "mirror"}, ["mirror"])


def test_a_given_turn_is_not_turned_on_by_a_tilt_of_over_45_degrees():
    def search(picture, view, candidates):
        return FoundNeck((110.0, 130.0), 60.0, 47.0, False, False, 5.0, {"turn": 9.0})

    frame = FilmFrame(rotate_deg=40.0)
    proposal = propose_crop(raw_film(), frame, "la", 100, ("turn",), search)
    assert proposal.frame.rotate_deg == 40.0
    assert "--la_rotate" not in told(proposal)[0]
