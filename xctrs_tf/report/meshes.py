"""Surface meshes of the vertebrae in mm, and their STL files."""

import dataclasses

import numpy as np
import scipy

from xctrs_tf.files import atomic_path
from xctrs_tf.quality.vertebra_labels import scattered, vertebra_masks
from xctrs_tf.style import NOTICE

# Standard deviation in voxels of the Gaussian that smooths the steps of the voxels.
SMOOTHING_VOXELS = 0.75
# Voxels around a vertebra's bounding box, wide enough for the smoothing.
_PADDING_VOXELS = 4
# Samples closer to the level than this share of the field's range are moved away from
# it, since a triangle at such a sample shrinks to a point.
_OFF_LEVEL = 1e-3

_STL_HEADER = f"xctrs_tf, mm, LPS. {NOTICE}".encode("ascii")
_STL_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attributes", "<u2")])


@dataclasses.dataclass(frozen=True)
class Mesh:
    """A triangle mesh.

    Attributes:
        vertices: float64 ``(n, 3)``, LPS in mm.
        faces: int64 ``(m, 3)``, anticlockwise seen from outside.
    """

    vertices: np.ndarray
    faces: np.ndarray

    @property
    def volume_mm3(self):
        """Enclosed volume, by the divergence theorem."""
        a, b, c = (self.vertices[self.faces[:, corner]] for corner in range(3))
        return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def vertebra_mesh(mask, spacing_mm, origin_mm):
    """Return the surface of one vertebra: watertight, smooth, and of the mask's volume.

    Smoothing shrinks thin bone. Therefore the level is not 0.5 but the one that
    encloses as many voxels as the mask has.

    Args:
        mask: bool ``[x, y, z]``, not empty.
        spacing_mm: edge of a voxel.
        origin_mm: LPS position of the centre of voxel ``[0, 0, 0]``.

    Returns:
        `Mesh`.
    """
    voxels = np.argwhere(mask)
    low, high = voxels.min(axis=0), voxels.max(axis=0) + 1
    box = np.pad(mask[tuple(map(slice, low, high))], _PADDING_VOXELS).astype(np.float64)
    field = scipy.ndimage.gaussian_filter(box, SMOOTHING_VOXELS)
    ordered = np.sort(field.ravel())[::-1]
    level = (ordered[len(voxels) - 1] + ordered[len(voxels)]) / 2
    vertices, faces = isosurface(field, level)
    return Mesh(np.asarray(origin_mm) + (vertices + low - _PADDING_VOXELS) * spacing_mm, faces)


def isosurface(field, level):
    """Return the surface where a field crosses a level, by marching cubes.

    Args:
        field: array ``[x, y, z]``; outside of it the field is below the level.
        level: float.

    Returns:
        ``(vertices, faces)``: float64 ``(n, 3)`` in voxels and int64 ``(m, 3)``,
        anticlockwise seen from where the field is below the level. For a field
        without ties, such as a smoothed mask, every edge belongs to two faces.
    """
    field = np.asarray(field, np.float64)
    if field.max() < level:
        return np.empty((0, 3)), np.empty((0, 3), int)
    # Slow to import, and only reports need it.
    from skimage.measure import marching_cubes

    low = min(field.min(), level)
    distance = _OFF_LEVEL * (field.max() - low)
    field = np.where(np.abs(field - level) < distance, level + distance, field)
    field = np.pad(field, 1, constant_values=low - 1.0)
    vertices, faces, _, _ = marching_cubes(field, level)
    return vertices.astype(np.float64) - 1.0, faces[:, ::-1].astype(np.int64)


def vertebra_meshes(labels, spacing_mm, origin_mm):
    """Return the surfaces of the vertebrae that are present and not noise.

    The surface of noise would take gigabytes.

    Args:
        labels: integers ``[x, y, z]``, 1..7 = C1..C7.
        spacing_mm: edge of a voxel.
        origin_mm: LPS position of the centre of voxel ``[0, 0, 0]``.

    Returns:
        Dict from name to `Mesh`.
    """
    noise = scattered(labels)
    return {
        name: vertebra_mesh(mask, spacing_mm, origin_mm)
        for name, mask in vertebra_masks(labels).items()
        if name not in noise
    }


def thin(mesh, cell_mm):
    """Coarsen a surface for display: merge the vertices in each cell of a grid.

    The result need not be closed, and thin bone may collapse.

    Args:
        mesh: `Mesh`.
        cell_mm: edge of a cell.

    Returns:
        `Mesh`.
    """
    cells = np.floor(mesh.vertices / cell_mm).astype(int)
    _, owner, sizes = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    vertices = np.zeros((len(sizes), 3))
    np.add.at(vertices, owner, mesh.vertices)
    faces = owner[mesh.faces]
    a, b, c = faces.T
    return Mesh(vertices / sizes[:, np.newaxis], faces[(a != b) & (b != c) & (c != a)])


def write_stl(path, mesh):
    """Write a mesh as binary STL, in mm and LPS.

    Args:
        path: the file.
        mesh: `Mesh`.
    """
    triangles = np.zeros(len(mesh.faces), _STL_TRIANGLE)
    corners = mesh.vertices[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    triangles["normal"] = normals / np.maximum(lengths, np.finfo(float).tiny)
    triangles["corners"] = corners
    with atomic_path(path) as temporary:
        count = np.uint32(len(triangles)).tobytes()
        temporary.write_bytes(_STL_HEADER.ljust(80) + count + triangles.tobytes())


def write_meshes(folder, labels, spacing_mm, origin_mm):
    """Write C1.stl .. C7.stl, those of `vertebra_meshes`.

    Args:
        folder: `pathlib.Path` of an existing folder.
        labels: integers ``[x, y, z]``.
        spacing_mm: edge of a voxel.
        origin_mm: LPS position of the centre of voxel ``[0, 0, 0]``.

    Returns:
        Dict from name to `Mesh`.
    """
    meshes = vertebra_meshes(labels, spacing_mm, origin_mm)
    for name, mesh in meshes.items():
        write_stl(folder / f"{name}.stl", mesh)
    return meshes
