"""Normalisation by two operations, for exports of bfloat16, and the biases that it takes over."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.export.runs import toy_run
from xctrs_tf.export.fused_networks import FusedGroupNormalization, with_fused_normalizations
from xctrs_tf.layers.convolutions import Convolution2D, Convolution3D
from xctrs_tf.layers.normalization import FoldedGroupNormalization


@pytest.fixture(autouse=True)
def half():
    """Make layers of bfloat16."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy("float32")


def exact(x, layer):
    """Normalise a batch in float64."""
    grouped = x.astype(np.float64).reshape((len(x), -1, layer.groups, x.shape[-1] // layer.groups))
    centred = grouped - grouped.mean(axis=(1, 3), keepdims=True)
    variance = np.square(centred).mean(axis=(1, 3), keepdims=True)
    normalised = (centred / np.sqrt(variance + layer.epsilon)).reshape(x.shape)
    return normalised * np.asarray(layer.gamma) + np.asarray(layer.beta)


# Channels below, at and above 16, and last axes that 16 does not divide.
@pytest.mark.parametrize(
    ("spatial", "channels", "groups"),
    [((4, 6, 8), 8, 2), ((3, 4, 6), 4, 4), ((3, 5, 7), 6, 1), ((6, 8), 32, 8), ((4, 4, 4), 16, 16)],
)
def test_it_rounds_once_and_keeps_patients_apart(spatial, channels, groups):
    rng = np.random.default_rng(0)
    x = rng.normal(3.0, rng.uniform(0.5, 4, channels), (2, *spatial, channels))
    x[1] *= 50.0
    x = np.asarray(tf.cast(tf.cast(x, tf.bfloat16), tf.float32))
    layer = FusedGroupNormalization(groups=groups, epsilon=1e-5)
    layer.build(x.shape)
    # bfloat16 has these numbers.
    layer.set_weights([rng.integers(-8, 8, channels) / 4 for _ in range(2)])
    y = layer(tf.cast(x, tf.bfloat16))
    assert y.dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(y, tf.float32), exact(x, layer), rtol=2**-8, atol=1e-5)
    np.testing.assert_array_equal(layer(tf.cast(x[:1], tf.bfloat16))[0], y[0])


def test_it_keeps_float32_statistics():
    # Near 200 bfloat16 has steps of 1.
    x = np.random.default_rng(0).normal(200.0, 4.0, (1, 16, 16, 16, 8))
    x = tf.cast(x, tf.bfloat16)
    y = FusedGroupNormalization(groups=8, epsilon=1e-5)(x)
    assert float(np.std(tf.cast(y, tf.float32))) == pytest.approx(1.0, abs=1e-3)
    assert float(np.mean(tf.cast(y, tf.float32))) == pytest.approx(0.0, abs=1e-3)


def biased(kind, filters=8):
    """Return a convolution whose biases are as large as its outputs."""
    return kind(filters, 3, padding="same", bias_initializer=keras.initializers.RandomNormal(0, 1))


@pytest.mark.parametrize("groups", [2, 8])
def test_networks_are_copied_and_their_biases_taken(tmp_path, groups):
    keras.utils.set_random_seed(0)

    def normalised(x):
        return FoldedGroupNormalization(groups=groups, epsilon=1e-5)(x)

    film = keras.Input((6, 8, 3))
    nested = keras.Model(film, normalised(biased(Convolution2D)(film)))
    volume = keras.Input((6, 8, 3))
    x = keras.layers.Reshape((6, 8, 4, 2))(nested(volume))
    x = normalised(biased(Convolution3D)(x))
    # Its bias is seen by others than the normalisation, too.
    read_twice = biased(Convolution3D)(x)
    x = keras.layers.Add()([normalised(read_twice), read_twice])
    network = keras.Model(volume, biased(Convolution3D, 1)(x))
    run = dataclasses.replace(toy_run(tmp_path), reconstruction=network, segmentation=None)

    fused = with_fused_normalizations(run).reconstruction
    kept = {
        layer.name: layer.use_bias
        for layer in fused._flatten_layers()
        if isinstance(layer, (Convolution2D, Convolution3D))
    }
    assert list(kept.values()) == [False, False, True, True]
    assert not any(type(layer) is FoldedGroupNormalization for layer in fused._flatten_layers())
    for ours, theirs in zip(fused.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    batch = np.random.default_rng(0).normal(size=(2, 6, 8, 3)).astype(np.float32)
    outputs = [np.asarray(tf.cast(n(batch, training=False), "float32")) for n in (fused, network)]
    assert np.ptp(outputs[1]) > 5
    np.testing.assert_allclose(*outputs, rtol=0.01, atol=0.15)
