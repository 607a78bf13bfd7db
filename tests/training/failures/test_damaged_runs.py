"""Damaged files of a run: the next best is taken with a warning, and nothing else is lost."""

import json
import types

import keras
import numpy as np
import pytest

from tests.export.runs import write_config
from tests.training.toys import toy_config, toy_networks
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.errors import UserError
from xctrs_tf.training import checkpoints, loop
from xctrs_tf.training.config import TrainingConfig
from xctrs_tf.training.frozen_reconstruction import Reconstructions, copy_finished_run
from xctrs_tf.training.history import History, read_history
from xctrs_tf.training.run import load_run
from xctrs_tf.training.run_record import read_config

DAMAGED_JSON = {
    "empty": b"",
    "null": b"null",
    "list": b"[1]",
    "object": b"{}",
    "cut": b'{"step": 4, "sha2',
    "deep": b"[" * 100_000,
    "bytes": b"\xff\xfe\xfd",
    "types": b'{"step": "4", "sha256": ["model.weights.h5"]}',
    "none": b'{"step": 4, "sha256": {}}',
}


@pytest.fixture
def network():
    return keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])


def _save(run, step, network):
    network.set_weights([np.full_like(w, step) for w in network.get_weights()])
    checkpoints.save_step(run, step, {"reconstruction": network}, {}, {})
    return run / "checkpoints" / f"step-{step:08d}"


def _names(run):
    return sorted(path.name for path in (run / "checkpoints").iterdir())


@pytest.mark.parametrize("content", DAMAGED_JSON.values(), ids=DAMAGED_JSON)
def test_a_checkpoint_of_damaged_state_is_passed_over_aloud(tmp_path, network, caplog, content):
    first, second = _save(tmp_path, 2, network), _save(tmp_path, 4, network)
    (second / "state.json").write_bytes(content)
    assert checkpoints.restore_latest(tmp_path, {"reconstruction": network}, {})["step"] == 2
    assert (network.get_weights()[0] == 2).all()
    assert checkpoints.latest(tmp_path) == first
    assert f"checkpoint {second} is damaged" in caplog.text


def test_a_file_of_another_folder_does_not_count(tmp_path, network):
    folder = _save(tmp_path, 2, network)
    state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    (folder / "reconstruction.weights.h5").rename(tmp_path / "x.weights.h5")
    (sha,) = state["sha256"].values()
    state["sha256"] = {"../../x.weights.h5": sha}
    (folder / "state.json").write_text(json.dumps(state), encoding="utf-8")
    assert checkpoints.read_state(folder) is None


def test_a_new_checkpoint_outlives_damaged_and_stray_ones(tmp_path, network, caplog):
    damaged = [_save(tmp_path, step, network) for step in (500, 600)]
    for folder in damaged:
        (folder / "state.json").write_bytes(b"null")
    assert checkpoints.latest(tmp_path) is None
    assert f"{tmp_path}: no whole checkpoint is left" in caplog.text
    strays = ["step-keep", "step-00000700.old", "step-7", "step-x"]
    for name in strays:
        (tmp_path / "checkpoints" / name).mkdir()
    for step in (2, 4, 6):
        new = _save(tmp_path, step, network)
        assert checkpoints.latest(tmp_path) == new
    assert _names(tmp_path) == sorted(
        ["step-00000004", "step-00000006", "step-00000500", "step-00000600", *strays]
    )


def test_two_whole_checkpoints_are_kept_and_damaged_ones_do_not_count(tmp_path, network):
    for step in (2, 4):
        _save(tmp_path, step, network)
    (tmp_path / "checkpoints" / "step-00000004" / "state.json").unlink()
    _save(tmp_path, 6, network)
    assert _names(tmp_path) == ["step-00000002", "step-00000004", "step-00000006"]
    _save(tmp_path, 8, network)
    assert _names(tmp_path) == ["step-00000006", "step-00000008"]
    _save(tmp_path, 100_000_000, network)
    assert checkpoints.latest(tmp_path).name == "step-100000000"


def test_a_checkpoint_of_other_networks_is_one_line(tmp_path, network):
    _save(tmp_path, 2, network)
    other = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(5)])
    with pytest.raises(UserError, match="step-00000002: does not fit the networks"):
        checkpoints.restore_latest(tmp_path, {"reconstruction": other}, {})


def test_an_optimizer_with_another_number_of_variables_is_one_line(tmp_path, network):
    networks, optimizers = {"reconstruction": network}, {"optimizer": keras.optimizers.SGD()}
    optimizers["optimizer"].build(network.trainable_variables)
    checkpoints.save_step(tmp_path, 2, networks, optimizers, {})
    other = {"optimizer": keras.optimizers.Adam()}
    other["optimizer"].build(network.trainable_variables)
    with pytest.raises(
        UserError, match=r"step-00000002: does not fit .*optimizer\.npz has \d+ var"
    ):
        checkpoints.restore_latest(tmp_path, networks, other)


def test_damaged_lines_of_the_history_cost_no_other_line(tmp_path, caplog):
    rows = [{"step": step, "kind": "training", "loss": step / 2} for step in range(1, 7)]
    lines = [json.dumps(row).encode() for row in rows]
    lines[1:3] = [b"null", lines[2][:9], b'{"step": "3", "kind": 1}', b"\xff" * 9, b"[" * 100_000]
    lines.insert(3, b"")
    cut = lines[-1][:12]
    (tmp_path / "history.jsonl").write_bytes(b"\n".join([*lines, cut]))
    assert read_history(tmp_path) == [rows[0], *rows[3:]]
    assert "left out what is damaged: line 2, 3, 5, 6, 7" in caplog.text
    History(tmp_path, 5)
    assert read_history(tmp_path) == [rows[0], *rows[3:5]]


def test_a_line_that_a_kill_cut_is_no_warning(tmp_path, caplog):
    (tmp_path / "history.jsonl").write_bytes(b'{"step": 1, "kind": "training"}\n{"step": 2, "ki')
    assert [row["step"] for row in read_history(tmp_path)] == [1]
    assert caplog.text == ""


@pytest.mark.parametrize(
    "change",
    [
        lambda record: None,
        lambda record: [record],
        lambda record: {"training": record["training"]},
        lambda record: {**record, "training": None},
        lambda record: {**record, "training": {**record["training"], "size": "32"}},
        lambda record: {**record, "training": {**record["training"], "remat": 1}},
        lambda record: {**record, "training": {**record["training"], "colour": 1}},
        lambda record: {**record, "data_sha256": 7},
    ],
)
def test_a_damaged_configuration_is_one_line(tmp_path, change):
    record = {"training": TrainingConfig(size=32).to_json(), "data_sha256": "0"}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    assert read_config(tmp_path).size == 32
    path.write_text(json.dumps(change(record)), encoding="utf-8")
    with pytest.raises(UserError, match=r"config\.json is not a run's configuration"):
        read_config(tmp_path)


@pytest.mark.usefixtures("toy_runs")
def test_a_damaged_best_checkpoint_is_made_again_at_the_next_start(data, tmp_path, caplog):
    run, config = tmp_path / "run", toy_config(data, steps=1)
    loop.train(config, run)
    before = (run / "best" / "state.json").read_bytes()
    (run / "best" / "state.json").write_bytes(b"[]")
    with pytest.raises(UserError, match="holds no whole best checkpoint"):
        load_run(run)
    loop.train(config, run)
    assert f"{run / 'best'}: damaged; the next validation writes it" in caplog.text
    after = json.loads((run / "best" / "state.json").read_text(encoding="utf-8"))
    assert after["step"] == json.loads(before)["step"] == load_run(run).step == 1


@pytest.mark.usefixtures("toy_runs")
def test_a_checkpoint_that_is_replaced_while_it_is_read_is_read_again(tmp_path, monkeypatch):
    networks = toy_networks()
    write_config(tmp_path, toy_config("absent"))
    checkpoints.save(tmp_path / "best", networks, {}, {"step": 3})
    load, replaced = checkpoints.load_weights, []

    def load_late(folder, into):
        if not replaced:
            for each in networks.values():
                each.set_weights([np.full_like(w, 0.5) for w in each.get_weights()])
            checkpoints.save(folder, networks, {}, {"step": 6})
            replaced.append(folder)
        load(folder, into)

    monkeypatch.setattr(checkpoints, "load_weights", load_late)
    run = load_run(tmp_path)
    assert run.step == 6
    assert all((w == 0.5).all() for w in run.reconstruction.get_weights())


@pytest.mark.parametrize("content", [b"", b"no array", None])
def test_a_damaged_reconstruction_of_a_finished_run_is_one_line(data, tmp_path, content):
    dataset = open_dataset(data)
    run = types.SimpleNamespace(step=3, weights_sha256="0" * 64)
    made = Reconstructions(run, dataset, tmp_path)
    made._folder.mkdir(parents=True)
    if content is None:
        np.save(made._path("p0"), np.zeros((2, 2, 2), np.float32))
    else:
        made._path("p0").write_bytes(content)
    with pytest.raises(UserError, match=r"p0\.npy: damaged; remove it"):
        made.load("p0")


def test_a_damaged_finished_run_is_not_copied(tmp_path, network):
    finished = tmp_path / "finished"
    write_config(finished, TrainingConfig(size=32))
    checkpoints.save(finished / "best", {"reconstruction": network}, {}, {"step": 3})
    (finished / "best" / "reconstruction.weights.h5").write_bytes(b"cut")
    (tmp_path / "run").mkdir()
    with pytest.raises(UserError, match="finished: its best checkpoint is damaged"):
        copy_finished_run(finished, tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []
