"""Weight files of a checkpoint: one file for X-CTRSNet, else one per network."""

import dataclasses
import json
import warnings

import numpy as np
import pytest

from xctrs_tf.models import MulSISNet, SpaDRNet, XCTRSNet
from xctrs_tf.training import checkpoints
from xctrs_tf.training.config import TrainingConfig
from xctrs_tf.training.run import build_networks

CONFIG = TrainingConfig(size=32, width=0.125)


@pytest.fixture(scope="module")
def networks():
    return build_networks(CONFIG)


@pytest.fixture(scope="module")
def folder(networks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "best"
    checkpoints.save(folder, networks, {}, {"step": 3})
    return folder


@pytest.fixture(autouse=True)
def _no_warning():
    """Turn warnings into errors: Keras only warns if it does not load a weight."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


def _assert_same_weights(network, expected):
    for one, other in zip(network.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_default_pair_is_an_xctrsnet_of_one_file(networks, folder):
    assert sorted(path.name for path in folder.iterdir()) == ["model.weights.h5", "state.json"]
    state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    assert state["sha256"].keys() == {"model.weights.h5"}
    model = XCTRSNet(size=32, width=0.125)
    model.load_weights(folder / "model.weights.h5")
    films = {view: np.full((1, 32, 32, 1), 0.5, "float32") for view in ("ap", "la")}
    outputs = model(films)
    ct = networks["reconstruction"](films)
    np.testing.assert_allclose(outputs["ct"], ct, rtol=1e-5)
    np.testing.assert_allclose(outputs["segmentation"], networks["segmentation"](ct), rtol=1e-4)


def test_the_file_fills_the_networks_too(networks, folder):
    others = build_networks(dataclasses.replace(CONFIG, seed=1))
    checkpoints.load_weights(folder, others)
    for name, network in networks.items():
        _assert_same_weights(others[name], network)


@pytest.mark.parametrize(
    ("name", "make"), [("reconstruction", SpaDRNet), ("segmentation", MulSISNet)]
)
def test_a_network_alone_has_a_file_of_its_own(networks, tmp_path, name, make):
    checkpoints.save(tmp_path / "best", {name: networks[name]}, {}, {"step": 3})
    network = make(size=32, width=0.125)
    network.load_weights(tmp_path / "best" / f"{name}.weights.h5")
    _assert_same_weights(network, networks[name])
    other = make(size=32, width=0.125)
    checkpoints.load_weights(tmp_path / "best", {name: other})
    _assert_same_weights(other, networks[name])


def test_a_folder_with_a_file_for_each_network_is_read(networks, tmp_path):
    for name, network in networks.items():
        network.save_weights(tmp_path / f"{name}.weights.h5")
    others = build_networks(dataclasses.replace(CONFIG, seed=1))
    checkpoints.load_weights(tmp_path, others)
    for name, network in networks.items():
        _assert_same_weights(others[name], network)
