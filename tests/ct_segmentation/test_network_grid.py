import itertools

import numpy as np
import pytest
import scipy
from scipy.spatial.transform import Rotation

from xctrs_tf.ct_segmentation import network_grid
from xctrs_tf.ct_segmentation.network_grid import average_on_upright_grid
from xctrs_tf.data.volumes.grid import Grid
from xctrs_tf.data.volumes.volume import Volume, resample
from xctrs_tf.errors import UserError

ORIGIN_MM = np.array([-20.0, 35.0, 900.0])
TURNED = Rotation.from_euler("xyz", (12, -8, 25), degrees=True).as_matrix()


def make_grid(shape, spacing_mm, direction=None):
    direction = np.eye(3) if direction is None else direction
    return Grid(shape, direction, np.broadcast_to(np.array(spacing_mm, float), 3), ORIGIN_MM)


def noise(shape, dtype=np.int16):
    return np.random.default_rng(0).integers(-1000, 1500, shape).astype(dtype)


def positions(volume):
    """Return the LPS position of each voxel of a volume, ``[x, y, z, axis]``."""
    indices = np.stack(np.meshgrid(*map(np.arange, volume.array.shape), indexing="ij"), axis=-1)
    return volume.origin_mm + indices * np.array(volume.spacing_mm)


def test_a_scan_of_this_voxel_size_keeps_its_voxels():
    hu = noise((9, 8, 7))
    volume = average_on_upright_grid("a", hu, make_grid(hu.shape, 2.5), 2.5)
    np.testing.assert_array_equal(volume.array, hu)
    np.testing.assert_allclose(volume.origin_mm, ORIGIN_MM)
    assert volume.spacing_mm == (2.5, 2.5, 2.5)
    assert volume.array.dtype == np.float32


def test_the_values_are_those_that_the_crops_of_training_have():
    hu, edges = noise((40, 36, 22)), np.array((0.8, 0.9, 1.5))
    volume = average_on_upright_grid("a", hu, make_grid(hu.shape, edges), 2.5)
    sigmas = np.sqrt(2.5**2 - edges**2) / 2.3548 / edges
    blurred = scipy.ndimage.gaussian_filter(hu.astype(np.float32), sigmas, mode="nearest")
    expected = resample(
        Volume(blurred, edges, ORIGIN_MM), volume.array.shape, 2.5, volume.origin_mm
    )
    np.testing.assert_allclose(volume.array, expected.array, atol=0.05)


@pytest.mark.parametrize("direction", [None, TURNED], ids=["upright", "oblique"])
@pytest.mark.parametrize("edges", [(0.8, 0.9, 1.5), (4.0, 0.6, 5.0)])
def test_every_voxel_is_where_it_was(direction, edges):
    slope = np.array([2.0, -3.0, 1.5])
    shape = tuple(np.rint(60 / np.array(edges)).astype(int))
    grid = make_grid(shape, edges, direction)
    indices = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    places = grid.origin_mm + indices * grid.spacing_mm @ grid.direction.T
    middle = places.reshape(-1, 3).mean(axis=0)
    hu = ((places - middle) @ slope).astype(np.float32)
    volume = average_on_upright_grid("a", hu, grid, 2.5)
    found = positions(volume)
    # The border goes on outside, so that the blur changes the slope there.
    own = (found - middle) @ grid.direction
    inner = (np.abs(own) < 20).all(axis=-1)
    assert inner.sum() > 1000
    np.testing.assert_allclose(volume.array[inner], ((found - middle) @ slope)[inner], atol=0.1)


@pytest.mark.parametrize("direction", [None, TURNED], ids=["upright", "oblique"])
def test_the_grid_holds_all_of_the_scan(direction):
    grid = make_grid((31, 23, 17), (0.9, 1.1, 3.1), direction)
    hu = np.full(grid.shape, 100, np.int16)
    volume = average_on_upright_grid("a", hu, grid, 2.5)
    low = np.array(volume.origin_mm) - 1.25
    high = low + np.array(volume.array.shape) * 2.5
    corners = grid.corners_mm()
    assert (corners > low).all() and (corners < high).all()
    # No empty layer around.
    assert (high - low < corners.max(0) - corners.min(0) + 3.1 + 2 * 2.5).all()
    if direction is None:
        np.testing.assert_allclose(volume.array, 100, atol=1e-3)
    else:
        assert volume.array[0, 0, 0] == -1000
        assert volume.array[tuple(np.array(volume.array.shape) // 2)] == pytest.approx(100)


def test_fine_noise_is_averaged():
    hu = np.where(np.indices((60, 60, 60)).sum(axis=0) % 2, 1000, -1000).astype(np.int16)
    volume = average_on_upright_grid("a", hu, make_grid(hu.shape, 0.5), 2.5)
    assert np.abs(volume.array[2:-2, 2:-2, 2:-2]).max() < 5


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_parts_and_the_order_in_memory_change_nothing(order, monkeypatch):
    hu = noise((30, 20, 25))
    grid = make_grid(hu.shape, (0.9, 1.1, 0.7))
    expected = average_on_upright_grid("a", hu, grid, 2.5).array
    monkeypatch.setattr(network_grid, "_PART_VOXELS", 2 * 30 * 20)
    turned = np.ascontiguousarray(hu[::-1].transpose(order)).transpose(np.argsort(order))[::-1]
    found = average_on_upright_grid("a", turned, grid, 2.5).array
    np.testing.assert_allclose(found, expected, atol=1e-2)


def test_a_scan_larger_than_a_patient():
    hu = np.broadcast_to(np.int16(0), (400, 400, 300))
    with pytest.raises(UserError, match=r"a: 2 x 2 x 1\.5 m are more than a patient; correct its"):
        average_on_upright_grid("a", hu, make_grid(hu.shape, 5.0), 2.5)
