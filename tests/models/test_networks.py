"""Tests of SpaDRNet, MulSISNet and X-CTRSNet."""

import functools
import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from xctrs_tf.models import MulSISNet, SpaDRNet, XCTRSNet
from xctrs_tf.processor import bfloat16_is_slow

GOLDEN = pathlib.Path(__file__).parent.parent / "golden"
NETWORKS = {"SpaDRNet": SpaDRNet, "MulSISNet": MulSISNet, "XCTRSNet": XCTRSNet}
# An eighth of the filters, for speed.
WIDTH = 0.125


@functools.cache
def _shared(name):
    """Return a shared network. Tests must not change it."""
    return NETWORKS[name](32, width=WIDTH)


def _films(size, batch=2):
    rng = np.random.default_rng(0)
    return {view: rng.random((batch, size, size, 1), np.float32) for view in ("ap", "la")}


def _inputs(name, size, batch=2):
    if name == "MulSISNet":
        return np.random.default_rng(0).random((batch, size, size, size, 1), np.float32)
    return _films(size, batch)


def _flat(outputs):
    return outputs if isinstance(outputs, dict) else {"output": outputs}


@pytest.mark.parametrize("size", [32, 64])
def test_shapes_and_names(size):
    model = XCTRSNet(size, width=WIDTH, num_classes=5)
    outputs = model(_films(size))
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        "ct": (2, size, size, size, 1),
        "segmentation": (2, size, size, size, 5),
    }
    np.testing.assert_allclose(np.sum(outputs["segmentation"], axis=-1), 1.0, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_weight_gets_a_gradient(name):
    model = _shared(name)
    with tf.GradientTape() as tape:
        outputs = _flat(model(_inputs(name, 32), training=True))
        loss = sum(tf.reduce_sum(tf.square(value)) for value in outputs.values())
    gradients = dict(
        zip(
            (variable.path for variable in model.trainable_variables),
            tape.gradient(loss, model.trainable_variables),
            strict=True,
        )
    )
    assert [path for path, gradient in gradients.items() if gradient is None] == []
    # A bias before an instance normalisation has no effect, but the counts of the
    # paper include it.
    kernels = {path: g for path, g in gradients.items() if not path.endswith("bias")}
    assert [path for path, g in kernels.items() if np.max(np.abs(g)) < 1e-6] == []


@pytest.mark.parametrize("name", NETWORKS)
def test_saves_and_loads(name, tmp_path):
    model = _shared(name)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    inputs = _inputs(name, 32, batch=1)
    before, after = _flat(model(inputs)), _flat(loaded(inputs))
    for key in before:
        np.testing.assert_array_equal(before[key], after[key])


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", NETWORKS)
def test_mixed_precision_gives_float32_close_to_full_precision(name, policy):
    if policy == "mixed_bfloat16" and bfloat16_is_slow():
        pytest.skip("no instructions for bfloat16: programs compute in float32 here")
    inputs = _inputs(name, 32, batch=1)
    full = _shared(name)
    keras.config.set_dtype_policy(policy)
    mixed = NETWORKS[name](32, width=WIDTH)
    mixed.set_weights(full.get_weights())
    expected, actual = _flat(full(inputs)), _flat(mixed(inputs))
    for key in expected:
        assert actual[key].dtype == "float32"
        assert np.corrcoef(np.ravel(expected[key]), np.ravel(actual[key]))[0, 1] > 0.99


@pytest.mark.parametrize("name", ["SpaDRNet", "MulSISNet"])
def test_layer_names_are_golden(name):
    names = [layer.name for layer in _all_layers(NETWORKS[name](32))]
    golden = json.loads((GOLDEN / "layer_names.json").read_text(encoding="utf-8"))
    assert names == golden[name]


def _all_layers(model):
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _all_layers(layer)


def test_separate_encoders_share_no_weights():
    model = SpaDRNet(32, width=WIDTH, shared_encoder=False)
    shared = _shared("SpaDRNet")
    encoder = shared.get_layer("encoder2d").count_params()
    assert model.count_params() == shared.count_params() + encoder
    films = _films(32)
    before = np.asarray(model(films))
    model.get_layer("encoder2d_ap").set_weights(
        [weights + 1.0 for weights in model.get_layer("encoder2d_ap").get_weights()]
    )
    assert not np.allclose(before, model(films))


def test_a_shared_encoder_treats_each_film_by_itself():
    model = _shared("SpaDRNet")
    encoder = model.get_layer("encoder2d")
    films = _films(32)
    stacked = encoder(np.concatenate([films["ap"], films["la"]]))
    for together, ap in zip(stacked, encoder(films["ap"]), strict=True):
        np.testing.assert_allclose(together[:2], ap, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("factory", [SpaDRNet, MulSISNet, XCTRSNet])
def test_unsupported_size_is_refused(factory):
    with pytest.raises(ValueError, match=r"size must be one of \(32, 64, 128\), not 48"):
        factory(48)
