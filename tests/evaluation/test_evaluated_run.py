import json
import types

import pytest

from tests.evaluation.patients import SIZE, MemoryDataset, make_case
from xctrs_tf.errors import UserError
from xctrs_tf.evaluation.evaluated_run import open_run, open_run_dataset, run_name
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


def test_data_of_another_size_is_refused(opened, tmp_path):
    opened.size = 64
    with pytest.raises(UserError, match=r"has 32 voxels a side, .* prepare with --size=64"):
        open_run_dataset(tmp_path, opened)


def test_a_run_and_its_data(opened, tmp_path, dataset, monkeypatch):
    monkeypatch.setattr("xctrs_tf.evaluation.evaluated_run.read_config", lambda workdir: opened)
    monkeypatch.setattr("xctrs_tf.training.run.load_run", lambda *asked: asked)
    assert open_run(str(tmp_path), "last") == ((tmp_path, "last"), dataset)


def test_no_run_is_named():
    with pytest.raises(UserError, match="--workdir is missing: name a run of"):
        open_run("", "best")


def test_name_of_a_run_after_a_finished_one(tmp_path, monkeypatch):
    frozen = {tmp_path / "reconstruction_run": TrainingConfig(dice_weight=0.0, rsc_weight=0.0)}
    monkeypatch.setattr("xctrs_tf.evaluation.evaluated_run.read_config", frozen.get)
    alone = TrainingConfig(segmentation="dsn", rsc_weight=0.0)
    after = TrainingConfig(segmentation="dsn", rsc_weight=0.0, reconstruction_run="R")
    names = [run_name(types.SimpleNamespace(path=tmp_path, config=c)) for c in (alone, after)]
    assert names == ["SpaDRNet + VGG + DSN", "SpaDRNet + VGG > DSN"]
