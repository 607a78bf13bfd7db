"""X-CTRSNet as one model, with one file of weights."""

import warnings

import keras
import numpy as np
import pytest

import xctrs_tf
from xctrs_tf import models
from xctrs_tf.models import xctrsnet


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
    monkeypatch.setattr(xctrsnet, "load_sources", lambda networks, names: loaded.append(names))
    model = xctrs_tf.XCTRSNet(weights="neck64")
    assert model.input["ap"].shape == (None, 32, 32, 1)
    assert loaded == [["neck64"]]
    with pytest.raises(ValueError, match="'neck64' have size=32, not 64"):
        xctrs_tf.XCTRSNet(64, weights="neck64")
    with pytest.raises(ValueError, match=r"'neck64' have width=0\.125, not 1"):
        xctrs_tf.XCTRSNet(width=1.0, weights="neck64")
