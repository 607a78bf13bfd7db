"""Convolutions with standardised weights: against NumPy and SciPy."""

import keras
import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf
from keras import layers

from xctrs_tf.layers.basic_layers import Style, convolution
from xctrs_tf.layers.weight_standardization import WeightStandardizedConv3D, standardize_weights


def random(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def standardized(kernel):
    mean = np.mean(kernel, axis=(0, 1, 2, 3))
    return (kernel - mean) / np.std(kernel, axis=(0, 1, 2, 3), ddof=1)


def test_every_filter_has_mean_0_and_deviation_1():
    kernel = 3.0 * random(3, 3, 3, 2, 4) + np.arange(4, dtype="float32")
    np.testing.assert_allclose(standardize_weights(kernel), standardized(kernel), atol=1e-5)


def test_constant_weights_become_0():
    np.testing.assert_array_equal(standardize_weights(np.ones((3, 3, 3, 2, 4), "float32")), 0.0)


def test_convolves_with_the_standardised_weights_and_adds_the_bias_as_it_is():
    layer = WeightStandardizedConv3D(3, 3, padding="same", bias_initializer="normal")
    x = random(1, 4, 5, 6, 2)
    y = np.asarray(layer(x))
    kernel = standardized(np.asarray(layer.kernel))
    for index in range(3):
        parts = [
            scipy.ndimage.correlate(x[0, ..., c], kernel[..., c, index], mode="constant")
            for c in range(2)
        ]
        np.testing.assert_allclose(y[0, ..., index], sum(parts) + layer.bias[index], atol=1e-4)


def test_the_scale_of_the_weights_has_no_effect_and_no_gradient():
    layer = WeightStandardizedConv3D(3, 3)
    x = random(1, 4, 4, 4, 2)
    before = layer(x)
    layer.kernel.assign(5.0 * layer.kernel + 1.0)
    with tf.GradientTape() as tape:
        after = layer(x)
        loss = tf.reduce_sum(after * random(*after.shape))
    np.testing.assert_allclose(after, before, atol=1e-4)
    gradient = tape.gradient(loss, layer.kernel.value)
    np.testing.assert_allclose(np.sum(gradient, axis=(0, 1, 2, 3)), 0.0, atol=1e-4)
    along = np.sum(gradient * layer.kernel, axis=(0, 1, 2, 3))
    np.testing.assert_allclose(along, 0.0, atol=1e-4)


def test_mixed_precision_keeps_the_statistics_in_float32():
    # In bfloat16 these weights would be whole multiples of 4.
    full = WeightStandardizedConv3D(3, 3)
    mixed = WeightStandardizedConv3D(3, 3, dtype="mixed_bfloat16")
    x = random(1, 4, 4, 4, 2)
    full.build(x.shape)
    mixed.build(x.shape)
    for layer in (full, mixed):
        layer.kernel.assign(1000.0 + random(3, 3, 3, 2, 3))
    assert mixed(x).dtype == "bfloat16"
    np.testing.assert_allclose(tf.cast(mixed(x), "float32"), full(x), rtol=0.02, atol=0.1)


def test_saves_its_weights_as_they_are(tmp_path):
    x = layers.Input((4, 4, 4, 2))
    style = Style(rank=3, normalization="group", weight_standardization=True)
    model = keras.Model(x, convolution(x, 3, style, "conv", strides=2, padding=1))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.get_layer("conv"), WeightStandardizedConv3D)
    assert loaded.output.shape == (None, 2, 2, 2, 3)
    for actual, expected in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(actual, expected)
    volume = random(1, 4, 4, 4, 2)
    np.testing.assert_array_equal(loaded(volume), model(volume))


def test_weight_standardisation_in_2d_is_refused():
    with pytest.raises(ValueError, match="weight standardisation is for rank 3 only"):
        Style(rank=2, normalization="group", weight_standardization=True)
