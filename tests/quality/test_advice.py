"""Advice in reasons: flags that fit films which are turned and flipped already, and its words."""

import itertools
import pathlib
import types

import numpy as np
import pytest

from tests.quality.judging import PATIENT
from tests.report.necks import SPACING_MM, blurred, neck
from xctrs_tf.data.films.film_frame import FilmFrame
from xctrs_tf.data.films.pair.film_pair import OpenFilm
from xctrs_tf.data.films.pair.view_faults import FAULTS, move_on_file, rotation_flag
from xctrs_tf.data.films.raw_film import RawFilm
from xctrs_tf.quality.checks import reason_of
from xctrs_tf.quality.films.film_pose import shifted, turned
from xctrs_tf.quality.films.grey_values import grey_cause
from xctrs_tf.quality.verdict import assess
from xctrs_tf.report.report import write_report

PIXELS = np.random.default_rng(0).random((40, 40)).astype(np.float32)
FILMS = {view: getattr(neck(PATIENT), view) for view in ("ap", "la")}


def opened_pair(la=FilmFrame(), **flips):  # noqa: B008
    return {
        "ap": OpenFilm(pathlib.Path("ap.png"), RawFilm(PIXELS), FilmFrame()),
        "la": OpenFilm(pathlib.Path("la.png"), RawFilm(PIXELS, **flips), la),
    }


def reason(reference, la, opened):
    ct, labels = blurred(neck(PATIENT))
    films = {**FILMS, "la": la}
    return assess(films, ct, labels, SPACING_MM, reference, opened=opened).findings[0].reason


@pytest.mark.parametrize("flips", [{}, {"flip_horizontal": True}, {"flip_vertical": True}])
def test_a_moved_box_shows_what_lay_there_however_the_film_is_turned(flips):
    box, right, up = np.array((15, 15, 25, 25)), 3, 2
    turns = itertools.product((False, True), (False, True), (0, 90, 180, -90))
    for horizontal, vertical, degrees in turns:
        frame = FilmFrame(flip_horizontal=horizontal, flip_vertical=vertical, rotate_deg=degrees)
        opened = opened_pair(frame, **flips)
        raw = opened["la"].raw
        across, upwards = map(round, move_on_file("la", (right, up), opened))
        moved = np.add(box, (across, -upwards, across, -upwards))
        cuts = [np.asarray(frame.cut(raw, 10, tuple(map(int, each)))) for each in (box, moved)]
        np.testing.assert_array_equal(cuts[1][:-right, :-up], cuts[0][right:, up:])


def test_a_rotation_is_added_to_that_of_the_film():
    assert rotation_flag("la", 8) == "--la_rotate=8"
    assert rotation_flag("la", 8, opened_pair(FilmFrame(rotate_deg=-90))) == "--la_rotate=-82"
    assert rotation_flag("la", 8, opened_pair(FilmFrame(rotate_deg=-12.5))) == "--la_rotate=-4.5"
    # A mirrored film turns the other way.
    mirrored = opened_pair(FilmFrame(flip_horizontal=True, rotate_deg=5.0))
    assert rotation_flag("la", 8, mirrored) == "--la_rotate=-3"
    assert rotation_flag("la", 8, opened_pair(flip_horizontal=True)) == "--la_rotate=-8"


def test_the_verdict_adds_its_advice_to_the_flags_in_effect(reference):
    tilted = turned(FILMS["la"], 15)
    plain = reason(reference, tilted, None)
    degrees = int(plain.split("--la_rotate=")[1])
    assert degrees == pytest.approx(15, abs=3)
    flag = f"--la_rotate={degrees - 90}"
    assert reason(reference, tilted, opened_pair(FilmFrame(rotate_deg=-90))).endswith(flag)


def test_the_verdict_takes_back_a_flag_that_is_wrong(reference):
    mirrored = opened_pair(FilmFrame(flip_horizontal=True))
    assert reason(reference, FILMS["la"][::-1], mirrored) == (
        "films: the lateral film faces right: give --nola_flip_horizontal"
    )


def test_a_move_is_told_as_the_file_shows_it(reference):
    higher = shifted(FILMS["la"], (0, 4))
    words = {
        None: "up",
        FilmFrame(flip_vertical=True): "down",
        FilmFrame(rotate_deg=180): "down",
        # Clockwise by 90 degrees, what is up now was on the left.
        FilmFrame(rotate_deg=90): "left",
    }
    for frame, word in words.items():
        opened = None if frame is None else opened_pair(frame)
        told = reason(reference, higher, opened)
        assert "the lateral film shows the neck" in told and "mm higher" in told
        assert told.endswith(f" mm {word}")


def test_the_report_judges_films_with_the_frames_that_they_were_cut_by(tmp_path, monkeypatch):
    given = []

    def judging(*arguments):
        given.append(arguments)
        return assess(*arguments)

    monkeypatch.setattr("xctrs_tf.report.report.assess", judging)
    ct, labels = blurred(neck(PATIENT))
    result = types.SimpleNamespace(
        ct_hu=ct,
        segmentation=labels,
        spacing_mm=SPACING_MM,
        origin_mm=(0.0,) * 3,
        models=(),
        date=None,
        mirror=False,
        uncertainty=None,
        metadata=None,
        pair=None,
    )
    frames = dict.fromkeys(FILMS, FilmFrame(spacing_mm=SPACING_MM, rotate_deg=-90))
    pair = types.SimpleNamespace(
        opened=opened_pair(FilmFrame(rotate_deg=-90)),
        frames=frames,
        record=lambda: None,
        checked=True,
    )
    result.pair = pair
    write_report(tmp_path, result, FILMS)
    assert {view: each.frame for view, each in given[0][-1].items()} == frames


def test_every_fault_has_a_name_of_its_own():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


BOUNDS = {"review": [0.9, None], "fail": [0.5, None]}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("la_contrast", -0.83, "LA film: its local contrast is 0.44 times that of the training"),
        ("ap_noise", 0.5, "its noise and fine detail are 1.65 times those of the training films"),
        ("ap_zoom", 0.3, "AP film: the neck is 1.35 times as large as on the training films"),
        ("la_turn", 3.2, "LA film: rotated by 3 degrees anticlockwise compared with the training"),
        ("la_turn", -12.0, "rotated by 12 degrees clockwise compared with the training films"),
        ("height_match", 0.8641, "at the same height (correlation 0.864; usual from 0.900)"),
        ("ap_reprojection", 0.71, "does not explain it (correlation 0.710; usual from 0.900)"),
    ],
)
def test_messages_tell_factors_directions_and_bounds(name, value, words):
    told = reason_of(name, value, BOUNDS)
    assert words in told and "logarithm" not in told and "beside" not in told


def test_a_message_needs_no_bound():
    open_ended = {"review": [None, 3.0], "fail": [None, None]}
    assert reason_of("ap_likeness", 4.0, open_ended).endswith("(correlation 4.000)")
    assert "volume of C3" in reason_of("volume", 1e99, open_ended, "C3")


def test_a_curve_of_the_grey_values_is_told_as_gamma():
    quantiles = np.linspace(0, 1, 33).tolist()
    film = np.linspace(0, 1, 64 * 64).reshape(64, 64) ** 2.4
    cause = grey_cause("ap", film, ["ap_histogram"], {}, {"quantiles": quantiles})
    assert "as after a gamma curve of 2.4: give it without a processing curve" in cause.reason
