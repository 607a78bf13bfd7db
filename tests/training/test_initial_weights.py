"""Runs that begin with trained weights, and runs of which one network is frozen."""

import dataclasses
import json

import numpy as np
import pytest

from tests.training.toys import toy_config, toy_dataset, toy_networks
from xctrs_tf.errors import UserError
from xctrs_tf.training import checkpoints, loop

pytestmark = pytest.mark.usefixtures("toy_runs")
NO_SEGMENTATION = {"dice_weight": 0.0, "rsc_weight": 0.0}


def weights(folder, config):
    """Return a dict from network to its weights in a checkpoint."""
    networks = toy_networks(config)
    checkpoints.load_weights(folder, networks)
    return {name: network.get_weights() for name, network in networks.items()}


def assert_same(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def both(data, tmp_path):
    """A run of both networks."""
    loop.train(toy_config(data), tmp_path / "both")
    return tmp_path / "both"


def test_a_run_begins_with_the_best_weights_of_another(data, both, tmp_path, capsys):
    config = toy_config(data, initial_weights=str(both), learning_rate=1e-12, steps=1)
    loop.train(config, tmp_path / "run")
    told = capsys.readouterr().err
    assert f"--initial_weights={both}: spadrnet: 1 of 1 layers loaded" in told
    ours = weights(checkpoints.latest(tmp_path / "run"), config)
    for name, values in weights(both / "best", config).items():
        for a, b in zip(ours[name], values, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-9)


def test_a_network_without_weights_is_named(data, tmp_path, capsys):
    alone = toy_config(data, **NO_SEGMENTATION)
    loop.train(alone, tmp_path / "alone")
    config = toy_config(data, initial_weights=str(tmp_path / "alone"), steps=1)
    loop.train(config, tmp_path / "run")
    assert "no weights of mulsisnet, which begins at random" in capsys.readouterr().err


def test_two_sources_make_one_model(data, both, tmp_path):
    loop.train(toy_config(data, seed=1, **NO_SEGMENTATION), tmp_path / "alone")
    config = toy_config(
        data, initial_weights=f"{both},{tmp_path / 'alone'}", learning_rate=1e-12, steps=1
    )
    loop.train(config, tmp_path / "run")
    ours = weights(checkpoints.latest(tmp_path / "run"), config)
    alone = weights(tmp_path / "alone" / "best", toy_config(data, **NO_SEGMENTATION))
    for name, values in (weights(both / "best", config) | alone).items():
        for a, b in zip(ours[name], values, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-9)


def test_a_resumed_run_does_not_read_them_again(data, both, tmp_path):
    moved = both.rename(tmp_path / "source")
    config = toy_config(data, initial_weights=str(moved), steps=2)
    loop.train(config, tmp_path / "run")
    moved.rename(tmp_path / "gone")
    loop.train(toy_config(data, initial_weights=str(moved), steps=4), tmp_path / "run")


def test_the_run_keeps_where_its_weights_come_from(data, both, tmp_path):
    loop.train(toy_config(data, initial_weights=str(both), steps=1), tmp_path / "run")
    record = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    (stage,) = record["stages"]
    assert stage["steps"] == 6 and stage["source"] == "both"
    loop.train(toy_config(data, initial_weights=str(tmp_path / "run"), steps=1), tmp_path / "third")
    record = json.loads((tmp_path / "third" / "config.json").read_text(encoding="utf-8"))
    assert [stage["steps"] for stage in record["stages"]] == [6, 1]


def test_weights_that_saw_the_held_out_patients_are_refused(data, both, tmp_path):
    config = toy_config(data, initial_weights=str(both), fold=1, steps=1)
    words = "both was trained on another fold of the same data, and so on patients that this run"
    with pytest.raises(UserError, match=words):
        loop.train(config, tmp_path / "run")
    # An earlier version tells the fold alone.
    path = both / "config.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    del record["folders"][0]["split_sha256"]
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(UserError, match=words):
        loop.train(config, tmp_path / "run")
    loop.train(dataclasses.replace(config, fold=0), tmp_path / "run")


@pytest.mark.parametrize("place", ["best", "checkpoints/*"])
def test_a_file_of_weights_in_a_run_tells_its_training(data, both, tmp_path, place):
    file, *_ = both.glob(f"{place}/model.weights.h5")
    words = "both was trained on another fold of the same data, and so on patients that this run"
    with pytest.raises(UserError, match=words):
        loop.train(toy_config(data, initial_weights=str(file), fold=1, steps=1), tmp_path / "run")
    loop.train(toy_config(data, initial_weights=str(file), steps=1), tmp_path / "run")
    record = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    assert [stage["source"] for stage in record["stages"]] == ["both"]
    assert record["stages"][0]["folders"]


def test_a_frozen_network_keeps_its_films(data, both, tmp_path, caplog):
    config = toy_config(data, initial_weights=str(both), film_normalization="equalized", steps=1)
    with pytest.raises(UserError, match=r"both of --init.* with percentile, and is frozen; give"):
        loop.train(dataclasses.replace(config, freeze="reconstruction"), tmp_path / "run")
    loop.train(config, tmp_path / "run")
    assert "trained with percentile, and has to learn the other films" in "".join(caplog.messages)


@pytest.mark.parametrize(
    "content", ['{"training": {"fo', "[1]", '{"training": {"lr": 1}, "step": 3}', '{"step": 3}']
)
@pytest.mark.parametrize("name", ["config.json", "metadata.json"])
def test_a_damaged_or_foreign_record_beside_the_weights_is_one_line(
    data, both, tmp_path, name, content
):
    source = both
    if name == "metadata.json":
        (weights_file,) = both.glob("best/*.weights.h5")
        source = weights_file.rename(tmp_path / weights_file.name)
    record = source.with_name(name) if name == "metadata.json" else source / name
    record.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=rf"{record} is damaged or not of this project .*; copy"):
        loop.train(toy_config(data, initial_weights=str(source)), tmp_path / "run")


@pytest.mark.parametrize(
    "frozen, trained",
    [
        ("reconstruction", "segmentation"),
        ("segmentation", "reconstruction"),
    ],
)
def test_a_frozen_network_keeps_its_weights(frozen, trained, data, both, tmp_path):
    config = toy_config(data, initial_weights=str(both), freeze=frozen, ema_momentum=0.5)
    loop.train(config, tmp_path / "run")
    ours, theirs = (
        weights(checkpoints.latest(tmp_path / "run"), config),
        weights(both / "best", config),
    )
    assert_same(ours[frozen], theirs[frozen])
    assert any((a != b).any() for a, b in zip(ours[trained], theirs[trained], strict=True))


def test_freezing_needs_weights(data, tmp_path):
    with pytest.raises(UserError, match="--initial_weights"):
        toy_config(data, freeze="segmentation").check()
    loop.train(toy_config(data, **NO_SEGMENTATION), tmp_path / "alone")
    config = toy_config(data, initial_weights=str(tmp_path / "alone"), freeze="segmentation")
    with pytest.raises(UserError, match=r"--freeze=segmentation: .*does not have all weights"):
        loop.train(config, tmp_path / "run")


def test_freezing_the_only_network_is_refused(data, both):
    config = toy_config(data, initial_weights=str(both), freeze="reconstruction", **NO_SEGMENTATION)
    with pytest.raises(UserError, match="--freeze=reconstruction: needs both networks"):
        config.check()


def test_a_mixed_run_keeps_the_shares(data, tmp_path):
    other = toy_dataset(tmp_path / "other")
    loop.train(toy_config(f"{data}:3,{other}:1", steps=2), tmp_path / "run")
    record = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    assert record["folders"][1]["share"] == 0.25
    with pytest.raises(UserError, match="the further data or their shares"):
        loop.train(toy_config(f"{data}:1,{other}:1", steps=3), tmp_path / "run")
