"""Folded normalisation against keras.layers.GroupNormalization, and against float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from xctrs_tf.export.plain_networks import PlainGroupNormalization
from xctrs_tf.layers import normalization
from xctrs_tf.layers.normalization import FoldedGroupNormalization


@pytest.mark.parametrize("groups", [1, 2, 4, 8])
@pytest.mark.parametrize("spatial", [(5, 7), (3, 5, 7)])
def test_value_and_gradients_are_those_of_keras(groups, spatial):
    rng = np.random.default_rng(groups)
    x = tf.constant(rng.normal(3.0, 2.0, (2, *spatial, 8)), tf.float32)
    weight = tf.constant(rng.normal(size=x.shape), tf.float32)
    results = []
    for kind in (FoldedGroupNormalization, keras.layers.GroupNormalization):
        layer = kind(groups=groups, epsilon=1e-5)
        layer.build(x.shape)
        layer.set_weights([rng_weights + 1.0 for rng_weights in _affine()])
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(weight * tf.square(y))
        variables = [v.value for v in layer.trainable_variables]
        results.append([y, *tape.gradient(loss, [x, *variables])])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("groups", [4, 8])
def test_large_and_small_volumes_are_normalised_alike(groups, monkeypatch):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(3.0, 2.0, (2, 3, 5, 7, 8)), tf.float32)
    results = []
    for large in (1, 10**9):
        monkeypatch.setattr(normalization, "_LARGE", large)
        layer = FoldedGroupNormalization(groups=groups)
        layer.build(x.shape)
        layer.set_weights(_affine())
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(y**3)
        gradients = tape.gradient(loss, [x, *(v.value for v in layer.trainable_variables)])
        results.append([y, *gradients])
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def _affine():
    rng = np.random.default_rng(7)
    return rng.normal(size=(2, 8)).astype(np.float32)


def test_patients_of_a_batch_do_not_mix():
    layer = FoldedGroupNormalization(groups=2)
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5, 4)).astype(np.float32)
    x[1] *= 100.0
    np.testing.assert_allclose(layer(x)[:1], layer(x[:1]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [FoldedGroupNormalization, PlainGroupNormalization])
def test_two_million_voxels_are_summed_to_the_last_digits(kind):
    # A running sum of so many float32 numbers is wrong in its third digit.
    x = np.square(np.random.default_rng(0).random((1, 128, 128, 128, 2), np.float32))
    y = np.asarray(kind(groups=2, epsilon=1e-5)(x))
    exact = x.astype(np.float64)
    exact -= exact.mean(axis=(1, 2, 3))
    exact /= np.sqrt(np.square(exact).mean(axis=(1, 2, 3)) + 1e-5)
    np.testing.assert_allclose(y, exact, rtol=0, atol=1e-6)


def test_gradients_of_two_million_voxels_too():
    x = tf.constant(np.square(np.random.default_rng(0).random((1, 128, 128, 128, 2), np.float32)))
    layer = FoldedGroupNormalization(groups=2)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x) ** 3)
    gamma, _ = tape.gradient(loss, [v.value for v in layer.trainable_variables])
    h = np.asarray(layer(x), np.float64)
    # gamma is 1 and beta 0: the loss is the sum of (gamma * h + beta)^3.
    np.testing.assert_allclose(gamma, 3 * (h**3).sum(axis=(0, 1, 2, 3)), rtol=1e-5)


def test_half_precision_keeps_float32_statistics():
    # Near 1,000 bfloat16 has steps of 4: statistics in bfloat16 would lose the variance.
    x = np.random.default_rng(0).normal(200.0, 1.0, (1, 8, 9, 10, 4)).astype(np.float32)
    layer = FoldedGroupNormalization(groups=4, dtype="mixed_bfloat16")
    y = np.asarray(keras.ops.cast(layer(x), "float32"))
    assert abs(float(y.std()) - 1.0) < 0.1
