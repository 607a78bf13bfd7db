import numpy as np
import pytest

from xctrs_tf.data.volumes.grid import Grid
from xctrs_tf.report.meshes import (
    Mesh,
    isosurface,
    label_boxes,
    thin,
    vertebra_mesh,
    write_meshes,
    write_stl,
)

SPACING, ORIGIN = 1.5, (-20.0, 5.0, 100.0)
GRID = Grid((20, 24, 28), np.eye(3), np.full(3, SPACING), np.array(ORIGIN))
TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("rest", "<u2")])


def blob(shape=(20, 24, 28)):
    """Return a mask of a ring with a bar and a speck: holes, thin parts, two pieces."""
    x, y, z = np.indices(shape) - np.array([9, 11, 13])[:, None, None, None]
    ring = np.abs(np.hypot(x, y) - 6) < 1.6
    mask = (ring & (np.abs(z) <= 2)) | ((np.abs(y) <= 1) & (np.abs(x) <= 6) & (np.abs(z) <= 1))
    mask[1, 1, 1] = True
    return mask


def read_stl(path):
    data = path.read_bytes()
    count = int(np.frombuffer(data[80:84], "<u4")[0])
    assert len(data) == 84 + 50 * count
    return np.frombuffer(data[84:], TRIANGLE)


def assert_closed(faces):
    """Assert that every edge occurs once in each direction."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    directed, counts = np.unique(edges, axis=0, return_counts=True)
    assert (counts == 1).all()
    assert {tuple(e) for e in directed} == {tuple(e[::-1]) for e in directed}


@pytest.mark.parametrize("seed", range(3))
def test_surface_of_noise_is_closed(seed):
    field = np.random.default_rng(seed).random((6, 7, 8))
    vertices, faces = isosurface(field, 0.5)
    assert_closed(faces)
    assert len(np.unique(vertices, axis=0)) == len(vertices)


def test_surface_of_a_ball():
    x, y, z = np.indices((21, 25, 29)) - np.array([10.0, 12.0, 14.0])[:, None, None, None]
    vertices, faces = isosurface(-np.sqrt(x**2 + y**2 + z**2), -8.0)
    radii = np.linalg.norm(vertices - [10, 12, 14], axis=1)
    assert np.abs(radii - 8).max() < 0.05
    assert Mesh(vertices, faces).volume_mm3 == pytest.approx(4 / 3 * np.pi * 8**3, rel=0.01)


def test_surface_of_nothing_is_empty():
    vertices, faces = isosurface(np.zeros((4, 5, 6)), 0.5)
    assert vertices.shape == (0, 3) and faces.shape == (0, 3)


def test_vertebra_is_closed_of_its_volume_and_in_its_place():
    mask = blob()
    mesh = vertebra_mesh(mask, GRID, SPACING)
    assert_closed(mesh.faces)
    assert mesh.volume_mm3 == pytest.approx(mask.sum() * SPACING**3, rel=0.04)
    voxels = np.argwhere(mask & (np.indices(mask.shape)[0] > 2))
    vertices = mesh.vertices[mesh.vertices[:, 0] > ORIGIN[0] + 2 * SPACING]
    low = np.array(ORIGIN) + (voxels.min(0) - 0.5) * SPACING
    high = np.array(ORIGIN) + (voxels.max(0) + 0.5) * SPACING
    np.testing.assert_allclose(vertices.min(0), low, atol=0.5 * SPACING)
    np.testing.assert_allclose(vertices.max(0), high, atol=0.5 * SPACING)


def test_a_vertebra_at_the_edge_is_closed_too():
    mask = np.zeros((5, 6, 7), bool)
    mask[:2, 3:, :] = True
    assert_closed(
        vertebra_mesh(mask, Grid((5, 6, 7), np.eye(3), np.ones(3), np.zeros(3)), 1.0).faces
    )


def test_a_surface_of_thin_voxels_keeps_its_volume_and_place():
    grid = Grid((30, 60, 10), np.eye(3), np.array([0.6, 0.4, 4.0]), np.array([5.0, -7.0, 90.0]))
    mask = np.zeros(grid.shape, bool)
    mask[6:24, 20:50, 3:7] = True
    mesh = vertebra_mesh(mask[4:26, 18:52, 2:8], grid, 1.0, low=(4, 18, 2))
    assert mesh.volume_mm3 == pytest.approx(mask.sum() * 0.6 * 0.4 * 4.0, rel=0.03)
    middle_mm = (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0)) / 2
    np.testing.assert_allclose(middle_mm, [5 + 14.5 * 0.6, -7 + 34.5 * 0.4, 90 + 4.5 * 4], atol=0.3)
    assert_closed(mesh.faces)


def test_a_surface_at_the_border_of_the_scan_is_closed():
    grid = Grid((30, 30, 12), np.eye(3), np.full(3, 1.0), np.zeros(3))
    x, y, z = np.indices(grid.shape)
    half_ball = (x - 15) ** 2 + (y - 15) ** 2 + z**2 < 11.5**2
    mesh = vertebra_mesh(half_ball, grid, 1.0)
    assert mesh.volume_mm3 == pytest.approx(half_ball.sum(), rel=0.02)
    assert mesh.vertices[:, 2].min() == pytest.approx(-0.5, abs=0.3)
    assert_closed(mesh.faces)


def test_boxes_hold_each_label():
    labels = 2 * blob().astype(np.uint8)
    labels[15:18, 20:22, 20:23] = 6
    boxes = label_boxes(labels)
    assert list(boxes) == [2, 6]
    assert boxes[6] == (slice(15, 18), slice(20, 22), slice(20, 23))


def test_stl_holds_the_mesh(tmp_path):
    mesh = vertebra_mesh(blob(), GRID, SPACING)
    write_stl(tmp_path / "C1.stl", mesh)
    triangles = read_stl(tmp_path / "C1.stl")
    np.testing.assert_allclose(triangles["corners"], mesh.vertices[mesh.faces], atol=1e-4)
    a, b, c = triangles["corners"].astype(float).swapaxes(0, 1)
    out = np.cross(b - a, c - a)
    assert (np.einsum("ij,ij->i", out, triangles["normal"]) >= 0).all()
    _, merged = np.unique(triangles["corners"].reshape(-1, 3), axis=0, return_inverse=True)
    assert_closed(merged.reshape(-1, 3))


def test_only_vertebrae_that_are_there_get_a_file(tmp_path):
    labels = blob().astype(np.uint8) * 3
    labels[15:18, 20:22, 20:22] = 6
    assert set(write_meshes(tmp_path, labels, SPACING, ORIGIN)) == {"C3", "C6"}
    assert sorted(f.name for f in tmp_path.iterdir()) == ["C3.stl", "C6.stl"]


def test_noise_gets_no_file(tmp_path):
    labels = np.zeros((24, 24, 24), np.uint8)
    labels[2:20, 2:20, 2:12] = 2
    labels[:, :, 12:] = 5 * np.random.default_rng(0).integers(0, 2, (24, 24, 12))
    assert set(write_meshes(tmp_path, labels, SPACING, ORIGIN)) == {"C2"}
    assert [f.name for f in tmp_path.iterdir()] == ["C2.stl"]


def test_thinning_keeps_the_shape():
    mesh = vertebra_mesh(blob(), GRID, SPACING)
    small = thin(mesh, 2.0)
    assert len(small.faces) < len(mesh.faces) / 2
    assert small.volume_mm3 == pytest.approx(mesh.volume_mm3, rel=0.15)
    assert small.faces.max() == len(small.vertices) - 1
