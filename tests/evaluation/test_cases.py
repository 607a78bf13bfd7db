import csv
import dataclasses
import json

import numpy as np
import pytest

from tests.evaluation.patients import make_case
from xctrs_tf.data.intensity import normalise_hu
from xctrs_tf.evaluation.cases import evaluate_case, write_cases_csv

KEYS = [
    "id",
    "psnr",
    "ssim",
    "ssim_3d",
    "mae_hu",
    *(f"dice_C{i}" for i in range(1, 8)),
    "dice_mean",
]


@pytest.fixture
def case():
    return make_case()


def test_keys_are_flat_and_in_order(case):
    assert list(evaluate_case(case, normalise_hu(case.ct), case.segmentation)) == KEYS


def test_perfect(case):
    row = evaluate_case(case, normalise_hu(case.ct), case.segmentation)
    assert row["id"] == "p1"
    assert row["psnr"] == np.inf
    assert row["ssim"] == pytest.approx(1)
    assert row["ssim_3d"] == pytest.approx(1)
    assert row["mae_hu"] == 0
    assert [row[f"dice_C{i}"] for i in range(1, 8)] == [1] * 7
    assert row["dice_mean"] == 1


def test_by_hand(case):
    # 50 HU too much everywhere, and C2's lower third given to C3.
    labels = case.segmentation.copy()
    labels[:, :, 22][labels[:, :, 22] == 2] = 3
    row = evaluate_case(case, normalise_hu(case.ct + np.int16(50)), labels)
    assert row["mae_hu"] == pytest.approx(50, abs=1e-3)
    assert row["psnr"] == pytest.approx(20 * np.log10(2500 / 50), abs=1e-4)
    assert row["dice_C1"] == 1
    assert row["dice_C2"] == pytest.approx(2 * 2 / (2 + 3))
    assert row["dice_C3"] == pytest.approx(2 * 3 / (3 + 4))
    assert row["dice_mean"] == pytest.approx((5 + 4 / 5 + 6 / 7) / 7)


def test_truth_outside_the_window_counts_as_its_edge(case):
    metal = dataclasses.replace(case, ct=np.full_like(case.ct, 3000))
    row = evaluate_case(metal, np.ones(case.ct.shape), case.segmentation)
    assert row["mae_hu"] == 0


def test_vertebra_that_the_truth_lacks_is_left_out(case):
    truth = np.where(case.segmentation == 4, 0, case.segmentation)
    row = evaluate_case(
        dataclasses.replace(case, segmentation=truth), normalise_hu(case.ct), case.segmentation
    )
    assert np.isnan(row["dice_C4"])
    assert row["dice_mean"] == 1


@pytest.mark.parametrize("labels", [True, None])
def test_without_truth_or_segmentation_there_is_no_dice(case, labels):
    empty = dataclasses.replace(case, segmentation=np.zeros_like(case.segmentation))
    row = evaluate_case(
        empty if labels else case, normalise_hu(case.ct), case.segmentation if labels else None
    )
    assert np.isnan([row[key] for key in KEYS[5:]]).all()


def test_csv_and_its_provenance(tmp_path, case):
    row = evaluate_case(case, normalise_hu(case.ct + np.int16(50)), case.segmentation)
    row["dice_C7"] = np.nan
    write_cases_csv(tmp_path / "cases.csv", [row, {**row, "id": "p2"}], {"n": 2})
    with (tmp_path / "cases.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert list(first) == KEYS
    assert first["id"] == "p1"
    assert second["id"] == "p2"
    assert float(first["psnr"]) == pytest.approx(row["psnr"], abs=1e-6)
    assert first["dice_C7"] == ""
    assert json.loads((tmp_path / "cases.json").read_text()) == {"n": 2}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cases.csv", "cases.json"]
