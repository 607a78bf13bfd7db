"""Figures by the protocol of VerSe, of results that are known by hand."""

import csv

import numpy as np
import pytest

from tests.ct_segmentation.level_results import box_case, result_of, with_scan
from xctrs_tf.ct_segmentation.level_evaluation import (
    describe_case,
    evaluate_levels,
    evaluated_volume,
    level_grids,
    level_lines,
    true_labels,
)
from xctrs_tf.evaluation.tables.grids import markdown
from xctrs_tf.files import write_csv
from xctrs_tf.geometry import VERTEBRAE


@pytest.fixture
def case():
    return with_scan(box_case())


def moved(case, voxels):
    """Return the true labels of a case's scan, moved along z."""
    return np.roll(true_labels(case), voxels, axis=2)


def figures(case, labels, **options):
    return evaluate_levels(case, result_of(labels, evaluated_volume(case), **options))


def test_the_scan_holds_the_crop_where_the_volume_says(case):
    volume, labels = evaluated_volume(case), true_labels(case)
    assert volume.array.shape == labels.shape == (37, 34, 39)
    assert volume.origin_mm == (-12.0, 0.0, -20.0)
    assert np.array_equal(labels[3:35, 0:32, 5:37], case.segmentation)
    assert labels.sum() == case.segmentation.sum()


def test_without_a_scan_the_crop_is_segmented():
    case = box_case()
    assert evaluated_volume(case).array is case.ct
    assert true_labels(case) is case.segmentation


def test_the_truth_is_whole(case):
    row = figures(case, true_labels(case))
    assert [row[f"identified_{name}"] for name in VERTEBRAE] == [1] * 7
    assert (row["identified_mean"], row["distance_mean"], row["dice_mean"]) == (1, 0, 1)
    assert (row["likely_identified_mean"], row["likely_dice_mean"]) == (1, 1)
    assert (row["anchored"], row["certain"], row["vertebrae"], row["missed"]) == (1, 1, 7, 0)


def test_a_shift_by_one_voxel_costs_dice_and_4_mm(case):
    row = figures(case, moved(case, 1))
    assert row["identified_mean"] == 1
    assert row["distance_C3"] == pytest.approx(4)
    assert row["dice_C3"] == pytest.approx(2 / 3)


def test_the_nearest_true_centroid_decides(case):
    # By 8 mm: the neighbour, 12 mm away, is nearer, though 8 mm are below 20 mm.
    row = figures(case, moved(case, 2))
    assert row["distance_C3"] == pytest.approx(8)
    # C1 moves away from all others.
    assert [row[f"identified_{name}"] for name in VERTEBRAE] == [1, *[0] * 6]


def test_more_than_20_mm_are_too_far(case):
    only = np.where(true_labels(case) == 1, 1, 0).astype("uint8")
    near = figures(case, np.roll(only, 5, axis=2), names=("C1",))
    far = figures(case, np.roll(only, -6, axis=0), names=("C1",))
    assert (near["identified_C1"], near["distance_C1"]) == (1, pytest.approx(20))
    assert (far["identified_C1"], far["distance_C1"]) == (0, pytest.approx(24))


def test_one_level_off_identifies_nothing(case):
    labels = true_labels(case)
    row = figures(case, np.where(labels == 7, 0, labels), names=VERTEBRAE[1:])
    assert row["identified_mean"] == 0
    assert row["dice_mean"] == 0
    assert (row["missed"], row["vertebrae"], row["problems"]) == (1, 6, 1)
    # The diagonal of a scan says nothing of the network.
    assert np.isnan(row["hd95_C1"]) and row["hd95_mean"] < 20
    assert np.isnan(row["distance_C1"]) and row["distance_C2"] == pytest.approx(12)


def test_uncertain_levels_count_as_not_identified_but_likely_ones_are_told(case):
    row = figures(case, true_labels(case), anchored=False)
    assert (row["identified_mean"], row["dice_mean"], row["missed"]) == (0, 0, 7)
    assert np.isnan(row["distance_mean"])
    assert (row["likely_identified_mean"], row["likely_dice_mean"]) == (1, 1)
    assert (row["anchored"], row["certain"]) == (0, 0)


def test_of_two_vertebrae_of_one_likely_level_the_surer_counts(case):
    # The lower one is surer (`result_of`).
    labels = true_labels(case)
    row = figures(case, labels, anchored=False, names=("C2", "C2", *VERTEBRAE[2:]))
    assert row["likely_identified_mean"] == pytest.approx(6 / 7)


def test_labels_outside_the_crop_cost_dice(case):
    labels = true_labels(case)
    labels[0:3, :10, 0:5] = 7
    assert figures(case, labels)["dice_C7"] == pytest.approx(2 * 360 / (360 + 360 + 150))


def test_no_cervical_spine_is_a_miss_of_all(case):
    row = evaluate_levels(case, None)
    assert (row["identified_mean"], row["dice_mean"], row["missed"]) == (0, 0, 7)
    assert list(row) == list(figures(case, true_labels(case)))
    told = describe_case(case, None, "no cervical spine found")
    assert told["problems"] == ["no cervical spine found"]


def test_a_vertebra_that_the_truth_lacks_has_no_figure(case):
    case.segmentation[case.segmentation == 7] = 0
    row = figures(case, true_labels(case), names=VERTEBRAE[:6])
    assert np.isnan(row["identified_C7"]) and np.isnan(row["dice_C7"])
    assert (row["identified_mean"], row["dice_mean"]) == (1, 1)


def test_tables_have_the_label_name_and_both_ways_of_naming(tmp_path, case):
    labels = true_labels(case)
    rows = [figures(case, labels), figures(case, labels, anchored=False)]
    text = markdown(level_grids(rows, "model-made Dice"))
    assert "model-made Dice (%)" in text
    assert "| names as written | 50.0 ± 70.7 |" in text
    assert "| likely levels | 100.0 ± 0.0 |" in text
    assert "levels anchored in 1, nothing to be checked in 1" in text
    write_csv(tmp_path / "table.csv", level_lines(rows, "model-made Dice"))
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8") as file:
        lines = {line["level"]: line for line in csv.DictReader(file)}
    assert list(lines) == ["mean", "likely mean", *VERTEBRAE]
    assert lines["mean"]["label_name"] == "model-made Dice"
    assert (lines["mean"]["identified_mean"], lines["likely mean"]["dice_mean"]) == ("0.5", "1")
    assert (lines["C4"]["distance_n"], lines["C4"]["identified_n"]) == ("1", "2")


def test_the_record_tells_what_was_found(case):
    volume = evaluated_volume(case)
    told = describe_case(case, result_of(true_labels(case), volume, problems=("metal",)))
    assert told["levels"] == "anchored at C1/C2"
    assert told["problems"] == ["metal"]
    assert told["vertebrae"][2]["name"] == "C3"
    assert told["vertebrae"][2]["centroid_mm"] == [58.0, 70.0, 80.0]
