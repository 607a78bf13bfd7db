"""The thresholds of neck64 on the films of the example, a patient that it was not trained on."""

import json

import numpy as np
import pytest

from xctrs_tf.data.films.film import read_film
from xctrs_tf.data.films.pair.height_match import brightness_correlation, match_heights
from xctrs_tf.data.films.pair.view_check import judge_views
from xctrs_tf.pretrained import pretrained_folder
from xctrs_tf.quality.faults.film_faults import MADE_FAULTS, FaultInput
from xctrs_tf.quality.films.film_scores import film_scores
from xctrs_tf.quality.verdict import Scored, verdict_of

SPACING_MM = 2.5


@pytest.fixture(scope="module")
def shipped():
    file = pretrained_folder("neck64") / "assets.extra" / "metadata.json"
    return json.loads(file.read_text(encoding="utf-8"))["quality"]


@pytest.fixture(scope="module")
def films():
    folder = pretrained_folder("neck64").parent / "example"
    return {view: read_film(folder / f"{view}.png", view, 64) for view in ("ap", "la")}


def judge(films, shipped):
    scores = film_scores(films, shipped["films"])
    return verdict_of(Scored(scores, {}, films=films, spacing_mm=SPACING_MM), shipped)


def made(fault, films):
    changed = MADE_FAULTS[fault].films(FaultInput(films, films, SPACING_MM))
    return {view: np.asarray(film, np.float32) for view, film in changed.items()}


def test_the_films_of_the_example_pass(films, shipped):
    assert judge(films, shipped).level == "pass"


def test_local_contrast_does_not_part_the_two_films_of_a_patient(films, shipped):
    enhanced = made("local contrast (CLAHE)", films)
    assert judge_views(**enhanced).problem is None
    verdict = judge(enhanced, shipped)
    assert verdict.failing.get("height_match") != "fail"
    assert not any("crop_box" in finding.reason for finding in verdict.findings)
    # Brightness alone agrees less than where a box is off by a tenth of its edge.
    moved = {**films, "la": np.roll(films["la"], 6, axis=1)}
    assert brightness_correlation(**enhanced) < 0.99 < brightness_correlation(**films)
    matches = [match_heights(**pair, moved=False).score for pair in (films, enhanced, moved)]
    assert matches == sorted(matches, reverse=True)


def test_a_box_that_is_off_is_told(films, shipped):
    verdict = judge(made("la crop off by 20 mm", films), shipped)
    assert verdict.level == "fail" and verdict.findings[0].cause in ("la shifted", "heights differ")
