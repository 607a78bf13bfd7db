"""Trilinear interpolation of volumes: by hand, and against SciPy."""

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from xctrs_tf.models.compared.linear_resampling import LinearDownSampling3D, LinearUpSampling3D


def test_upsampling_by_hand():
    x = np.array([0.0, 4.0, 8.0], "float32").reshape(1, 3, 1, 1, 1)
    y = np.asarray(LinearUpSampling3D(2)(x))
    assert y.shape == (1, 6, 2, 2, 1)
    np.testing.assert_allclose(y[0, :, 0, 0, 0], [0, 1, 3, 5, 7, 8])


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_upsampling_is_trilinear_on_every_axis(factor):
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5, 2)).astype("float32")
    centres = [(np.arange(n * factor) + 0.5) / factor - 0.5 for n in (3, 4, 5)]
    grid = np.meshgrid(*centres, indexing="ij")
    y = np.asarray(LinearUpSampling3D(factor)(x))
    for sample in range(2):
        for channel in range(2):
            expected = scipy.ndimage.map_coordinates(
                x[sample, ..., channel], grid, order=1, mode="nearest"
            )
            np.testing.assert_allclose(y[sample, ..., channel], expected, atol=1e-5)


def test_downsampling_takes_the_eight_voxels_around_the_centre():
    x = np.zeros((1, 4, 8, 12, 1), "float32")
    x[0, 1:3, 5:7, 9:11, 0] = np.arange(8).reshape(2, 2, 2)
    y = np.asarray(LinearDownSampling3D(4)(x))
    assert y.shape == (1, 1, 2, 3, 1)
    assert y[0, 0, :, :, 0].tolist() == [[0, 0, 0], [0, 0, 3.5]]


def test_an_odd_factor_is_refused():
    with pytest.raises(ValueError, match="factor must be even, not 3"):
        LinearDownSampling3D(3)


def test_gradients_keep_the_sum():
    x = tf.random.normal((1, 3, 4, 5, 1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(LinearUpSampling3D(2)(x))
    # Constant continuation gives the outermost voxels no more than the others.
    np.testing.assert_allclose(tape.gradient(total, x), np.full(x.shape, 8.0), atol=1e-5)
