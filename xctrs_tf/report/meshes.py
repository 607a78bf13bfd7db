"""Surface meshes of the vertebrae in mm, and their STL files."""

import dataclasses

import numpy as np
import scipy

from xctrs_tf.data.volumes.grid import Grid
from xctrs_tf.files import atomic_path
from xctrs_tf.geometry import VERTEBRAE
from xctrs_tf.quality.vertebra_labels import scattered
from xctrs_tf.style import NOTICE

# Standard deviation in voxels of the Gaussian that smooths the steps of the voxels.
SMOOTHING_VOXELS = 0.75
# Voxels around a box, wide enough for the smoothing.
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


def label_boxes(labels):
    """Return the box of each label that is present.

    Args:
        labels: integers ``[x, y, z]``.

    Returns:
        Dict from label to a tuple of three slices.
    """
    found = scipy.ndimage.find_objects(labels)
    return {label: box for label, box in enumerate(found, start=1) if box is not None}


def vertebra_mesh(mask, grid, edge_mm, low=(0, 0, 0)):
    """Return the surface of one vertebra: watertight, smooth, and of the mask's volume.

    The mask is brought to cubic voxels along the LPS axes. Smoothing shrinks thin bone; therefore
    the level is not 0.5 but the one that encloses the mask's volume.

    Args:
        mask: bool ``[x, y, z]``, not empty: a part of the grid.
        grid: `data.volumes.grid.Grid` of the labels.
        edge_mm: edge of the voxels that the surface is made of.
        low: index in the grid of the mask's voxel ``[0, 0, 0]``.

    Returns:
        `Mesh`.
    """
    spacing_mm = np.asarray(grid.spacing_mm, float)
    # Of the coarser voxels of the two, so that neither leaves steps.
    sigma = SMOOTHING_VOXELS * np.maximum(1.0, edge_mm / spacing_mm)
    padding = np.ceil(_PADDING_VOXELS * sigma / SMOOTHING_VOXELS).astype(int)
    box = np.pad(mask, [(each, each) for each in padding]).astype(np.float32)
    smooth = scipy.ndimage.gaussian_filter(box, sigma)
    start = np.asarray(low) - padding
    origin_mm = grid.origin_mm + grid.direction @ (start * spacing_mm)
    part = Grid(box.shape, grid.direction, spacing_mm, origin_mm)
    corners_mm = part.corners_mm()
    first_mm, last_mm = corners_mm.min(axis=0), corners_mm.max(axis=0)
    shape = np.ceil((last_mm - first_mm) / edge_mm).astype(int) + 1
    # From an index of the upright voxels to one of the box.
    matrix = grid.direction.T * edge_mm / spacing_mm[:, np.newaxis]
    offset = grid.direction.T @ (first_mm - origin_mm) / spacing_mm
    field = scipy.ndimage.affine_transform(
        smooth, matrix, offset, output_shape=tuple(shape), order=1, output=np.float64
    )
    volume_mm3 = np.count_nonzero(mask) * np.prod(spacing_mm)
    vertices, faces = isosurface(field, _level(field, volume_mm3 / edge_mm**3))
    return Mesh(first_mm + vertices * edge_mm, faces)


def _level(field, count):
    """Return the value that this many voxels of a field exceed."""
    ordered = np.sort(field.ravel())[::-1]
    place = min(max(round(count), 1), np.count_nonzero(ordered > 0) - 1)
    return (ordered[place - 1] + ordered[place]) / 2


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
    noise, boxes = scattered(labels), label_boxes(labels)
    origin_mm = np.asarray(origin_mm, float)
    grid = Grid(labels.shape, np.eye(3), np.full(3, spacing_mm, float), origin_mm)
    meshes = {}
    for label, name in enumerate(VERTEBRAE, start=1):
        if label in boxes and name not in noise:
            box = boxes[label]
            low = tuple(part.start for part in box)
            meshes[name] = vertebra_mesh(labels[box] == label, grid, spacing_mm, low)
    return meshes


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
