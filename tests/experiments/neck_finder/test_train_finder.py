import multiprocessing.dummy
import types

import keras
import numpy as np
import pytest

from experiments.neck_finder import train as train_finder
from tests.data.cases import deal_anew, write_dataset
from tests.programs import assert_refused, run_program
from xctrs_tf.data.dataset import open_dataset
from xctrs_tf.files import read_json
from xctrs_tf.neck_finder import finder_network, neck_search

STATE = "finder.keras"


@pytest.fixture
def training(tmp_path, monkeypatch):
    """A training of six steps by a small network; it is stopped at ``stops_at``."""
    training = types.SimpleNamespace(stops_at=None, drawn=[], folder=tmp_path)
    film = types.SimpleNamespace(neck_mm=(0.0, 110.0))
    films = {"ap": [film], "la": [film]}

    def draw(step):
        if step == training.stops_at:
            raise OSError(5, "stopped")
        training.drawn.append(step)
        rng = np.random.default_rng(step)
        return rng.random((2, 3), np.float32), rng.random((2, 1), np.float32)

    def small():
        return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])

    monkeypatch.setattr(train_finder, "_SAVE_STEPS", 2)
    monkeypatch.setattr(train_finder, "_AHEAD", 1)
    monkeypatch.setattr(train_finder, "PreparedScans", lambda *args: None)
    monkeypatch.setattr(train_finder, "films_of", lambda *args: films)
    monkeypatch.setattr(train_finder, "_start_worker", lambda *args: None)
    monkeypatch.setattr(train_finder, "_draw", draw)
    monkeypatch.setattr(
        train_finder.multiprocessing, "get_context", lambda kind: multiprocessing.dummy
    )
    monkeypatch.setattr(finder_network, "build_finder", small)
    monkeypatch.setattr(finder_network, "finder_loss", "mse")
    write_dataset(tmp_path / "data")
    return training


def train(training, *flags, output="finder.npz"):
    given = {"scans": "SCANS", "data": training.folder / "data", "num_phantoms": 0, "steps": 6}
    given["output"] = training.folder / "out" / output
    return run_program("neck_finder.train", *(f"--{k}={v}" for k, v in given.items()), *flags)


def files(training):
    return sorted(path.name for path in (training.folder / "out").iterdir())


def test_a_stopped_training_goes_on(training):
    training.stops_at = 4
    assert train(training).returncode == 2
    assert files(training) == [STATE, f"{STATE}.json"]
    assert read_json(training.folder / "out" / f"{STATE}.json")["steps"] == 6
    training.stops_at = None
    training.drawn.clear()
    result = train(training)
    assert (result.returncode, training.drawn) == (0, [4, 5]), result.stderr
    assert f"going on from {training.folder / 'out' / STATE}" in result.stderr
    assert files(training) == ["finder.npz"]


def test_the_weights_tell_what_they_were_trained_on(training):
    out = training.folder / "out"
    assert train(training, "--fold=1").returncode == 0
    dataset = open_dataset(training.folder / "data")
    told = {"data_sha256": dataset.content_hash(), "fold": 1, "split_sha256": dataset.split_hash(1)}
    assert finder_network.read_trainings(out / "finder.npz") == [told]
    assert len(finder_network.load_finder(out / "finder.npz").get_weights()) == 2
    # What goes on from them was trained on both.
    flags = (f"--weights={out / 'finder.npz'}", "--fold=2")
    assert train(training, *flags, output="more.npz").returncode == 0
    later = {**told, "fold": 2, "split_sha256": dataset.split_hash(2)}
    assert finder_network.read_trainings(out / "more.npz") == [told, later]


def test_the_weights_of_the_package_do_not_tell():
    assert finder_network.read_trainings(neck_search.WEIGHTS) == [None]
    finder_network.load_finder(neck_search.WEIGHTS)


def test_the_state_of_another_training_is_refused(training, monkeypatch):
    training.stops_at = 4
    assert train(training).returncode == 2
    training.drawn.clear()
    out = training.folder / "out"
    # Nothing is projected for a training that cannot go on.
    monkeypatch.setattr(train_finder, "films_of", None)
    refused = [
        (("--fold=1",), "--fold was 0 and is 1; split_sha256 is another one"),
        (("--seed=2",), "--seed was 0 and is 2"),
    ]
    for flags, message in refused:
        result = train(training, *flags)
        assert_refused(
            result, f"{STATE}: of another training ({message}); give", out / "finder.npz"
        )
    deal_anew(training.folder / "data")
    result = train(training)
    assert_refused(result, "of another training (split_sha256 is another one)", out / "finder.npz")
    (out / f"{STATE}.json").unlink()
    assert_refused(train(training), f"{STATE}.json beside it is missing", out / "finder.npz")
    assert (files(training), training.drawn) == ([STATE], [])


def test_a_state_is_replaced_as_a_whole(training, monkeypatch):
    training.stops_at = 4
    assert train(training).returncode == 2
    before = (training.folder / "out" / STATE).read_bytes()
    training.stops_at = None

    def full(network, path):
        path.write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keras.Sequential, "save", full)
    assert train(training).returncode == 2
    assert (training.folder / "out" / STATE).read_bytes() == before
    assert files(training) == [STATE, f"{STATE}.json"]


def test_an_output_that_cannot_be_written_is_refused_first(training, monkeypatch):
    monkeypatch.setattr(train_finder, "films_of", None)
    (training.folder / "out").touch()
    result = train(training)
    assert result.returncode == 2 and "choose another output folder" in result.stderr
    result = train(training, output="finder.keras")
    assert result.returncode == 2 and "finder.keras: must end with .npz" in result.stderr
