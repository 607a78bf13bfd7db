"""Calibrations read from files: good ones, and ones with a part that cannot be."""

import json

import pytest

from tests.quality.references import plain_reference
from xctrs_tf.errors import UserError
from xctrs_tf.quality.reference import check_reference

NO_BOUNDS = {"mean": 0.0, "review": [None] * 2, "fail": [None] * 2}


def test_a_good_reference():
    check_reference(plain_reference(), "F")


def test_format_1_is_read():
    old = plain_reference()
    old["format"] = "xctrs-quality/1"
    del old["film_normalization"], old["detection"], old["foreign"]
    check_reference(old, "F")


@pytest.mark.parametrize("reference", [None, [], "pass", {}, {"format": "xctrs-quality/4"}])
def test_another_format(reference):
    with pytest.raises(UserError, match=r"F: not of format xctrs-quality/3; run experiments\.cal"):
        check_reference(reference, "F")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("films/la", None, "damaged"),
        ("films/la/thumbnail", [[0.5] * 32] * 31, "films, la, thumbnail is impossible"),
        ("films/la/thumbnail", [[float("nan")] * 32] * 32, "films, la, thumbnail is impossible"),
        ("films/ap/quantiles", ["0.5"] * 33, "films, ap, quantiles is impossible"),
        ("films/ap/contrast", "much", "films, ap, contrast is impossible"),
        ("film_normalization", "ranks", "film_normalization is impossible"),
        ("detection/none/interval", [0.5, 1.5], "detection, none is impossible"),
        ("detection/none/psnr_loss_db", float("inf"), "detection, none, psnr_loss_db is imposs"),
        ("foreign", [{}], "damaged"),
        ("anatomy/volume", [], "damaged"),
        ("anatomy/volume/C3", [8.5], "damaged"),
        ("anatomy/volume/C3", [8.5, 0.0], "anatomy, volume, C3 is impossible"),
        ("anatomy/volume/C3", [float("inf"), 0.1], "anatomy, volume, C3 is impossible"),
        ("anatomy/volume/C9", [8.5, 0.1], "anatomy, volume, C9 is impossible"),
        ("anatomy/position", {"C3": [1.0, 2.0]}, "anatomy, position, C3 is impossible"),
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
        ("thresholds/other", NO_BOUNDS, "thresholds, other, rev"),
        ("thresholds/ap_zoom", {**NO_BOUNDS, "mean": "a"}, "thresholds, ap_zoom, mean"),
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
