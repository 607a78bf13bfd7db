"""Calibrations read from files: good ones, and ones with a part that cannot be."""

import json

import pytest

from tests.quality.references import plain_reference
from xctrs_tf.errors import UserError
from xctrs_tf.quality.reference import check_reference


def test_a_good_reference():
    check_reference(plain_reference(), "F")


@pytest.mark.parametrize("reference", [None, [], "pass", {}, {"format": "xctrs-quality/2"}])
def test_another_format(reference):
    with pytest.raises(UserError, match=r"F: not of format xctrs-quality/1; run experiments\.cal"):
        check_reference(reference, "F")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("films/la", None, "damaged"),
        ("films/la/thumbnail", [[0.5] * 32] * 31, "films, la, thumbnail is impossible"),
        ("films/la/thumbnail", [[float("nan")] * 32] * 32, "films, la, thumbnail is impossible"),
        ("films/ap/quantiles", ["0.5"] * 33, "films, ap, quantiles is impossible"),
        ("anatomy/volume", [], "damaged"),
        ("anatomy/volume/C3", [8.5], "damaged"),
        ("anatomy/volume/C3", [8.5, 0.0], "anatomy, volume, C3 is impossible"),
        ("anatomy/volume/C3", [float("inf"), 0.1], "anatomy, volume, C3 is impossible"),
        ("anatomy/volume/C9", [8.5, 0.1], "anatomy, volume, C9 is impossible"),
        ("anatomy/spacing/C3-C5", [8.5, 0.1], "anatomy, spacing, C3-C5 is impossible"),
        ("thresholds", None, "damaged"),
        ("thresholds/ap_zoom", {}, "damaged"),
        ("thresholds/ap_zoom/fail", [0.4], "damaged"),
        ("thresholds/ap_zoom/fail", [0.4, -0.4], "thresholds, ap_zoom, fail is impossible"),
        (
            "thresholds/ap_zoom/fail",
            [float("nan"), None],
            "thresholds, ap_zoom, fail is impossible",
        ),
        ("thresholds/ap_zoom/fail", ["a", None], "thresholds, ap_zoom, fail is impossible"),
        ("thresholds/other", {"review": [None] * 2, "fail": [None] * 2}, "thresholds, other, rev"),
    ],
)
def test_a_part_that_no_calibration_has_is_named(path, value, message):
    reference = json.loads(json.dumps(plain_reference()))
    place = reference
    *folders, name = path.split("/")
    for folder in folders:
        place = place[folder]
    place[name] = value
    with pytest.raises(UserError, match=f"F: {message}"):
        check_reference(reference, "F")
