"""Runs of toy networks: resumption, interruption, run folder, losses that are not finite."""

import contextlib
import dataclasses
import json
import os
import shutil
import signal

import numpy as np
import pytest

from tests.training.toys import CONFIG, TOY_VGG, toy_config, toy_dataset, toy_networks, toy_weights
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.data.dataset.mixture import open_parts
from xctrs_tf.errors import UserError
from xctrs_tf.training import checkpoints, loop, run_folder, run_record
from xctrs_tf.training.config import TrainingConfig
from xctrs_tf.training.history import read_history
from xctrs_tf.training.run_folder import claim_workdir
from xctrs_tf.training.run_record import read_config, read_run_record
from xctrs_tf.training.tensorflow.tensorflow_trainer import Trainer

pytestmark = pytest.mark.usefixtures("toy_runs")


def test_run_folder_holds_the_documented_files(data, tmp_path):
    run = tmp_path / "run"
    loop.train(toy_config(data), run)
    assert {path.name for path in run.iterdir()} == {
        "best",
        "checkpoints",
        "config.json",
        "history.jsonl",
        "logs",
    }
    assert [path.name for path in sorted((run / "checkpoints").iterdir())] == [
        "step-00000004",
        "step-00000006",
    ]
    validations = [row for row in read_history(run) if row["kind"] == "validation"]
    assert [row["step"] for row in validations] == [3, 6]
    best = json.loads((run / "best" / "state.json").read_text(encoding="utf-8"))
    assert best["validation"]["loss"] == min(row["loss"] for row in validations)
    assert {"psnr", "dice_hard"} <= best["validation"].keys()
    assert list((run / "logs").iterdir()) != []


def test_a_changed_validation_patient_is_told_before_the_first_step(tmp_path):
    data, run = toy_dataset(tmp_path / "data"), tmp_path / "run"
    (patient, *_) = open_dataset(data).split(CONFIG.fold).validation
    file = data / "patients" / f"{patient}.npz"
    file.write_bytes(file.read_bytes() + b"more")
    with pytest.raises(UserError, match=rf"{patient}\.npz: damaged or changed"):
        loop.train(toy_config(data), run)
    assert not run.exists()


def test_resumed_run_ends_where_an_uninterrupted_one_does(data, tmp_path):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    loop.train(toy_config(data, **TOY_VGG), whole)
    loop.train(toy_config(data, steps=4, **TOY_VGG), halves)
    loop.train(toy_config(data, **TOY_VGG), halves)
    np.testing.assert_allclose(
        toy_weights(checkpoints.latest(halves)), toy_weights(checkpoints.latest(whole)), atol=1e-6
    )
    assert [row["step"] for row in read_history(halves) if row["kind"] == "validation"] == [3, 4, 6]


def test_damaged_last_checkpoint_falls_back_with_a_warning(data, tmp_path, caplog):
    run = tmp_path / "run"
    loop.train(toy_config(data), run)
    damaged = run / "checkpoints" / "step-00000006"
    (damaged / "optimizer.npz").write_bytes(b"cut")
    networks = toy_networks()
    optimizer = loop.make_optimizer(CONFIG)
    optimizer.build([v for n in networks.values() for v in n.trainable_variables])
    optimizers = {"optimizer": optimizer}
    assert checkpoints.restore_latest(run, networks, optimizers)["step"] == 4
    assert f"checkpoint {damaged} is damaged" in caplog.text


def test_signal_saves_and_stops(data, tmp_path, monkeypatch):
    run = tmp_path / "run"
    check = loop._Loop._require_finite

    def signalled(self, step, scalars):
        check(self, step, scalars)
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(loop._Loop, "_require_finite", signalled)
    with pytest.raises(loop.Interrupted, match="stopped at step 3; the same command resumes"):
        loop.train(toy_config(data), run)
    assert checkpoints.latest(run).name == "step-00000003"


def test_time_limit_ends_a_run_cleanly(data, tmp_path):
    run = tmp_path / "run"
    loop.train(toy_config(data), run, deadline=0.0)
    assert checkpoints.latest(run).name == "step-00000001"
    assert (run / "best").is_dir()


def test_nan_loss_names_step_and_patient(data, tmp_path, monkeypatch):
    def broken_step(self, batch, seed):
        return {"loss": np.nan, "mae": np.nan, "dice": 0.5}

    monkeypatch.setattr(Trainer, "train_step", broken_step)
    monkeypatch.setattr(Trainer, "trace", lambda self, batch: None)
    with pytest.raises(
        UserError, match=r"step 1: loss, mae is not a number on patient p\d.* another --work"
    ):
        loop.train(toy_config(data), tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 0.5}, "--learning_rate was 0.001 and is 0.5"),
        ({"mae_weight": 2.0, "seed": 3}, "--mae_weight was 1.0 and is 2.0; --seed was 0 and is 3"),
    ],
)
def test_folder_of_another_configuration_is_refused(data, tmp_path, changes, message):
    run = tmp_path / "run"
    loop.train(toy_config(data, steps=1), run)
    before = (run / "config.json").read_bytes()
    with pytest.raises(UserError, match=message):
        loop.train(toy_config(data, **changes), run)
    assert (run / "config.json").read_bytes() == before


@pytest.mark.parametrize("with_checkpoint", [True, False])
def test_a_run_is_not_cut_to_fewer_steps_than_it_has_taken(data, tmp_path, with_checkpoint):
    run = tmp_path / "run"
    loop.train(toy_config(data, steps=3), run)
    if not with_checkpoint:
        shutil.rmtree(run / "checkpoints")
        shutil.rmtree(run / "best")
        (run / "best").mkdir()
    before = (run / "config.json").read_bytes()
    with pytest.raises(UserError, match=r"run has taken 3 steps, and this run would have 2; give"):
        loop.train(toy_config(data, steps=2), run)
    assert (run / "config.json").read_bytes() == before


def test_other_spellings_of_a_path_are_the_same_configuration(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loop.train(toy_config(data, steps=1), tmp_path / "earlier")
    run, config = tmp_path / "run", toy_config(data, steps=1, initial_weights="earlier")
    loop.train(config, run)
    for name in ("earlier/", "./earlier", str(tmp_path / "earlier")):
        loop.train(dataclasses.replace(config, initial_weights=name), run)
    with pytest.raises(UserError, match=r"--initial_weights was .* and is other"):
        loop.train(dataclasses.replace(config, initial_weights="other"), run)


def _begin(run, config, parts):
    """Make a run folder that has a checkpoint."""
    claim_workdir(run, config, parts)
    (run / "best").mkdir()


def test_a_later_start_may_change_no_flags_but_these(data, tmp_path):
    """docs/training.md lists them, and a file of VGG16 weights, which has a test of its own."""
    _begin(tmp_path, toy_config(data), open_parts(str(data), 0))
    path, accepted = tmp_path / "config.json", set()
    record = json.loads(path.read_text(encoding="utf-8"))
    for name, value in record["training"].items():
        changed = {**record["training"], name: value + type(value)(1)}
        with contextlib.suppress(UserError):
            run_folder._require_same(path, {**record, "training": changed})
            accepted.add(name)
    assert accepted == {
        *("steps", "patience", "validate_every", "checkpoint_every", "data"),
        *("strategy", "accumulation", "remat", "deterministic"),
    }


def test_a_run_tells_the_commits_of_its_starts(data, tmp_path, monkeypatch):
    config, parts = toy_config(data), open_parts(str(data), 0)
    path = tmp_path / "config.json"

    def commits(commit):
        monkeypatch.setattr(run_folder.provenance, "commit", lambda: commit)
        claim_workdir(tmp_path, config, parts)
        return json.loads(path.read_text(encoding="utf-8"))["commits"]

    assert commits("a" * 40) == ["a" * 40]
    (tmp_path / "best").mkdir()
    assert commits("a" * 40) == ["a" * 40]
    # Outside a git checkout.
    assert commits(None) == ["a" * 40, None]
    record = json.loads(path.read_text(encoding="utf-8"))
    del record["commits"]
    path.write_text(json.dumps(record), encoding="utf-8")
    # What an earlier version started is not known.
    assert commits("b" * 40) == [None, "b" * 40]


def test_a_start_that_failed_leaves_the_folder_to_another_configuration(data, tmp_path):
    run, config = tmp_path / "run", toy_config(data, steps=1)
    parts = open_parts(str(data), 0)
    claim_workdir(run, config, parts)
    (run / "reconstruction_run" / "best").mkdir(parents=True)
    (run / "evaluation").mkdir()
    loop.train(dataclasses.replace(config, learning_rate=0.5), run)
    assert read_config(run).learning_rate == 0.5
    # Its weights would pass for those of this run, and its figures too.
    assert not (run / "reconstruction_run").exists()
    assert not (run / "evaluation").exists()
    with pytest.raises(UserError, match=r"--learning_rate was 0\.5 and is 0\.001"):
        claim_workdir(run, config, parts)


def test_a_configuration_of_another_program_stays(data, tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"model_type": "bert"}', encoding="utf-8")
    with pytest.raises(UserError, match=r"config\.json is damaged: name another --workdir"):
        claim_workdir(tmp_path, toy_config(data), open_parts(str(data), 0))
    assert path.read_text(encoding="utf-8") == '{"model_type": "bert"}'


def test_a_file_of_vgg_weights_may_move_but_not_change(data, tmp_path):
    run, files = tmp_path / "run", [tmp_path / f"{name}.npz" for name in ("one", "two", "other")]
    for file, content in zip(files, ("VGG16", "VGG16", "others"), strict=True):
        file.write_text(content, encoding="utf-8")
    parts = open_parts(str(data), 0)
    one, two, other = (toy_config(data, vgg_weights=str(file)) for file in files)
    _begin(run, one, parts)
    files[0].unlink()
    claim_workdir(run, two, parts)
    assert read_config(run).vgg_weights == str(files[1])
    files[1].write_text("changed", encoding="utf-8")
    with pytest.raises(UserError, match=r"\(the VGG16 weights have changed\)"):
        claim_workdir(run, two, parts)
    files[1].write_text("VGG16", encoding="utf-8")
    for config in (other, toy_config(data, vgg_weights="random")):
        with pytest.raises(UserError, match=r"--vgg_weights was .*two.npz and is"):
            claim_workdir(run, config, parts)


def test_folder_of_something_else_is_refused(data, tmp_path):
    (tmp_path / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(UserError, match="neither empty nor a run"):
        loop.train(toy_config(data), tmp_path)


def test_other_data_in_the_same_run_is_refused(data, tmp_path):
    run = tmp_path / "run"
    loop.train(toy_config(data, steps=1), run)
    other = toy_dataset(tmp_path / "other", num_patients=12)
    with pytest.raises(UserError, match="the data has changed"):
        loop.train(toy_config(other, steps=2), run)


def test_data_that_were_dealt_anew_are_refused(data, tmp_path):
    # It needs SimpleITK, which training does without.
    from tests.data.cases import deal_anew

    other, run = tmp_path / "dealt", tmp_path / "run"
    shutil.copytree(data, other)
    config = toy_config(other)
    _begin(run, config, open_parts(str(other), 0))
    claim_workdir(run, config, open_parts(str(other), 0))
    with pytest.raises(UserError, match=r"\(--fold was 0 and is 1\)"):
        claim_workdir(run, dataclasses.replace(config, fold=1), open_parts(str(other), 1))
    record = json.loads((run / "config.json").read_text(encoding="utf-8"))
    deal_anew(other)
    with pytest.raises(UserError, match=r"\(the patients have been dealt to other folds\)"):
        claim_workdir(run, config, open_parts(str(other), 0))
    # A run of an earlier version does not tell, and what it held out stays unknown.
    del record["folders"][0]["split_sha256"]
    (run / "config.json").write_text(json.dumps(record), encoding="utf-8")
    claim_workdir(run, config, open_parts(str(other), 0))
    assert read_run_record(run).split_sha256 is None


def test_a_new_length_of_a_falling_learning_rate_is_told(data, tmp_path, caplog):
    parts = open_parts(str(data), 0)
    for schedule, told in (("constant", False), ("cosine", True)):
        run, config = tmp_path / schedule, toy_config(data, schedule=schedule, steps=4)
        _begin(run, config, parts)
        claim_workdir(run, config, parts)
        assert not caplog.messages
        claim_workdir(run, dataclasses.replace(config, steps=9), parts)
        assert ("--steps was 4 and is 9: learning rate" in "".join(caplog.messages)) is told


def test_a_second_folder_that_was_dealt_anew_is_refused(data, tmp_path):
    # It needs SimpleITK, which training does without.
    from tests.data.cases import deal_anew

    second, run = toy_dataset(tmp_path / "second", num_patients=6), tmp_path / "run"
    config = toy_config(f"{data}:0.5,{second}:0.5")
    _begin(run, config, open_parts(config.data, 0))
    deal_anew(second)
    with pytest.raises(UserError, match=r"\(the patients have been dealt to other folds\)"):
        claim_workdir(run, config, open_parts(config.data, 0))


@pytest.mark.parametrize("changes", [{"schedule": "cosin"}, {"optimizer": "SGD"}])
def test_an_invalid_configuration_from_python_is_refused(data, tmp_path, changes):
    ((name, value),) = changes.items()
    with pytest.raises(UserError, match=f"--{name}={value}: must be one of"):
        loop.train(toy_config(data, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_field_of_later_versions_has_its_first_value(data, tmp_path, monkeypatch):
    """A later version may have another default."""
    run, config = tmp_path / "run", toy_config(data, film_normalization="percentile", steps=1)
    loop.train(config, run)
    record = json.loads((run / "config.json").read_text(encoding="utf-8"))
    del record["training"]["film_normalization"]
    (run / "config.json").write_text(json.dumps(record), encoding="utf-8")
    later = dataclasses.replace(TrainingConfig(), film_normalization="equalized")
    monkeypatch.setattr(
        run_record, "TrainingConfig", lambda **fields: dataclasses.replace(later, **fields)
    )
    claim_workdir(run, config, open_parts(str(data), 0))


def test_size_must_be_that_of_the_data(data, tmp_path):
    told = r"--size=64, but .* was prepared at 32: give --size=32 or a --preset of that size"
    with pytest.raises(UserError, match=told):
        loop.train(toy_config(data, size=64), tmp_path / "run")
    assert not (tmp_path / "run").exists()
