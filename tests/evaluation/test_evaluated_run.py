import json
import shutil
import types

import pytest

from tests.evaluation.patients import SIZE, MemoryDataset, make_case
from tests.evaluation.run_folders import case_line, write_run
from xctrs_tf import provenance
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.evaluated_run import (
    collect_origin,
    fold_folders,
    open_folds,
    open_run_dataset,
    origin_of_folds,
    run_name,
)
from xctrs_tf.training.config import TrainingConfig


@pytest.fixture
def dataset():
    return MemoryDataset([make_case("p0", seed=0, hu=0)])


@pytest.fixture
def opened(monkeypatch, tmp_path, dataset):
    monkeypatch.setattr("xctrs_tf.evaluation.evaluated_run.open_dataset", lambda path: dataset)
    record = {"training": TrainingConfig().to_json(), "data_sha256": "0" * 64}
    (tmp_path / "config.json").write_text(json.dumps(record), encoding="utf-8")
    return types.SimpleNamespace(data_folder="DATA", size=SIZE)


def test_data_that_the_run_was_trained_on(opened, tmp_path, dataset):
    assert open_run_dataset(tmp_path, opened) is dataset


def test_changed_data_is_refused_unless_named(opened, tmp_path, dataset, monkeypatch):
    monkeypatch.setattr(dataset, "content_hash", lambda: "1" * 64)
    with pytest.raises(UserError, match=r"DATA has changed since .* name the data with --data"):
        open_run_dataset(tmp_path, opened)
    assert open_run_dataset(tmp_path, opened, data="DATA") is dataset


def test_data_that_were_dealt_anew_are_refused(opened, tmp_path, dataset):
    def record(split_sha256):
        folders = [{"data_sha256": "0" * 64, "split_sha256": split_sha256}]
        path = tmp_path / "config.json"
        read = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**read, "folders": folders}), encoding="utf-8")

    record(dataset.split_hash(0))
    assert open_run_dataset(tmp_path, opened) is dataset
    record("without others")
    with pytest.raises(UserError, match=r"DATA has changed since .*, its folds too perhaps"):
        open_run_dataset(tmp_path, opened)


def test_training_patients_in_other_data_are_told(opened, tmp_path, monkeypatch, caplog):
    patients = [make_case(f"p{number}", seed=number) for number in range(4)]
    own, other = MemoryDataset(patients), MemoryDataset(patients[2:] + patients[:2], "OTHER")
    own.identity = other.identity = lambda patient: {f"scan of {patient}"}
    other.content_hash = lambda: "1" * 64
    config = TrainingConfig(data="DATA", size=SIZE).to_json()
    record = json.dumps({"training": config, "data_sha256": own.content_hash()})
    (tmp_path / "config.json").write_text(record, encoding="utf-8")
    monkeypatch.setattr("xctrs_tf.evaluation.cohort.open_dataset", lambda path: own)
    datasets = {"OWN": own, "OTHER": other}
    monkeypatch.setattr("xctrs_tf.evaluation.evaluated_run.open_dataset", datasets.get)
    (fold,) = open_folds(tmp_path, "OWN")
    assert not caplog.messages
    assert fold.cohort.ids == ["p3"] and fold.config.data == "DATA"
    expected = {"folds": [0], "steps": [7], "split": "test", "is_training_data": True}
    assert origin_of_folds([fold], [7]) == {**expected, "trained_on": 0}
    rows = [{"id": "p3"}, {"id": "p3"}]
    provenance.set_command(["python", "-m", "study", f"--workdir={tmp_path}"])
    origin = collect_origin(rows, [fold], [7], tmp_path, 5, dice_name="Dice")
    provenance.set_command(None)
    of_study = {"n": 1, "seed": 5, "data_hash": fold.cohort.dataset.content_hash()}
    of_study |= {"dice_name": "Dice", **expected}
    assert {key: origin[key] for key in of_study} == of_study
    assert origin["command"] == f"python -m study --workdir=RUNS/{tmp_path.name}"
    # The last is p1, which the run was trained on.
    (fold,) = open_folds(tmp_path, "OTHER")
    (message,) = caplog.messages
    assert "OTHER: not the data" in message and "1 of these 1 scans are" in message
    told = origin_of_folds([fold], [7])
    assert (told["is_training_data"], told["trained_on"]) == (False, 1)
    # That training patients are such need not be said.
    open_folds(tmp_path, "OWN", "training")
    assert len(caplog.messages) == 1


def test_data_of_another_size_is_refused(opened, tmp_path):
    opened.size = 64
    with pytest.raises(UserError, match=r"has 32 voxels a side, .* prepare with --size=64"):
        open_run_dataset(tmp_path, opened)


def write_folds(runs, row="table3-unet3d", **changes):
    """Write runs of folds 1 and 0; ``changes`` are of fold 1. Return the folder of the row."""
    write_run(runs, row, [case_line("p1")], fold=1, **{"steps": 900, **changes})
    write_run(runs, row, [case_line("p0")], fold=0)
    return runs / row


def test_a_run_or_the_folds_of_a_method(tmp_path):
    row = write_folds(tmp_path, remat=True)
    folds = [row / "fold-00-seed-0", row / "fold-01-seed-0"]
    assert fold_folders(str(row)) == folds
    assert fold_folders(folds[1]) == [folds[1]]
    shutil.copytree(folds[0], row / "fold-00-seed-0-old")
    (row / "fold-02-seed-0").mkdir()
    assert fold_folders(row) == folds


@pytest.mark.parametrize(("name", "value"), [("width", 0.25), ("seed", 1)])
def test_folds_of_different_runs_are_refused(tmp_path, name, value):
    row = write_folds(tmp_path, **{name: value})
    words = f"{name} of fold-01-seed-{1 if name == 'seed' else 0} is not that of fold-00-seed-0"
    with pytest.raises(UserError, match=words):
        fold_folders(row)


def test_folds_of_different_data_are_refused(tmp_path):
    row = write_folds(tmp_path)
    path = row / "fold-01-seed-0" / "config.json"
    record = json.loads(path.read_text(encoding="utf-8")) | {"data_sha256": "e" * 64}
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(UserError, match="data of fold-01-seed-0 is not that of fold-00-seed-0"):
        fold_folders(row)


def test_folds_with_other_vgg_weights_are_refused(tmp_path):
    row = write_folds(tmp_path, "table1-vgg", vgg_weights="random")
    with pytest.raises(UserError, match="random_vgg_weights of fold-01-seed-0 is not that of"):
        fold_folders(row)


def test_a_fold_twice_is_refused(tmp_path):
    row = write_folds(tmp_path)
    shutil.copytree(row / "fold-01-seed-0", row / "fold-02-seed-0")
    with pytest.raises(UserError, match="has a fold twice; name one run"):
        fold_folders(row)


def test_a_fold_that_is_not_finished_is_refused(tmp_path):
    row = write_folds(tmp_path)
    (row / "fold-01-seed-0" / "evaluation" / "cases.json").unlink()
    with pytest.raises(UserError, match="fold-01-seed-0 is not finished; let experiments"):
        fold_folders(row)
    assert fold_folders(row / "fold-01-seed-0") == [row / "fold-01-seed-0"]


def test_parts_that_folds_have_in_common_are_refused(tmp_path):
    row = write_folds(tmp_path)
    with pytest.raises(UserError, match=r"--split: .* has 2 folds, .* validated or trained on"):
        open_folds(row, split="validation")


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"neither a run of experiments\.train nor a folder of its"):
        fold_folders(tmp_path)
    with pytest.raises(UserError, match="--workdir is missing"):
        fold_folders(None)


def test_name_of_a_run_after_a_finished_one(tmp_path, monkeypatch):
    frozen = {tmp_path / "reconstruction_run": TrainingConfig(dice_weight=0.0, rsc_weight=0.0)}
    monkeypatch.setattr("xctrs_tf.evaluation.evaluated_run.read_config", frozen.get)
    alone = TrainingConfig(segmentation="dsn", rsc_weight=0.0)
    after = TrainingConfig(segmentation="dsn", rsc_weight=0.0, reconstruction_run="R")
    names = [run_name(types.SimpleNamespace(path=tmp_path, config=c)) for c in (alone, after)]
    assert names == ["SpaDRNet + VGG + DSN", "SpaDRNet + VGG > DSN"]
