import csv
import dataclasses
import json

import numpy as np
import pytest

from tests.evaluation.patients import make_case
from xctrs_tf.data.volumes.intensity import normalise_hu
from xctrs_tf.evaluation.patient import (
    evaluate_case,
    evaluate_protocols,
    mean_figures,
    read_cases_csv,
    write_cases_csv,
)
from xctrs_tf.metrics import PROTOCOLS

IMAGE_KEYS = ["psnr", "ssim", "ssim_3d", "mae_hu", "mae_bone_hu"]
PARTS = [*(f"C{i}" for i in range(1, 8)), "mean"]
SEGMENTATION_KEYS = [
    f"{figure}_{part}" for figure in ("dice", "hd95", "assd", "nsd") for part in PARTS
]
KEYS = ["id", *IMAGE_KEYS, *SEGMENTATION_KEYS, "missed"]
DIAGONAL_MM = 32 * 4.0 * np.sqrt(3)


def figures(row, name):
    return [row[f"{name}_{part}"] for part in PARTS]


@pytest.fixture
def case():
    return make_case()


def test_keys_are_flat_and_in_order(case):
    assert list(evaluate_case(case, normalise_hu(case.ct), case.segmentation)) == KEYS


def test_perfect_prediction(case):
    row = evaluate_case(case, normalise_hu(case.ct), case.segmentation)
    assert row["id"] == "p1"
    assert row["psnr"] == np.inf
    assert row["ssim"] == pytest.approx(1)
    assert row["ssim_3d"] == pytest.approx(1)
    assert row["mae_hu"] == 0
    assert row["mae_bone_hu"] == 0
    assert figures(row, "dice") == figures(row, "nsd") == [1] * 8
    assert figures(row, "hd95") == figures(row, "assd") == [0] * 8
    assert row["missed"] == 0


def test_by_hand(case):
    # 50 HU too much everywhere, and C2's lower third given to C3.
    labels = case.segmentation.copy()
    labels[:, :, 22][labels[:, :, 22] == 2] = 3
    row = evaluate_case(case, normalise_hu(case.ct + np.int16(50)), labels)
    assert row["mae_hu"] == pytest.approx(50, abs=1e-3)
    assert row["mae_bone_hu"] == pytest.approx(50, abs=1e-3)
    assert row["psnr"] == pytest.approx(20 * np.log10(2500 / 50), abs=1e-4)
    assert row["dice_C1"] == 1
    assert row["dice_C2"] == pytest.approx(2 * 2 / (2 + 3))
    assert row["dice_C3"] == pytest.approx(2 * 3 / (3 + 4))
    assert row["dice_mean"] == pytest.approx((5 + 4 / 5 + 6 / 7) / 7)


def test_surfaces_by_hand(case):
    # C2 is 10 x 12 x 3 voxels of 4 mm and loses its upper layer of 120. The 8 x 10
    # inner voxels of its middle layer become surface, 4 mm below the true one.
    labels = case.segmentation.copy()
    labels[:, :, 24][labels[:, :, 24] == 2] = 0
    row = evaluate_case(case, normalise_hu(case.ct), labels)
    surface_true, surface_pred = 360 - 80, 240
    assert row["hd95_C2"] == pytest.approx(4)
    assert row["assd_C2"] == pytest.approx(4 * (120 + 80) / (surface_true + surface_pred))
    assert row["nsd_C2"] == pytest.approx(1 - (120 + 80) / (surface_true + surface_pred))
    assert row["hd95_C1"] == 0
    assert row["hd95_mean"] == pytest.approx(4 / 7)
    assert row["assd_mean"] == pytest.approx(row["assd_C2"] / 7)
    assert row["nsd_mean"] == pytest.approx((6 + row["nsd_C2"]) / 7)


def test_bone_is_the_labelled_vertebrae_of_the_truth(case):
    # 100 HU too much in the vertebrae, 30 outside.
    ct = case.ct + np.where(case.segmentation > 0, 100, 30).astype("int16")
    row = evaluate_case(case, normalise_hu(ct), np.zeros_like(case.segmentation))
    assert row["mae_bone_hu"] == pytest.approx(100, abs=1e-3)
    share = 7 * 10 * 12 * 3 / case.ct.size
    assert row["mae_hu"] == pytest.approx(30 + 70 * share, abs=1e-3)


def test_vertebra_that_was_not_predicted_is_missed_and_counts(case):
    labels = np.where(case.segmentation == 5, 0, case.segmentation)
    row = evaluate_case(case, normalise_hu(case.ct), labels)
    assert row["missed"] == 1
    assert row["dice_C5"] == row["nsd_C5"] == 0
    assert row["hd95_C5"] == row["assd_C5"] == pytest.approx(DIAGONAL_MM)
    assert row["hd95_mean"] == pytest.approx(DIAGONAL_MM / 7)
    assert row["dice_mean"] == row["nsd_mean"] == pytest.approx(6 / 7)


def test_truth_outside_the_window_counts_as_its_edge(case):
    metal = dataclasses.replace(case, ct=np.full_like(case.ct, 3000))
    row = evaluate_case(metal, np.ones(case.ct.shape), case.segmentation)
    assert row["mae_hu"] == 0


@pytest.mark.parametrize("predicted", [True, False])
def test_vertebra_that_the_truth_lacks_is_left_out(case, predicted):
    truth = np.where(case.segmentation == 4, 0, case.segmentation)
    row = evaluate_case(
        dataclasses.replace(case, segmentation=truth),
        normalise_hu(case.ct),
        case.segmentation if predicted else truth,
    )
    assert np.isnan([row[f"{figure}_C4"] for figure in ("dice", "hd95", "assd", "nsd")]).all()
    assert row["dice_mean"] == row["nsd_mean"] == 1
    assert row["hd95_mean"] == row["assd_mean"] == 0
    assert row["missed"] == 0


def test_without_truth_there_are_no_figures_of_the_vertebrae(case):
    empty = dataclasses.replace(case, segmentation=np.zeros_like(case.segmentation))
    row = evaluate_case(empty, normalise_hu(case.ct), case.segmentation)
    assert list(row) == KEYS
    assert np.isnan([row[key] for key in (*SEGMENTATION_KEYS, "mae_bone_hu")]).all()
    assert row["missed"] == 0


def test_run_that_does_not_segment(case):
    row = evaluate_case(case, normalise_hu(case.ct), None)
    assert list(row) == KEYS
    assert np.isnan([row[key] for key in (*SEGMENTATION_KEYS, "missed")]).all()
    assert row["mae_bone_hu"] == 0


def test_run_that_does_not_reconstruct(case):
    row = evaluate_case(case, None, case.segmentation)
    assert list(row) == KEYS
    assert np.isnan([row[key] for key in IMAGE_KEYS]).all()
    assert row["dice_mean"] == 1


def test_every_protocol(case):
    ct_pred = normalise_hu(case.ct + np.int16(50))
    row = evaluate_protocols(case, ct_pred)
    assert row["id"] == "p1"
    for name, protocol in PROTOCOLS.items():
        for figure, value in protocol(normalise_hu(case.ct), ct_pred, (-1000, 1500)).items():
            assert row[f"{name}_{figure}"] == value
    assert len(row) == 1 + 3 + 2 + 3 + 2


def test_csv_and_its_provenance(tmp_path, case):
    row = evaluate_case(case, normalise_hu(case.ct + np.int16(50)), case.segmentation)
    row["dice_C7"] = np.nan
    write_cases_csv(tmp_path / "cases.csv", [row, {**row, "id": "p2"}], {"n": 2})
    with (tmp_path / "cases.csv").open(newline="", encoding="utf-8") as file:
        first, second = csv.DictReader(file)
    assert list(first) == KEYS
    assert first["id"] == "p1"
    assert second["id"] == "p2"
    assert float(first["psnr"]) == pytest.approx(row["psnr"], abs=1e-6)
    assert first["dice_C7"] == ""
    assert first["missed"] == "0"
    assert json.loads((tmp_path / "cases.json").read_text(encoding="utf-8")) == {"n": 2}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cases.csv", "cases.json"]


def test_means_are_of_the_patients_that_have_a_figure_and_of_no_text(tmp_path):
    rows = [{"id": "7", "psnr": 20.0, "ssim": np.nan, "nsd": np.nan}]
    rows.append({"id": "9", "psnr": 24.0, "ssim": 0.5, "nsd": np.nan})
    write_cases_csv(tmp_path / "cases.csv", rows, {"dice_name": "model-made Dice"})
    lines = read_cases_csv(tmp_path / "cases.csv")
    assert lines[0]["labels"] == "model-made"
    assert mean_figures(lines) == {"psnr": 22.0, "ssim": 0.5, "nsd": None}
