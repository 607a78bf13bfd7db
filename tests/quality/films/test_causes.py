"""Which cause is named, which checks it takes, and in which order findings stand."""

import dataclasses
import json
import pathlib
import re

import numpy as np
import pytest

from tests.quality.judging import PATIENT, judge, only_cause
from tests.report.necks import SPACING_MM, blurred, neck
from xctrs_tf.data.films.film_frame import FilmFrame
from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.data.films.pair.film_pair import OpenFilm
from xctrs_tf.data.films.pair.height_match import HeightMatch
from xctrs_tf.data.films.pair.view_faults import FAULTS
from xctrs_tf.data.films.raw_film import RawFilm
from xctrs_tf.quality.faults.film_faults import MADE_FAULTS, FaultInput
from xctrs_tf.quality.films.candidate_causes import candidate_causes
from xctrs_tf.quality.films.causes import likely_cause, misplaced_parts
from xctrs_tf.quality.films.film_pose import enlarged, shifted
from xctrs_tf.quality.films.grey_values import covering_cause
from xctrs_tf.quality.verdict import score, verdict_of

VIEWS = ("ap", "la")
FILMS = {view: getattr(neck(PATIENT), view) for view in VIEWS}


def made(fault):
    return MADE_FAULTS[fault].films(FaultInput(FILMS, FILMS, SPACING_MM))


def normalised(films):
    return {view: normalise_film(film) for view, film in films.items()}


def lower(films, pixels=4):
    """Return films whose necks lie lower by some pixels."""
    return {view: shifted(films[view], (0, -pixels)) for view in VIEWS}


def cause_of(reference, films, failing):
    thresholds = reference["thresholds"]
    return likely_cause(normalised(films), reference["films"], thresholds, SPACING_MM, failing)


def test_a_cause_is_credited_only_with_what_fails(reference):
    films = lower(FILMS)
    found = cause_of(reference, films, ["ap_shift", "la_shift"])
    assert found.name == "both shifted" and set(found.parts) == {"ap", "la"}
    # A common shift changes nothing in how both films agree.
    assert cause_of(reference, films, ["height_match"]) is None
    # What is wrong with the grey values follows from no place.
    assert cause_of(reference, films, ["ap_contrast", "la_noise"]) is None


def test_a_cause_takes_no_check_that_it_cannot_explain(reference):
    films = lower(FILMS)
    ct, labels = blurred(neck(PATIENT))
    scored = score(films, ct, labels, SPACING_MM, reference)
    strict = json.loads(json.dumps(reference))
    strict["thresholds"]["height_match"]["review"] = [0.9999, None]
    strict["thresholds"]["height_match"]["fail"] = [0.1, None]
    findings = {finding.cause: finding for finding in verdict_of(scored, strict).findings}
    assert "ap_shift" in findings["both shifted"].checks
    assert "height_match" not in findings["both shifted"].checks
    # It stands alone, with its value and the bound.
    value = scored.scores["height_match"]
    assert findings[None].reason == (
        "films: AP and LA do not show the same neck at the same height "
        f"(correlation {value:.3f}; usual from 1.000)"
    )


def test_the_checks_of_one_film_say_nothing_of_the_other():
    names = ["ap_turn", "la_contrast", "volume", "la_reprojection"]
    assert misplaced_parts(names) == {"ap"}
    assert misplaced_parts(["unswapped", "la_unmirrored"]) == {"ap", "la"}
    assert misplaced_parts(["agreement"]) == misplaced_parts(["height_match"]) == {"pair"}


def test_a_film_on_its_side_is_named_by_the_way_it_was_turned():
    undone = {fault.name: fault.undo for fault in FAULTS}
    for view in VIEWS:
        # Made faults count degrees counter-clockwise.
        fault = MADE_FAULTS[f"{view} turned by 90 degrees"]
        assert fault.causes == (f"{view} turned counter-clockwise",)
        assert undone[fault.causes[0]] == {view: "clockwise"}


def test_a_name_that_both_lists_of_faults_have_is_one_fault():
    both = {fault.name for fault in FAULTS} & set(MADE_FAULTS)
    assert {name: (name,) for name in both} == {name: MADE_FAULTS[name].causes for name in both}


def test_the_cause_stands_before_its_consequences(patient, reference):
    labels = np.where(patient.segmentation == 4, 0, patient.segmentation)
    verdict = judge(patient, reference, ap=-patient.ap, la=-patient.la, labels=labels)
    assert [finding.level for finding in verdict.findings] == ["fail", "fail"]
    assert [finding.cause for finding in verdict.findings] == ["both inverted", None]
    assert verdict.findings[1].check == "missing"


def test_a_worse_finding_stands_before_a_cause(patient, reference):
    labels = np.where(patient.segmentation == 4, 0, patient.segmentation)
    scored = score(lower(FILMS, 2), blurred(patient)[0], labels, SPACING_MM, reference)
    wide = json.loads(json.dumps(reference))
    for bounds in wide["thresholds"].values():
        bounds["fail"] = [None, None]
    verdict = verdict_of(dataclasses.replace(scored, films=normalised(lower(FILMS, 2))), wide)
    assert (verdict.level, verdict.findings[0].check) == ("fail", "missing")


def test_a_cause_does_not_spoil_what_passes(reference):
    # Moving one of two films that lie too low alike would part them in height.
    assert cause_of(reference, lower(FILMS), ["ap_shift"]).name == "both shifted"


def test_calibrations_of_format_2_are_judged_by_their_own_score(patient, reference):
    old = json.loads(json.dumps(reference))
    old["format"] = "xctrs-quality/2"
    old["thresholds"]["height_agreement"] = old["thresholds"].pop("height_match")
    good = judge(patient, old)
    assert good.level == "pass"
    assert "height_agreement" in good.scores and "height_match" not in good.scores
    verdict = judge(patient, old, la=neck(8).la)
    assert "height_agreement" in verdict.failing
    new = judge(patient, reference)
    assert "height_match" in new.scores and "height_agreement" not in new.scores


@pytest.mark.parametrize(
    ("pixel_mm", "spacing_mm", "advice"),
    [
        ((None, None), None, "make --la_crop_box 1.20 times as wide"),
        # The box of the film of unknown size is changed, or the voxel.
        ((None, 0.6), None, "make --la_crop_box 1.20 times as wide"),
        ((0.5, 0.6), 2.5, "give --la_pixel_mm=0.5"),
        ((0.5, 0.6), None, "give --la_pixel_mm=0.5 and make --la_crop_box 1.20 times as wide"),
        # No flag gives two sizes.
        ((0.5, (0.6, 0.48)), 2.5, "correct the pixel size in the LA film's file to 0.5 x 0.4 mm"),
    ],
)
def test_advice_on_the_scale_of_one_film_counts(reference, pixel_mm, spacing_mm, advice):
    reasons = scale_reasons(reference, pixel_mm, spacing_mm)
    assert [each.rpartition(": ")[2] for each in reasons if "lateral film shows" in each] == [
        advice
    ]


def test_advice_on_the_scale_of_both_films_counts(reference):
    (boxes,) = (each for each in scale_reasons(reference, (0.5, 0.6), None) if "both" in each)
    assert re.search(r"make --ap_crop_box and --la_crop_box [\d.]+ times as wide", boxes)
    # With --spacing_mm the width of a box counts where the film's pixels have no size.
    (mixed,) = (each for each in scale_reasons(reference, (0.5, None), 2.5) if "both" in each)
    assert re.search(r": give --ap_pixel_mm=0\.\d+ and make --la_crop_box [\d.]+ times", mixed)


def scale_reasons(reference, pixel_mm, spacing_mm):
    """Return what is said of the scale of films of pixels of these sizes."""
    opened = {
        view: OpenFilm(
            pathlib.Path(f"{view}.dcm"),
            RawFilm(FILMS[view], mm and tuple(np.broadcast_to(mm, 2))),
            FilmFrame(spacing_mm=mm and spacing_mm),
        )
        for view, mm in zip(VIEWS, pixel_mm, strict=True)
    }
    films = {view: enlarged(film, 1.3) for view, film in normalised(FILMS).items()}
    match = HeightMatch(0.0, 1.2, 0.99, 1.0)
    given = (films, reference["films"], SPACING_MM, match, match, opened)
    return [cause.reason for cause, *_ in candidate_causes(*given) if "scale" in cause.name]


@pytest.mark.parametrize("fault", ["bright border", "dark border"])
def test_a_border_is_named(patient, reference, fault):
    assert only_cause(judge(patient, reference, **made(fault))) == "both border"


def beside_air(film):
    """Return a film with air to the left and to the right of the body."""
    film = np.array(normalise_film(film))
    film[:6], film[-6:] = 0.0, 0.0
    return film


def test_air_beside_the_body_is_no_border(reference):
    statistics = reference["films"]["ap"]
    film = beside_air(FILMS["ap"])
    assert covering_cause("ap", film, statistics, 0.1) is None
    # The collimator is bright, since no rays come there, and a dark border is on all sides.
    film[:6], film[-6:] = 1.0, 1.0
    assert covering_cause("ap", film, statistics, 0.1).name == "ap border"
    film[:6], film[-6:], film[:, -4:] = 0.0, 0.0, 0.0
    assert covering_cause("ap", film, statistics, 0.1).name == "ap border"


def test_films_are_normalised_once(patient, reference, monkeypatch):
    counted = []

    def counting(film, *way):
        counted.append(film)
        return normalise_film(film, *way)

    for module in ("verdict", "reprojection", "films.film_scores"):
        monkeypatch.setattr(f"xctrs_tf.quality.{module}.normalise_film", counting)
    score(FILMS, *blurred(patient), SPACING_MM, reference)
    # Both films, and both of the re-projection.
    assert len(counted) == 4
