"""Convolutions with their own gradient of the bias, against keras.layers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from xctrs_tf.layers.basic_layers import Style
from xctrs_tf.layers.blocks import conv_norm_act
from xctrs_tf.layers.convolutions import Convolution2D, Convolution3D
from xctrs_tf.layers.weight_standardization import WeightStandardizedConv3D


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize(
    ("ours", "theirs", "rank"),
    [(Convolution2D, keras.layers.Conv2D, 2), (Convolution3D, keras.layers.Conv3D, 3)],
)
def test_values_and_gradients_are_those_of_keras(ours, theirs, rank, policy):
    rng = np.random.default_rng(rank)
    x = tf.constant(rng.normal(size=(2, *(5, 6, 7)[:rank], 3)), tf.float32)
    weights = [rng.normal(size=(*(3,) * rank, 3, 4)), rng.normal(size=4)]
    results = []
    # Keras sums the gradient of a bfloat16 bias in bfloat16: it is compared in float32.
    for kind, dtype in ((ours, policy), (theirs, "float32")):
        layer = kind(4, 3, padding="same", activation="relu", dtype=dtype)
        layer.build(x.shape)
        layer.set_weights(weights)
        with tf.GradientTape() as tape:
            y = tf.cast(layer(x, training=True) if kind is ours else layer(x), tf.float32)
            loss = tf.reduce_sum(y**2)
        gradients = tape.gradient(loss, [v.value for v in layer.trainable_variables])
        results.append([y, *gradients])
    tolerance = 1e-5 if policy == "float32" else 2e-2
    for own, other in zip(*results, strict=True):
        scale = np.abs(other).max()
        np.testing.assert_allclose(own / scale, other / scale, rtol=0, atol=tolerance)


@pytest.mark.parametrize("kind", [Convolution3D, WeightStandardizedConv3D])
def test_a_bias_with_a_gradient_of_zero_is_added_all_the_same(kind):
    x = tf.ones((1, 2, 2, 2, 1))
    layer = kind(2, 1, bias_gradient=False)
    layer.build(x.shape)
    layer.bias.assign([1.0, -2.0])
    for training in (True, False):
        with tf.GradientTape() as tape:
            y = layer(x, training=training)
            loss = tf.reduce_sum(y)
        without = y - layer.bias
        layer.bias.assign([0.0, 0.0])
        np.testing.assert_allclose(without, layer(x, training=training), atol=1e-6)
        layer.bias.assign([1.0, -2.0])
        if training:
            assert not np.any(tape.gradient(loss, layer.bias.value))


def test_the_argument_is_saved_with_the_layer():
    layer = Convolution3D(2, 3, bias_gradient=False)
    assert not Convolution3D.from_config(layer.get_config()).bias_gradient
    assert Convolution3D.from_config(keras.layers.Conv3D(2, 3).get_config()).bias_gradient


@pytest.mark.parametrize(
    ("normalization", "needed"), [("instance", False), ("batch", False), ("group", True)]
)
def test_a_bias_has_a_gradient_unless_the_normalisation_takes_it_away(normalization, needed):
    # Two channels a group: their mean does not take away what one of them got.
    style = Style(rank=3, normalization=normalization, channels_per_group=2)
    x = keras.Input((4, 4, 4, 1), batch_size=1)
    model = keras.Model(x, conv_norm_act(x, 2, style, "block"))
    conv = model.get_layer("block_conv")
    assert conv.bias_gradient is needed
    volume = np.random.default_rng(0).normal(size=(1, 4, 4, 4, 1)).astype(np.float32)
    before = model(volume, training=True)
    conv.bias.assign([3.0, -3.0])
    changed = float(np.abs(before - model(volume, training=True)).max())
    assert (changed > 0.1) is needed
