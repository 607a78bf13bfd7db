import pytest
from matplotlib.image import imread

from xctrs_tf.evaluation.figures.robustness_figure import robustness_figure
from xctrs_tf.evaluation.perturbations import PERTURBATIONS
from xctrs_tf.evaluation.tables.study_tables import (
    patients_note,
    protocol_grid,
    robustness_comparison_grid,
    robustness_grid,
)

IDS = ("a", "b", "c")


def lines(dice=True):
    """Return rows whose PSNR falls by 1 dB with each step of severity, without whole scans."""
    made = []

    def add(name, severity, loss):
        for number, patient in enumerate(IDS):
            figures = {"psnr": f"{20 + number - loss}", "ssim": "0.5"}
            figures["dice_mean"] = f"{0.6 - loss / 100}" if dice else ""
            made.append({"perturbation": name, "severity": severity, "id": patient, **figures})

    add("none", "0", 0)
    add("mean-volume", "0", 8)
    for name, perturbation in PERTURBATIONS.items():
        if not perturbation.needs_scan:
            for place, severity in enumerate(perturbation.severities, start=1):
                add(name, str(severity), place)
    return made


def test_table_has_a_row_for_every_severity():
    grid = robustness_grid(lines(), "pseudo-label Dice", "Test patients.")
    assert grid.headings[-2] == "mean pseudo-label Dice (%)"
    found = {(line[0], line[1]): line[2:] for line in grid.lines}
    assert found["films as in training", ""][:2] == ["21.00 ± 1.00", ""]
    turned = found["patient turned in both films", "3 degrees"]
    assert turned[0] == "18.00 ± 1.00"
    assert turned[1] == "-3.00 [-3.00, -3.00]"
    assert turned[4:] == ["57.00 ± 0.00", "-3.00 [-3.00, -3.00]"]
    assert found["photons a pixel without patient", "30,000"][0] == "19.00 ± 1.00"
    assert found["AP and LA swapped", ""][1].startswith("-1.00")
    assert found["mean volume, no film", ""][0] == "13.00 ± 1.00"
    assert found["whole scan instead of the crop", "not run: needs the scans"] == ["–"] * 6
    assert len(grid.lines) == 3 + sum(
        len(each.severities) for each in PERTURBATIONS.values() if not each.needs_scan
    )


def test_models_side_by_side():
    worse = [{**line, "psnr": str(float(line["psnr"]) - 2)} for line in lines()]
    grid = robustness_comparison_grid({"one": lines(), "two": worse}, ("exposure", "contrast"))
    assert grid.headings == ["", "severity", "one", "two"]
    found = {(line[0], line[1]): line[2:] for line in grid.lines}
    assert found["films as in training", ""] == ["21.00", "19.00"]
    assert found["local contrast enhanced (CLAHE)", "0.02 clip limit"] == ["18.00", "16.00"]
    # 21 as in training; 20, 19, 18, 17 for each of the two kinds.
    assert found["mean of the kinds", ""] == ["19.33", "17.33"]
    # No scans were there.
    grid = robustness_comparison_grid({"one": lines()}, ("full",))
    assert grid.lines[1][2:] == ["–"]


def test_a_single_patient_has_neither_deviation_nor_interval():
    grid = robustness_grid([line for line in lines() if line["id"] == "a"], "Dice", "One patient.")
    found = {(line[0], line[1]): line[2:] for line in grid.lines}
    assert found["films as in training", ""][:2] == ["20.00", ""]
    assert found["patient turned in both films", "3 degrees"][:2] == ["17.00", "-3.00"]
    rows = [{"method": "SIT", "id": "a", "xctrs_psnr": 20.0, "xctrs_ssim": "0.5"}]
    cells = protocol_grid(rows, "One patient.").lines
    assert [line[1:] for line in cells] == [["20.00"], ["0.500"]]
    texts = [text for line in (*grid.lines, *cells) for text in line]
    assert not any("nan" in text for text in texts)
    two = protocol_grid([*rows, {**rows[0], "id": "b", "xctrs_psnr": 22.0}], "").lines
    assert two[0][1] == "21.00 ± 1.41"


def test_without_a_segmentation_there_is_no_dice():
    grid = robustness_grid(lines(dice=False), "Dice", "Test patients.")
    assert all(line[6:] == ["–", "–"] for line in grid.lines)


def test_chart_is_drawn(tmp_path):
    for segmented in (True, False):
        robustness_figure(tmp_path / "chart.png", lines(segmented), "Dice")
        assert imread(tmp_path / "chart.png").shape[1] > 1000
    assert [path.name for path in tmp_path.iterdir()] == ["chart.png"]


@pytest.mark.parametrize(
    ("origin", "note"),
    [
        # Of an earlier version.
        ({"fold": 0, "step": 7}, "Test patients of fold 0."),
        ({}, "Test patients."),
        (
            {"folds": [0, 2], "split": "test", "is_training_data": True, "trained_on": 0},
            "Test patients of folds 0, 2.",
        ),
        (
            {"folds": [1], "split": "validation", "is_training_data": False, "trained_on": None},
            "Validation patients of fold 1. Not the data that the networks were trained on. "
            "Whether some of them were trained on is not known.",
        ),
        (
            {"folds": [1], "split": "training", "trained_on": 5},
            "Training patients of fold 1. 5 of them were trained on.",
        ),
    ],
)
def test_a_note_tells_which_patients_they_are(origin, note):
    assert patients_note(origin) == note
