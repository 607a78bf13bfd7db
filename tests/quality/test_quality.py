import json

import numpy as np
import pytest
from scipy import ndimage

from tests.report.necks import SPACING_MM, blurred, neck
from xctrs_tf.errors import UserError
from xctrs_tf.quality.calibration import calibrate, thresholds
from xctrs_tf.quality.checks import CHECKS
from xctrs_tf.quality.faults import FAULTS, detection_rates, enlarged
from xctrs_tf.quality.film_scores import film_statistics, likely_mistake
from xctrs_tf.quality.reprojection import reproject
from xctrs_tf.quality.verdict import assess
from xctrs_tf.quality.vertebra_labels import missing, out_of_order

PATIENT = 7


@pytest.fixture(scope="module")
def reference():
    cases = [neck(seed) for seed in range(100, 124)]
    made = calibrate(cases[:12], cases[12:], blurred, false_alarm_rate=0.05)
    return json.loads(json.dumps(made, allow_nan=False))


@pytest.fixture
def patient():
    return neck(PATIENT)


def judge(patient, reference, ap=None, la=None, ct=None, labels=None):
    """Return the verdict on a good reconstruction, with the given parts replaced."""
    good_ct, good_labels = blurred(patient)
    films = {"ap": patient.ap if ap is None else ap, "la": patient.la if la is None else la}
    return assess(
        films,
        good_ct if ct is None else ct,
        good_labels if labels is None else labels,
        SPACING_MM,
        reference,
    )


def found(verdict):
    return {finding.check for finding in verdict.findings}


def reason_of(verdict, check):
    (reason,) = (finding.reason for finding in verdict.findings if finding.check == check)
    return reason


def test_a_good_reconstruction_passes(patient, reference):
    verdict = judge(patient, reference)
    assert (verdict.level, verdict.findings) == ("pass", [])
    assert set(verdict.scores) == set(CHECKS)


def test_false_alarms_are_rare(reference):
    levels = [judge(neck(seed), reference).level for seed in range(200, 212)]
    assert levels.count("pass") >= 10 and "fail" not in levels


def test_swapped_films(patient, reference):
    verdict = judge(patient, reference, ap=patient.la, la=patient.ap)
    assert verdict.level == "fail"
    assert "may be swapped" in reason_of(verdict, "unswapped")


def test_mirrored_lateral_film(patient, reference):
    verdict = judge(patient, reference, la=patient.la[::-1])
    assert "may be mirrored" in reason_of(verdict, "la_unmirrored")
    assert reason_of(verdict, "la_likeness").endswith("it may be mirrored")


@pytest.mark.parametrize("view", ["ap", "la"])
def test_upside_down_film(patient, reference, view):
    verdict = judge(patient, reference, **{view: getattr(patient, view)[:, ::-1]})
    assert verdict.level == "fail"
    assert "may be upside down" in reason_of(verdict, f"{view}_upright")
    assert "agreement" in found(verdict)


@pytest.mark.parametrize("view", ["ap", "la"])
def test_inverted_film(patient, reference, view):
    verdict = judge(patient, reference, **{view: -getattr(patient, view)})
    assert verdict.level == "fail"
    assert reason_of(verdict, f"{view}_likeness").endswith("it may be inverted")


def test_an_ap_film_is_never_called_mirrored(patient, reference):
    verdict = judge(patient, reference, ap=patient.ap[::-1])
    assert not any("mirrored" in finding.reason for finding in verdict.findings)


@pytest.mark.parametrize("factor", [0.6, 1.6])
def test_another_field_of_view(patient, reference, factor):
    verdict = judge(patient, reference, la=enlarged(patient.la, factor))
    assert "field of view" in reason_of(verdict, "la_zoom")
    assert verdict.scores["la_zoom"] == pytest.approx(np.log(factor), abs=0.1)


def test_another_histogram(patient, reference):
    verdict = judge(patient, reference, la=(patient.la / patient.la.max()) ** 6)
    assert "grey values" in reason_of(verdict, "la_histogram")


def test_films_of_two_patients(patient, reference):
    verdict = judge(patient, reference, la=neck(8).la)
    assert "rows disagree" in reason_of(verdict, "agreement")


def test_a_reconstruction_that_does_not_explain_its_films(patient, reference):
    verdict = judge(patient, reference, ct=np.roll(blurred(patient)[0], 3, axis=0))
    assert "does not explain" in reason_of(verdict, "ap_reprojection")
    assert "la_reprojection" not in found(verdict)


def test_error_map_is_reprojection_less_film(patient):
    ct = patient.ct.copy()
    ct[10:14, :, 20:23] = 1500
    verdict = assess({"ap": patient.ap, "la": patient.la}, ct, None, SPACING_MM)
    error = verdict.errors["ap"]
    assert error.shape == (32, 32)
    assert error[10:14, 20:23].min() > 0.3
    assert np.unravel_index(error.argmax(), error.shape)[0] in range(10, 14)


def test_reprojection_of_a_constant_volume_is_black():
    films = reproject(np.full((3, 4, 5), -1000, np.int16), 1.0)
    assert (films["ap"].shape, films["la"].shape) == ((3, 5), (4, 5))
    assert not films["ap"].any()


def test_missing_vertebra(patient, reference):
    labels = patient.segmentation.copy()
    labels[labels == 4] = 0
    verdict = judge(patient, reference, labels=labels)
    assert verdict.level == "fail"
    assert reason_of(verdict, "missing") == "anatomy: C4 missing"
    assert missing(labels) == ["C4"] and out_of_order(labels) == []


def test_labels_like_noise(patient, reference):
    labels = patient.segmentation.copy()
    noise = np.random.default_rng(0).random(labels.shape) < 0.5
    labels[noise & (labels == 0)] = 5
    verdict = judge(patient, reference, labels=labels)
    assert verdict.level == "fail"
    assert reason_of(verdict, "scattered") == "anatomy: C5 scattered like noise: no surface"


def test_vertebrae_out_of_order(patient, reference):
    exchange = np.array([0, 1, 2, 5, 4, 3, 6, 7], np.uint8)
    labels = exchange[patient.segmentation]
    verdict = judge(patient, reference, labels=labels)
    assert reason_of(verdict, "order") == (
        "anatomy: C3-C4, C4-C5 in the wrong order from top to bottom"
    )


def test_wrong_volume(patient, reference):
    labels = patient.segmentation.copy()
    labels[ndimage.binary_dilation(labels == 6, iterations=3) & (labels == 0)] = 6
    assert "volume of C6" in reason_of(judge(patient, reference, labels=labels), "volume")


def test_wrong_spacing(patient, reference):
    labels = patient.segmentation.copy()
    labels[labels == 7] = 0
    labels[np.roll(patient.segmentation == 7, 7, axis=1) & (labels == 0)] = 7
    verdict = judge(patient, reference, labels=labels)
    assert "distance C6-C7" in reason_of(verdict, "spacing")


def test_a_vertebra_in_pieces(patient, reference):
    labels = patient.segmentation.copy()
    rest = np.argwhere(labels == 3)
    labels[tuple(rest[len(rest) // 2 :].T)] = 0
    labels[1:7, 25:31, 14:17] = 3
    assert "C3 is in pieces" in reason_of(judge(patient, reference, labels=labels), "fragments")


def test_without_calibration_nothing_passes(patient):
    verdict = judge(patient, None)
    assert verdict.level == "review" and "not calibrated" in verdict.findings[0].reason


def test_without_segmentation_the_films_are_judged(patient, reference):
    films = {"ap": patient.ap, "la": patient.la}
    verdict = assess(films, blurred(patient)[0], None, SPACING_MM, reference)
    assert verdict.level == "pass" and "volume" not in verdict.scores


def test_the_worst_finding_decides_and_comes_first(patient, reference):
    labels = patient.segmentation.copy()
    labels[labels == 1] = 0
    verdict = judge(patient, reference, labels=labels, la=(patient.la / patient.la.max()) ** 6)
    levels = [finding.level for finding in verdict.findings]
    assert verdict.level == levels[0] == "fail"
    assert levels == sorted(levels, key=["fail", "review"].index)


def test_another_format_is_refused(patient):
    with pytest.raises(UserError, match="not of format xctrs-quality/1"):
        judge(patient, {"format": "other"})


def test_calibration_refuses_too_few_patients_and_odd_rates():
    cases = [neck(seed) for seed in range(100, 107)]
    with pytest.raises(UserError, match="7 held-out patients are too few"):
        calibrate(cases, cases, blurred)
    with pytest.raises(UserError, match="--false_alarm_rate=0"):
        calibrate(cases, cases, blurred, false_alarm_rate=0)


def test_calibration_records_its_patients_and_rates(reference):
    assert (reference["training"], reference["held_out"]) == (12, 12)
    assert reference["false_alarm_rate"]["asked"] == 0.05
    assert 0 <= reference["false_alarm_rate"]["leave_one_out"] <= 0.34


def test_rates_of_detection(reference):
    cases = [neck(seed) for seed in range(300, 304)]
    rates = detection_rates(cases, blurred, reference)
    assert rates.keys() == FAULTS.keys()
    assert all(sum(shares.values()) == pytest.approx(1) for shares in rates.values())
    assert rates["none"]["pass"] >= 0.75
    # This stand-in for a model always returns the true patient, so its reconstruction
    # does not explain the altered films.
    assert {name for name, shares in rates.items() if shares["pass"] > 0.5} == {"none"}


def test_faults_give_different_films():
    own, other = ({v: getattr(neck(seed), v) for v in ("ap", "la")} for seed in (1, 2))
    pairs = [fault(own, other) for fault in FAULTS.values()]
    for index, pair in enumerate(pairs):
        assert all(film.shape == (32, 32) for film in pair.values())
        for later in pairs[:index]:
            assert any(not np.array_equal(pair[view], later[view]) for view in pair)


def test_thresholds_of_a_normal_sample():
    generator = np.random.default_rng(0)
    values = generator.normal(1.0, 0.2, 4000)
    bounds = thresholds([{"unswapped": value} for value in values], 0.16)["unswapped"]
    # The rate of 0.16 is divided among 16 checks: 1 % is a tail of 2.326 deviations.
    assert len(CHECKS) == 16
    assert bounds["review"][0] == pytest.approx(1.0 - 2.326 * 0.2, abs=0.02)
    assert bounds["review"][1] is None
    assert bounds["fail"][0] == pytest.approx(1.0 - 3.540 * 0.2, abs=0.03)


def test_only_a_lateral_film_is_called_mirrored():
    film = np.random.default_rng(0).random((64, 64))
    statistics = {view: film_statistics([film]) for view in ("ap", "la")}
    assert likely_mistake(film, "la", statistics) is None
    assert likely_mistake(film[::-1], "la", statistics) == "mirrored"
    assert likely_mistake(film[::-1], "ap", statistics) != "mirrored"
    assert likely_mistake(film[:, ::-1], "ap", statistics) == "upside down"
