import csv
import dataclasses
import json
import pathlib
import types

import numpy as np
import pytest

from experiments.studies import protocols
from tests.evaluation.patients import MemoryDataset, make_case, make_run
from tests.programs import run_program
from xctrs_tf.data.volumes.intensity import normalise_hu
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.cohort import Training, choose_cohort
from xctrs_tf.evaluation.evaluated_run import EvaluatedFold
from xctrs_tf.evaluation.patient import evaluate_protocols
from xctrs_tf.evaluation.tables.study_tables import protocol_grid
from xctrs_tf.metrics import PROTOCOLS


@pytest.fixture
def dataset():
    """Patients p0 to p4, whose CT numbers are 100 HU apart."""
    return MemoryDataset([make_case(f"p{i}", seed=i, hu=100 * i) for i in range(5)])


@pytest.fixture
def run(dataset):
    """Run that reconstructs every patient as p3."""
    ct = normalise_hu(dataset.load("p3").ct)[None, ..., None]
    return make_run(lambda films: ct, None)


def cohort_of(dataset, split, sha256="0" * 64):
    return choose_cohort(dataset, [Training(sha256, 0)], split, 0)


def test_two_rows_a_patient(dataset, run):
    rows = protocols.protocol_rows(run, cohort_of(dataset, "test"))
    assert [(row["method"], row["id"]) for row in rows] == [
        ("X-CTRSNet", "p4"),
        ("mean volume", "p4"),
    ]
    case, other = dataset.load("p4"), dataset.load("p3")
    assert rows[0] == {
        "method": "X-CTRSNet",
        "fold": 0,
        **evaluate_protocols(case, normalise_hu(other.ct)),
    }
    # 100 HU off outside the vertebrae; the mean of p0, p1 and p2 is 300 HU off.
    assert rows[0]["xctrs_psnr"] - rows[1]["xctrs_psnr"] == pytest.approx(
        20 * np.log10(3), abs=1e-3
    )


def test_other_data_has_no_mean_of_the_training_patients(dataset, run):
    rows = protocols.protocol_rows(run, cohort_of(dataset, "test", "1" * 64))
    assert [(row["method"], row["id"]) for row in rows] == [("X-CTRSNet", "p4")]


def test_patients_of_the_named_split(dataset, run):
    rows = protocols.protocol_rows(run, cohort_of(dataset, "training"))
    assert [row["id"] for row in rows[::2]] == ["p0", "p1", "p2"]


def test_run_that_reconstructs_nothing_is_refused(dataset):
    segmenting = types.SimpleNamespace(path="RUN", reconstruction=None)
    with pytest.raises(UserError, match="--workdir=RUN reconstructs no CT: name a run that does"):
        protocols.protocol_rows(segmenting, cohort_of(dataset, "test"))


def test_table_holds_every_figure_and_names_every_protocol():
    rows = [
        {"method": method, "fold": 0, "id": name, "xctrs_psnr": psnr, "x2ct_ssim": ssim}
        for method, name, psnr, ssim in [
            ("X-CTRSNet", "p1", 20.0, 0.5),
            ("X-CTRSNet", "p2", 24.0, 0.7),
            ("mean volume", "p1", 18.0, 0.25),
            ("mean volume", "p2", 18.0, 0.25),
        ]
    ]
    grid = protocol_grid(rows, "Test patients.")
    assert grid.headings == ["", "X-CTRSNet", "mean volume"]
    assert grid.lines == [
        ["xctrs: PSNR", "22.00 ± 2.83", "18.00 ± 0.00"],
        ["x2ct: SSIM", "0.600 ± 0.141", "0.250 ± 0.000"],
    ]
    assert grid.notes[:2] == ["Test patients.", "2 patients, mean ± SD; PSNR in dB."]
    assert [note.split(":")[0] for note in grid.notes[2:]] == list(PROTOCOLS)
    as_read = [{key: str(value) for key, value in row.items()} for row in rows]
    assert protocol_grid(as_read, "Test patients.") == grid


def fold_of(run, dataset, split, number=0):
    """Return the `EvaluatedFold` of a run on a fold of some data."""
    config = dataclasses.replace(run.config, fold=number)
    cohort = choose_cohort(dataset, [Training("0" * 64, number)], split, number)
    return EvaluatedFold(pathlib.Path(f"RUNS/row/{number}"), config, cohort)


def test_program_prints_and_writes(tmp_path, dataset, run, monkeypatch, capsys):
    folds = {"validation": [fold_of(run, dataset, "validation")]}
    monkeypatch.setattr(protocols, "open_folds", lambda workdir, data, split: folds[split])
    monkeypatch.setattr("xctrs_tf.training.run.load_run", lambda folder, checkpoint: run)
    output = tmp_path / "evaluation"
    monkeypatch.setattr(protocols, "run_name", lambda run: "SpaDRNet")
    assert (
        protocols.main([f"--workdir={tmp_path}", "--split=validation", f"--output={output}"]) == 0
    )
    printed = capsys.readouterr().out
    assert "perx2ct: SSIM" in printed and "1 patient," in printed
    assert "Validation patients of fold 0." in printed
    assert printed.startswith((output / "protocols.md").read_text(encoding="utf-8"))
    assert printed.endswith(f"{output / 'protocols.md'}\n")
    with (output / "protocols.csv").open(newline="", encoding="utf-8") as file:
        first, second = csv.DictReader(file)
    assert (first["method"], first["id"], first["xctrs_psnr"]) == ("SpaDRNet", "p3", "inf")
    assert (second["method"], second["id"]) == ("mean volume", "p3")
    origin = json.loads((output / "protocols.json").read_text(encoding="utf-8"))
    expected = {"n": 1, "seed": 3, "data_hash": "0" * 64, "split": "validation"}
    expected |= {"folds": [0], "steps": [7], "is_training_data": True, "trained_on": 0}
    assert {key: origin[key] for key in expected} == expected


def test_every_patient_by_the_network_of_their_fold(tmp_path, dataset, run, monkeypatch, capsys):
    folds = []
    for number, tested in enumerate(("p4", "p2")):
        other = MemoryDataset([dataset.load(patient) for patient in ("p0", "p1", "p3", tested)])
        other.split = {number: other.split(0)}.get
        folds.append(fold_of(run, other, "test", number))
    runs = {
        fold.folder: types.SimpleNamespace(**{**vars(run), "config": fold.config, "step": step})
        for fold, step in zip(folds, (7, 9), strict=True)
    }
    monkeypatch.setattr(protocols, "open_folds", lambda *asked: folds)
    monkeypatch.setattr("xctrs_tf.training.run.load_run", lambda folder, checkpoint: runs[folder])
    monkeypatch.setattr(protocols, "run_name", lambda run: "SpaDRNet")
    assert protocols.main([f"--workdir={tmp_path}"]) == 0
    assert "2 patients" in capsys.readouterr().out
    with (tmp_path / "evaluation" / "protocols.csv").open(newline="", encoding="utf-8") as file:
        found = [(line["fold"], line["id"]) for line in csv.DictReader(file)]
    assert found == [("0", "p4"), ("0", "p4"), ("1", "p2"), ("1", "p2")]
    origin = json.loads((tmp_path / "evaluation" / "protocols.json").read_text(encoding="utf-8"))
    assert (origin["folds"], origin["steps"]) == ([0, 1], [7, 9])


def test_output_that_is_a_file_is_refused(tmp_path, dataset, run, monkeypatch, capsys):
    (tmp_path / "taken").touch()
    folds = [fold_of(run, dataset, "test")]
    monkeypatch.setattr(protocols, "open_folds", lambda *asked: folds)
    assert protocols.main([f"--workdir={tmp_path}", f"--output={tmp_path / 'taken'}"]) == 2
    assert "taken: not a folder; choose another output folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "status", "words"),
    [
        ("--split=test", 2, ["error: --workdir is missing: name a run of experiments.train\n"]),
        ("--data=DATA", 2, ["error: --output is missing: RUN/evaluation is for the test pat"]),
        ("--split=train", 2, ["error: --output is missing: RUN/evaluation is for the test pat"]),
        ("--help", 0, ["--workdir", "--split", "--output", "--checkpoint", "--data"]),
    ],
)
def test_missing_workdir_and_help(flag, status, words):
    finished = run_program("studies.protocols", flag)
    assert finished.returncode == status
    for word in words:
        assert word in finished.stdout + finished.stderr
