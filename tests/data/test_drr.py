import keras
import numpy as np
import pytest
from keras import ops

from xctrs_tf.data.drr import hu_to_mu, parallel_projection


def gradient(function, value):
    """Gradient of a scalar function on whichever Keras backend runs."""
    if keras.backend.backend() == "jax":
        import jax

        return np.asarray(jax.grad(function)(value))
    import tensorflow as tf

    variable = tf.Variable(value)
    with tf.GradientTape() as tape:
        loss = function(variable)
    return tape.gradient(loss, variable).numpy()


@pytest.mark.parametrize(
    ("hu", "mu"),
    [
        (-2000, 0.0),
        (-1000, 0.0),
        (-500, 0.0096),
        (0, 0.0192),
        (500, 0.03825),
        (1000, 0.0573),
        (2000, 0.0954),
    ],
)
def test_attenuation_of_known_ct_numbers(hu, mu):
    assert float(hu_to_mu(np.int16(hu))) == pytest.approx(mu, abs=1e-8)


def test_attenuation_has_a_gradient_on_both_sides_of_water():
    slopes = gradient(lambda hu: ops.sum(hu_to_mu(hu)), np.float32([-1500, -500, 500]))
    np.testing.assert_allclose(slopes, [0.0, 0.0192e-3, 0.0381e-3], rtol=1e-5)


def test_projection_is_the_sum_along_the_rays():
    mu = np.random.default_rng(0).random((3, 4, 5), np.float32)
    np.testing.assert_allclose(parallel_projection(mu, 2.5, "ap"), mu.sum(1) * 2.5, rtol=1e-6)
    np.testing.assert_allclose(parallel_projection(mu, 2.5, "la"), mu.sum(0) * 2.5, rtol=1e-6)


def test_projection_of_a_batch_is_the_batch_of_projections():
    mu = np.random.default_rng(1).random((2, 3, 4, 5), np.float32)
    for view in ("ap", "la"):
        expected = [parallel_projection(volume, 1.5, view) for volume in mu]
        np.testing.assert_allclose(parallel_projection(mu, 1.5, view), expected, rtol=1e-6)


def test_a_bright_voxel_lands_on_one_pixel_of_each_film():
    mu = np.zeros((3, 4, 5), np.float32)
    mu[2, 1, 3] = 1.0
    ap = np.asarray(parallel_projection(mu, 1.0, "ap"))
    la = np.asarray(parallel_projection(mu, 1.0, "la"))
    assert ap.shape == (3, 5) and la.shape == (4, 5)
    assert np.argwhere(ap).tolist() == [[2, 3]]
    assert np.argwhere(la).tolist() == [[1, 3]]


def test_chord_length_of_a_uniform_sphere():
    size, spacing_mm, radius_mm, mu_water = 64, 2.0, 45.0, 0.0192
    axis = (np.arange(size) - (size - 1) / 2) * spacing_mm
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    sphere = np.where(x**2 + y**2 + z**2 <= radius_mm**2, mu_water, 0.0).astype(np.float32)
    horizontal, vertical = np.meshgrid(axis, axis, indexing="ij")
    chord = 2 * np.sqrt(np.maximum(radius_mm**2 - horizontal**2 - vertical**2, 0.0))
    for view in ("ap", "la"):
        film = np.asarray(parallel_projection(sphere, spacing_mm, view))
        # A ray may miss or gain half a voxel at each end.
        assert np.abs(film / mu_water - chord).max() <= spacing_mm + 1e-3


def test_projection_spreads_its_gradient_evenly_along_the_ray():
    weights = np.zeros((3, 5), np.float32)
    weights[2, 3] = 1.0
    slopes = gradient(
        lambda mu: ops.sum(parallel_projection(mu, 2.5, "ap") * weights),
        np.ones((3, 4, 5), np.float32),
    )
    expected = np.zeros((3, 4, 5))
    expected[2, :, 3] = 2.5
    np.testing.assert_allclose(slopes, expected)
