"""Tables of labels that a network made say so wherever a figure depends on them."""

import csv
import io

import numpy as np
import pytest

from tests.evaluation.patients import make_case
from tests.evaluation.run_folders import case_line, write_run
from tests.evaluation.tables.test_study_tables import lines as perturbed_lines
from xctrs_tf.data.volumes.intensity import normalise_hu
from xctrs_tf.evaluation.generated_tables import generated_tables
from xctrs_tf.evaluation.patient import evaluate_case, read_cases_csv, write_cases_csv
from xctrs_tf.evaluation.results.collection import collect_runs
from xctrs_tf.evaluation.results.result_folder import read_results, write_results
from xctrs_tf.evaluation.tables.comparison import COMPARED_TABLES, compare
from xctrs_tf.evaluation.tables.grids import markdown
from xctrs_tf.evaluation.tables.run_table import PAPER_ROW, run_grid
from xctrs_tf.evaluation.tables.study_tables import robustness_grid
from xctrs_tf.evaluation.tables.table_csv import table_csv
from xctrs_tf.models.catalogue import REFERENCE_ROW

NAME = "model-made Dice"
NOTE = "model-made: a network made the labels of these patients, and no expert checked them."


def results_of(folder, dice_name):
    """Collect a run of X-CTRSNet and one of a 3D UNet, whose cases.csv tell the labels too."""
    mark = {"labels": "model-made"} if "model" in dice_name else {}
    for row in (REFERENCE_ROW, "table3-unet3d"):
        cases = [{**case_line(name), **mark} for name in "abc"]
        write_run(folder, row, cases, origin={"dice_name": dice_name})
    return collect_runs(folder)


def test_every_collected_table_says_so(tmp_path):
    results = results_of(tmp_path / "runs", NAME)
    (tmp_path / "results").mkdir()
    write_results(tmp_path / "results", results, {"data_hash": "d" * 64})
    files = generated_tables(tmp_path / "results")
    # It has no figures that depend on labels.
    del files["training.md"]
    for name, text in files.items():
        assert "model-made" in text, name
        # Table 2 compares reconstructions, which labels do not touch.
        if name.endswith(".md"):
            assert NOTE in text, name
    assert "HD95 (mm), model-made labels" in files["summary.md"]
    for heading in ("MAE in bone (HU)", "ASSD (mm)", "NSD (%)", "missed vertebrae"):
        assert f"{heading}, model-made labels" in files["table1.md"]
    assert "PSNR (dB), model-made" not in files["table1.md"]
    lines = list(csv.DictReader(io.StringIO(files["table3.csv"])))
    assert {line["labels"] for line in lines} == {"model-made"}
    # The patients' lines keep the mark.
    assert read_results(tmp_path / "results").rows[REFERENCE_ROW].patients[0]["labels"] == (
        "model-made"
    )


def test_tables_of_other_labels_do_not_change(tmp_path):
    results = results_of(tmp_path, "pseudo-label Dice")
    (tmp_path / "results").mkdir()
    write_results(tmp_path / "results", results, {"data_hash": "d" * 64})
    assert not any("model-made" in text for text in generated_tables(tmp_path / "results").values())
    header = table_csv(results, "table1", compare(results, "table1")).splitlines()[0]
    assert header.endswith(",p,p_holm")
    assert set(COMPARED_TABLES) == {"table1", "table2", "table3"}


def test_the_tables_of_one_run_and_of_robustness_say_so():
    run = markdown([run_grid([PAPER_ROW], NAME)])
    assert f"{NAME} (%): C1" in run and NOTE in run
    assert NOTE not in markdown([run_grid([PAPER_ROW], "Dice")])
    robustness = markdown([robustness_grid(perturbed_lines(), NAME, "Test patients.")])
    assert f"mean {NAME} (%)" in robustness and NOTE in robustness


@pytest.mark.parametrize(("name", "mark"), [(NAME, "model-made"), ("Dice", None)])
def test_a_line_of_a_patient_says_so(tmp_path, name, mark):
    case = make_case()
    row = evaluate_case(case, normalise_hu(case.ct), case.segmentation.astype(np.int64))
    write_cases_csv(tmp_path / "cases.csv", [row], {"dice_name": name})
    (line,) = read_cases_csv(tmp_path / "cases.csv")
    assert line.get("labels") == mark
    assert line["dice_C1"] == "1.000000"
