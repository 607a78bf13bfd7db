"""Labels as closed surfaces in mm, and binary STL."""

import dataclasses

import numpy as np
from scipy import ndimage

from xctrs_tf.files import atomic_path
from xctrs_tf.quality.anatomy_scores import scattered, vertebra_masks
from xctrs_tf.report.marching import isosurface
from xctrs_tf.style import NOTICE

# Rounds the steps of the voxels off.
SMOOTHING_VOXELS = 0.75
# The blur at the edge of a box around a vertebra.
MARGIN = 4

_STL_HEADER = f"xctrs_tf, mm, LPS. {NOTICE}".encode("ascii")
_STL_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attributes", "<u2")])


@dataclasses.dataclass(frozen=True)
class Mesh:
    """A closed surface, or a thinned one.

    Attributes:
        vertices: float64 ``(n, 3)``, LPS in mm.
        faces: int64 ``(m, 3)``, anticlockwise from outside.
    """

    vertices: np.ndarray
    faces: np.ndarray

    @property
    def volume_mm3(self):
        """Volume inside, by the divergence theorem."""
        a, b, c = (self.vertices[self.faces[:, corner]] for corner in range(3))
        return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def vertebra_mesh(mask, spacing_mm, origin_mm):
    """The surface of one vertebra: watertight, smoothed, and of the voxels' volume.

    Smoothing shrinks thin bone; so the level is not a half but that which holds as
    many voxels as the mask.

    Args:
        mask: bool ``[x, y, z]``, not empty.
        spacing_mm: edge of a voxel.
        origin_mm: LPS position of the centre of voxel ``[0, 0, 0]``.

    Returns:
        `Mesh`.
    """
    voxels = np.argwhere(mask)
    low, high = voxels.min(axis=0), voxels.max(axis=0) + 1
    box = np.pad(mask[tuple(map(slice, low, high))], MARGIN).astype(np.float64)
    field = ndimage.gaussian_filter(box, SMOOTHING_VOXELS)
    ordered = np.sort(field.ravel())[::-1]
    level = (ordered[len(voxels) - 1] + ordered[len(voxels)]) / 2
    vertices, faces = isosurface(field, level)
    return Mesh(np.asarray(origin_mm) + (vertices + low - MARGIN) * spacing_mm, faces)


def vertebra_meshes(labels, spacing_mm, origin_mm):
    """The surfaces of the vertebrae that are there and are not mere noise.

    The surface of noise would be gigabytes that nobody can look at.

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
    """A coarser surface for the screen: the vertices in each cell of a grid become one.

    It need not be closed any more, and thin bone may collapse.

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
    """Write a mesh as binary STL, in mm and LPS, atomically.

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
    """Write C1.stl .. C7.stl, of the vertebrae that `vertebra_meshes` gives.

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
