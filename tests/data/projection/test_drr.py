import dataclasses

import keras
import numpy as np
import pytest
from keras import ops

from tests.data.projection.slow_projection import slow_film
from tests.jax_backend import on_jax
from xctrs_tf.data.projection import drr
from xctrs_tf.data.projection.drr import films_of, hu_to_mu, parallel_projection
from xctrs_tf.data.projection.projection_geometry import ProjectionGeometry, VolumeFrame
from xctrs_tf.data.volumes.volume import Volume


def gradient(function, value):
    """Return the gradient of a scalar function on the current Keras backend."""
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
        # A ray may lose or gain half a voxel at each end.
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


FRAME = VolumeFrame(12, 2.0, (-20.0, 5.0, 30.0))


def scan_of(array, spacing_mm=2.0, origin_mm=FRAME.origin_mm):
    return Volume(array, tuple(np.broadcast_to(spacing_mm, 3)), tuple(origin_mm))


def random_ct(shape=(12, 12, 12)):
    return np.random.default_rng(0).integers(-1000, 1500, shape, np.int16)


def test_parallel_films_of_the_crop_are_the_parallel_projection_to_the_bit():
    ct = random_ct()
    films = films_of(scan_of(ct), FRAME, ProjectionGeometry())
    for view in ("ap", "la"):
        expected = np.array(parallel_projection(hu_to_mu(ct), 2.0, view))
        np.testing.assert_array_equal(films[view], expected)
        assert films[view].dtype == np.float32


@pytest.mark.parametrize("name", ["parallel", "clinical"])
def test_a_scan_that_is_the_crop_gives_the_films_of_the_crop(name):
    ct = scan_of(random_ct())
    geometry = ProjectionGeometry.preset(name)
    crop = films_of(ct, FRAME, geometry)
    full = films_of(ct, FRAME, dataclasses.replace(geometry, field_of_view="full"))
    for view in ("ap", "la"):
        np.testing.assert_allclose(full[view], crop[view], rtol=1e-5)


def test_cone_films_are_cone_projections_about_the_frame():
    ct = random_ct()
    films = films_of(scan_of(ct), FRAME, ProjectionGeometry.preset("x2ct"))
    mu = np.asarray(hu_to_mu(ct))
    for view in ("ap", "la"):
        expected = slow_film(mu, (2.0,) * 3, (-11.0,) * 3, view, (12, 12), 2.0, 541.0, None, None)
        np.testing.assert_allclose(films[view], expected, rtol=1e-5)


def test_the_full_field_of_view_adds_what_overlaps():
    # The frame lies at [4:16, 7:19, 3:15] of the scan.
    ct = random_ct((20, 25, 18))
    origin_mm = np.array(FRAME.origin_mm) - 2.0 * np.array([4, 7, 3])
    films = films_of(
        scan_of(ct, origin_mm=origin_mm), FRAME, ProjectionGeometry(field_of_view="full")
    )
    mu = np.asarray(hu_to_mu(ct))
    np.testing.assert_allclose(films["ap"], 2.0 * mu[4:16, :, 3:15].sum(1), rtol=1e-5)
    np.testing.assert_allclose(films["la"], 2.0 * mu[:, 7:19, 3:15].sum(0), rtol=1e-5)


def test_a_fine_scan_is_averaged_over_the_frames_pixels():
    # Half the voxel: the first frame pixel covers the first two voxels.
    ct = np.full((24, 24, 24), -1000, np.int16)
    ct[2:4, :, 6:8] = 0
    scan = scan_of(ct, 1.0, np.array(FRAME.origin_mm) - 0.5)
    film = films_of(scan, FRAME, ProjectionGeometry(field_of_view="full"))["ap"]
    expected = np.zeros((12, 12))
    expected[1, 3] = 24 * 0.0192
    np.testing.assert_allclose(film, expected, atol=1e-5)


def test_slabs_make_the_same_film(monkeypatch):
    scan = scan_of(random_ct((20, 25, 18)), (2.0, 1.5, 3.0), (-30.0, -4.0, 20.0))
    geometry = ProjectionGeometry("cone", "full", 300.0, 400.0, (3, -4, 5), (1, 2, -3))
    whole = films_of(scan, FRAME, geometry)
    monkeypatch.setattr(drr, "SLAB_VOXELS", 1000)
    slabs = films_of(scan, FRAME, geometry)
    for view in ("ap", "la"):
        np.testing.assert_allclose(slabs[view], whole[view], rtol=1e-4, atol=1e-5)


def test_the_patient_is_moved_about_the_frames_centre():
    ct = np.full((12, 12, 12), -1000, np.int16)
    ct[3, 5, 8] = 1000
    geometry = ProjectionGeometry(translation_mm=(2.0, -4.0, 6.0))
    films = films_of(scan_of(ct), FRAME, geometry)
    assert np.argwhere(films["ap"] > 0.05).tolist() == [[4, 11]]
    assert np.argwhere(films["la"] > 0.05).tolist() == [[3, 11]]


def films_of_a_posed_patient():
    geometry = ProjectionGeometry("cone", "full", 300.0, 400.0, (3, -4, 5), (1, 2, -3))
    films = films_of(scan_of(random_ct((20, 25, 18)), (2.0, 1.5, 3.0)), FRAME, geometry)
    return {view: film.tolist() for view, film in films.items()}


def test_jax_makes_the_same_films():
    films = on_jax("tests.data.projection.test_drr", "films_of_a_posed_patient")
    for view, film in films_of_a_posed_patient().items():
        np.testing.assert_allclose(films[view], film, rtol=1e-4, atol=1e-5)
