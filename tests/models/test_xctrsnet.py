"""X-CTRSNet as one model, with one file of weights."""

import warnings

import keras
import numpy as np
import pytest

import xctrs_tf
from xctrs_tf import models
from xctrs_tf.errors import UserError
from xctrs_tf.models import xctrsnet
from xctrs_tf.models.weights import save_weights


def test_the_package_exports_xctrsnet():
    assert xctrs_tf.XCTRSNet is models.XCTRSNet
    assert {"XCTRSNet", "load"} <= set(xctrs_tf.__all__)


def test_one_file_of_weights_holds_both_networks(tmp_path):
    rng = np.random.default_rng(0)
    films = {view: rng.random((1, 32, 32, 1), np.float32) for view in ("ap", "la")}
    saved = xctrs_tf.XCTRSNet(32, width=0.125)
    keras.utils.set_random_seed(1)
    loaded = xctrs_tf.XCTRSNet(32, width=0.125)
    saved.save_weights(tmp_path / "xctrsnet.weights.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded.load_weights(tmp_path / "xctrsnet.weights.h5")
    for ours, theirs in zip(loaded.weights, saved.weights, strict=True):
        assert ours.path == theirs.path
        np.testing.assert_array_equal(ours, theirs)
    expected, actual = saved(films), loaded(films)
    assert actual.keys() == {"ct", "segmentation"}
    for key in expected:
        np.testing.assert_array_equal(actual[key], expected[key])


def test_named_weights_decide_the_sizes(monkeypatch):
    sizes = {"size": 32, "width": 0.125}
    loaded = []
    monkeypatch.setattr(xctrsnet, "pretrained_sizes", lambda name: sizes)
    monkeypatch.setattr(xctrsnet, "load_whole", lambda networks, name: loaded.append(name))
    model = xctrs_tf.XCTRSNet(weights="neck64")
    assert model.input["ap"].shape == (None, 32, 32, 1)
    assert loaded == ["neck64"]
    with pytest.raises(ValueError, match="'neck64' have size=32, not 64"):
        xctrs_tf.XCTRSNet(64, weights="neck64")
    with pytest.raises(ValueError, match=r"'neck64' have width=0\.125, not 1"):
        xctrs_tf.XCTRSNet(width=1.0, weights="neck64")


def _network(name, layers):
    """Return a network from films or a CT with dense layers of these names and sizes."""
    if name == "spadrnet":
        inputs = {view: keras.Input((32, 32, 1), name=view) for view in ("ap", "la")}
        x = keras.ops.expand_dims(inputs["ap"], 2) + keras.ops.expand_dims(inputs["la"], 1)
    else:
        inputs = x = keras.Input((32, 32, 32, 1))
    for layer, units in layers.items():
        x = keras.layers.Dense(units, name=layer)(x)
    return keras.Model(inputs, x, name=name)


def _networks(**head):
    return {
        "reconstruction": _network("spadrnet", {"stem": 2, "ct": 1}),
        "segmentation": _network("mulsisnet", {"stem": 2, "more": 2} | (head or {"head": 8})),
    }


@pytest.mark.parametrize(
    ("stored", "built", "message"),
    [
        (("reconstruction",), {}, "has no weights of mulsisnet, which would stay random"),
        (("segmentation",), {}, "has no weights of spadrnet, which would stay random"),
        (("reconstruction", "segmentation"), {"head": 5}, "3 layers loaded; of other shapes: head"),
        (
            ("reconstruction", "segmentation"),
            {"head": 8, "last": 8},
            "4 layers loaded; not in the file: last",
        ),
    ],
)
def test_weights_that_leave_a_layer_random_are_refused(tmp_path, stored, built, message):
    file, source = tmp_path / "w.npz", _networks()
    save_weights(file, [source[name] for name in stored])
    with pytest.raises(UserError, match=message):
        xctrs_tf.XCTRSNet(32, weights=str(file), **_networks(**built))
    save_weights(file, source.values())
    copies = _networks()
    xctrs_tf.XCTRSNet(32, weights=str(file), **copies)
    for name, network in source.items():
        for ours, theirs in zip(copies[name].get_weights(), network.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("module", [xctrs_tf, models])
def test_public_names_are_listed_before_they_are_imported(module):
    assert set(module.__all__) <= set(dir(module))
    assert all(callable(getattr(module, name)) for name in module.__all__)
