import numpy as np
import pytest
from scipy import ndimage

from tests.quality.judging import found, judge, only_cause, reason_of
from tests.report.necks import SPACING_MM, blurred
from xctrs_tf.quality.films.film_pose import shifted
from xctrs_tf.quality.vertebra_labels import missing, out_of_order


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


def test_a_neck_that_lies_elsewhere_on_both_films_is_one_finding(patient, reference):
    down = 4
    films = {view: shifted(getattr(patient, view), (0, -down)) for view in ("ap", "la")}
    ct, labels = (ndimage.shift(array, (0, 0, -down), order=0) for array in blurred(patient))
    verdict = judge(patient, reference, **films, ct=ct, labels=labels)
    assert "position" in verdict.failing
    assert verdict.scores["position"] == pytest.approx(down * SPACING_MM, abs=3)
    assert "both shifted" in {finding.cause for finding in verdict.findings}
    assert found(verdict) & {"position", "spacing", "volume"} == set()


def test_labels_that_lie_elsewhere(patient, reference):
    labels = np.roll(patient.segmentation, (3, -3), axis=(0, 1))
    verdict = judge(patient, reference, labels=labels)
    away = verdict.scores["position"]
    assert away == pytest.approx(np.sqrt(18) * SPACING_MM, abs=2)
    reason = reason_of(verdict, "position")
    assert f"C1 to C7 lie {away:.2f} mm from where" in reason
    assert "mm left" in reason and "mm anterior" in reason and "superior" not in reason
    assert only_cause(verdict) == "both shifted"


def test_the_place_of_a_neck_counts_without_the_vertebrae_that_are_missing(patient, reference):
    labels = np.where(patient.segmentation == 7, 0, patient.segmentation)
    assert judge(patient, reference, labels=labels).scores["position"] < 3


def test_calibrations_without_positions_judge_as_before(patient, reference):
    old = {
        **reference,
        "anatomy": {k: v for k, v in reference["anatomy"].items() if k != "position"},
    }
    labels = np.roll(patient.segmentation, 3, axis=0)
    assert "position" not in judge(patient, old, labels=labels).scores
