"""Trilinear interpolation of volumes: by hand, and against SciPy."""

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from xctrs_tf.models.compared.linear_resampling import LinearDownSampling3D, LinearUpSampling3D


def zoomed(x, factor):
    """Return SciPy's linear interpolation, in which the outermost centres stay."""
    zoom = (1, factor, factor, factor, 1)
    return scipy.ndimage.zoom(x, zoom, order=1, mode="nearest", grid_mode=False)


def random(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def test_upsampling_by_hand():
    x = np.array([0.0, 5.0, 10.0], "float32").reshape(1, 3, 1, 1, 1)
    y = np.asarray(LinearUpSampling3D(2)(x))
    assert y.shape == (1, 6, 2, 2, 1)
    np.testing.assert_allclose(y[0, :, 0, 0, 0], [0, 2, 4, 6, 8, 10], atol=1e-6)


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_upsampling_keeps_the_outermost_centres_on_every_axis(factor):
    x = random(2, 3, 4, 5, 2)
    np.testing.assert_allclose(LinearUpSampling3D(factor)(x), zoomed(x, factor), atol=1e-5)


def test_downsampling_by_hand():
    x = np.arange(8, dtype="float32").reshape(1, 8, 1, 1, 1) * np.ones((1, 1, 4, 4, 1), "float32")
    y = np.asarray(LinearDownSampling3D(4)(x))
    assert y.shape == (1, 2, 1, 1, 1)
    np.testing.assert_allclose(np.ravel(y), [0, 7])


@pytest.mark.parametrize(
    ("factor", "shape"), [(2, (8, 6, 4)), (3, (6, 9, 12)), (4, (8, 12, 20)), (4, (4, 8, 12))]
)
def test_downsampling_keeps_the_outermost_centres_on_every_axis(factor, shape):
    x = random(2, *shape, 2)
    np.testing.assert_allclose(LinearDownSampling3D(factor)(x), zoomed(x, 1 / factor), atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "length"), [(LinearUpSampling3D(3), 4), (LinearDownSampling3D(4), 12)]
)
def test_the_gradient_is_the_transposed_interpolation(layer, length):
    identity = np.eye(length, dtype="float32").reshape(length, length, 1, 1, 1)
    if isinstance(layer, LinearDownSampling3D):
        identity = np.tile(identity, (1, 1, layer.factor, layer.factor, 1))
    matrix = np.asarray(layer(identity))[:, :, 0, 0, 0]
    x = tf.constant(identity[:1])
    weights = random(matrix.shape[1])
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(layer(x)[0, :, 0, 0, 0] * weights)
    actual = np.sum(tape.gradient(loss, x)[0, ..., 0], axis=(1, 2))
    np.testing.assert_allclose(actual, matrix @ weights, atol=1e-5)
