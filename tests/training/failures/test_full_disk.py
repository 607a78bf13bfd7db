"""Full disks, two processes, leftovers and patients who cannot be trained on."""

import errno
import os

import keras
import numpy as np
import pytest

from tests.full_disk import largest_file
from tests.training.toys import toy_config, toy_dataset
from xctrs_tf import files
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.errors import UserError
from xctrs_tf.folder_lock import folder_lock
from xctrs_tf.training import checkpoints, history, loop
from xctrs_tf.training.tensorflow.tensorflow_engine import Events


@pytest.fixture
def network():
    return keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])


def _full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("moment", ["fallocate", "savez", "fsync", "state"])
def test_a_full_disk_leaves_the_checkpoint_before_and_no_part(
    tmp_path, network, monkeypatch, moment
):
    networks = {"reconstruction": network}
    checkpoints.save_step(tmp_path, 2, networks, {}, {})
    optimizer = keras.optimizers.SGD()
    optimizer.build(network.trainable_variables)
    owner, name = {
        "fallocate": (files.os, "posix_fallocate"),
        "savez": (np, "savez"),
        "fsync": (files.os, "fsync"),
        "state": (checkpoints.json, "dumps"),
    }[moment]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, _full)
        with pytest.raises(UserError, match=r"step-00000004: No space left on device; free space"):
            checkpoints.save_step(tmp_path, 4, networks, {"optimizer": optimizer}, {})
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000002"]
    assert checkpoints.restore_latest(tmp_path, networks, {})["step"] == 2


def test_weights_beyond_the_limit_are_known_before_hdf5_writes(tmp_path, network, capfd):
    with largest_file(4096), pytest.raises(UserError, match="best: File too large; free space"):
        checkpoints.save(tmp_path / "best", {"reconstruction": network}, {}, {"step": 1})
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_the_history_names_its_file(tmp_path, monkeypatch):
    record = history.History(tmp_path, 0)
    monkeypatch.setattr("builtins.open", _full)
    with pytest.raises(OSError, match=r"No space left on device: .*history\.jsonl"):
        record.scalars(1, "training", {"loss": 1.0})


def test_tensorboard_events_that_cannot_be_written_are_one_line(tmp_path):
    (tmp_path / "logs").write_text("a file", encoding="utf-8")
    with pytest.raises(UserError, match="logs: cannot be written"):
        Events(tmp_path / "logs").scalars(1, {"loss": 1.0})


def _no_step(*_):
    raise AssertionError("a step was made")


@pytest.mark.usefixtures("toy_runs")
def test_a_disk_without_room_for_a_checkpoint_is_known_before_the_first_step(
    data, tmp_path, monkeypatch
):
    monkeypatch.setattr(loop._Loop, "_batches", _no_step)
    with largest_file(50_000), pytest.raises(UserError, match="run: File too large; free space"):
        loop.train(toy_config(data), tmp_path / "run")


@pytest.mark.usefixtures("toy_runs")
def test_a_second_training_is_refused_and_changes_nothing(data, tmp_path):
    run = tmp_path / "run"
    with (
        folder_lock(run),
        pytest.raises(UserError, match=rf"{run}: process {os.getpid()} on .* writes to it; wait"),
    ):
        loop.train(toy_config(data), run)
    assert not run.exists()


@pytest.mark.usefixtures("toy_runs")
def test_leftovers_of_a_killed_run_are_removed_at_its_next_start(data, tmp_path, monkeypatch):
    run = tmp_path / "run"
    for scratch, name in [
        (run / ".config.json.abcd1234", "config.json"),
        (run / ".best.abcd1234", "best"),
        (run / "checkpoints" / ".step-00000002.abcd_234", "step-00000002"),
    ]:
        (scratch / name).mkdir(parents=True)
    (run / ".lock").write_text("of a killed process", encoding="utf-8")
    monkeypatch.setattr(loop, "_train", lambda *_: None)
    loop.train(toy_config(data), run)
    assert [path.name for path in run.rglob("*")] == ["checkpoints"]


def _damage(data, patient, change):
    """Change the arrays of a patient."""
    path = data / "patients" / f"{patient}.npz"
    with np.load(path) as stored:
        arrays = {name: change(name, stored[name]) for name in stored.files}
    np.savez(path, **arrays)


@pytest.mark.usefixtures("toy_runs")
@pytest.mark.parametrize("value", [3.0, np.nan])
def test_a_blank_patient_ends_the_run_with_one_line_that_names_them(tmp_path, value):
    data = toy_dataset(tmp_path / "data")
    config = toy_config(data, fold=0)
    split = open_dataset(data).split(0)
    blank = split.training[2]
    _damage(data, blank, lambda name, array: np.full_like(array, value) if name == "la" else array)
    with pytest.raises(UserError, match=rf"patient {blank}: .*film|{blank}\.npz") as error:
        loop.train(config, tmp_path / "run")
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("toy_runs")
def test_a_validation_that_gives_no_number_names_the_patient(data, tmp_path, monkeypatch):
    from xctrs_tf.training.tensorflow.tensorflow_trainer import Trainer

    monkeypatch.setattr(
        Trainer,
        "validation_step",
        lambda *_: ({"loss": np.nan}, np.zeros((1, 32, 32, 32, 1)), None),
    )
    patient = open_dataset(data).split(0).validation[0]
    with pytest.raises(UserError, match=f"validation: loss is not a number on patient {patient}"):
        loop.train(toy_config(data, steps=1), tmp_path / "run")
