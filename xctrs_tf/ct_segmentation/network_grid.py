"""Upright grid of cubic voxels for a network, and the averages of a scan's voxels on it."""

import numpy as np
import scipy

from xctrs_tf.data.volumes.cervical_crop import FWHM
from xctrs_tf.data.volumes.grid import along_axes
from xctrs_tf.data.volumes.intensity import AIR_HU
from xctrs_tf.data.volumes.volume import Volume
from xctrs_tf.errors import UserError

# A whole body in a field of view of 50 cm has 32 million voxels of 2.5 mm. The probabilities of
# so many need 0.7 GB.
MAX_VOXELS = 45_000_000
# Voxels of a scan that are converted to float32 at once: 64 MB.
_PART_VOXELS = 2**24
# The Gaussian ends here, in standard deviations, as in scipy.ndimage and `cervical_crop`.
_TRUNCATE = 4.0
# Faces that agree up to this share of a voxel need no further voxel.
_ROUNDING = 1e-3


def average_on_upright_grid(name, hu, grid, spacing_mm):
    """Average the voxels of a scan on an upright grid of cubic voxels that holds all of it.

    Where the voxels grow, a Gaussian averages them, as for the crops that networks are trained
    on (`data.volumes.cervical_crop`). An upright scan of this voxel size keeps its voxels.

    Args:
        name: file or folder, for the error.
        hu: ``[x, y, z]`` in HU, the axes as near to LPS as possible.
        grid: its `Grid`.
        spacing_mm: edge of a voxel in mm.

    Returns:
        `Volume` of float32 in HU; air outside of an oblique scan.

    Raises:
        UserError: the grid would have over `MAX_VOXELS` voxels.
    """
    upright = along_axes(grid)
    low, high = _outer_faces_mm(upright or grid)
    shape = np.maximum(np.ceil((high - low) / spacing_mm - _ROUNDING), 1).astype(int)
    if np.prod(shape, dtype=float) > MAX_VOXELS:
        size = " x ".join(f"{edge / 1000:.2g}" for edge in high - low)
        raise UserError(
            f"{name}: {size} m are more than a patient; correct its voxel size, or cut out the "
            "neck first"
        )
    # In the middle, so that no voxel's centre is outside of the scan.
    origin_mm = (low + high) / 2 - (shape - 1) / 2 * spacing_mm
    if upright is None:
        array = _on_oblique_grid(hu, grid, shape, spacing_mm, origin_mm)
    else:
        positions = [
            (first + np.arange(count) * spacing_mm - start) / edge
            for first, count, start, edge in zip(
                origin_mm, shape, upright.origin_mm, upright.spacing_mm, strict=True
            )
        ]
        array = _along_axes(hu, positions, _sigmas(upright.spacing_mm, spacing_mm))
    return Volume(array, (float(spacing_mm),) * 3, tuple(origin_mm.tolist()))


def _outer_faces_mm(grid):
    """Return the lowest and highest corner of the box along LPS that holds all voxels."""
    corners = np.array(list(np.ndindex(2, 2, 2))) * np.array(grid.shape) - 0.5
    corners_mm = grid.origin_mm + corners * grid.spacing_mm @ grid.direction.T
    return corners_mm.min(axis=0), corners_mm.max(axis=0)


def _sigmas(old_mm, new_mm):
    """Return the standard deviation of the Gaussian along each axis, in old voxels.

    The variances of the old voxel and of the Gaussian add up to that of the new voxel.
    """
    old_mm = np.asarray(old_mm)
    return np.sqrt(np.maximum(new_mm**2 - old_mm**2, 0.0)) / FWHM / old_mm


def _on_oblique_grid(hu, grid, shape, spacing_mm, origin_mm):
    """Average along the scan's own axes, to voxels of half the size, and turn the result."""
    edges = np.maximum(grid.spacing_mm, spacing_mm / 2)
    counts = [
        1 + int(np.ceil((count - 1) * old / new - _ROUNDING))
        for count, old, new in zip(grid.shape, grid.spacing_mm, edges, strict=True)
    ]
    # In the middle, too. The outermost may lie beyond the scan, whose border goes on there.
    starts = [
        ((length - 1) - (count - 1) * new / old) / 2
        for length, count, old, new in zip(grid.shape, counts, grid.spacing_mm, edges, strict=True)
    ]
    positions = [
        start + np.arange(count) * new / old
        for start, count, old, new in zip(starts, counts, grid.spacing_mm, edges, strict=True)
    ]
    averaged = _along_axes(hu, positions, _sigmas(grid.spacing_mm, spacing_mm))
    first_mm = grid.origin_mm + grid.direction @ (starts * grid.spacing_mm)
    to_index = np.diag(1 / edges) @ grid.direction.T
    return scipy.ndimage.affine_transform(
        averaged,
        to_index * spacing_mm,
        to_index @ (origin_mm - first_mm),
        tuple(shape),
        order=1,
        mode="constant",
        cval=AIR_HU,
    )


def _along_axes(hu, positions, sigmas):
    """Blur an array along its axes and interpolate it at positions along each, in parts.

    Args:
        hu: array of three axes.
        positions: for each axis, indices that may be fractions.
        sigmas: for each axis, standard deviation of the Gaussian in voxels.

    Returns:
        float32 array.
    """
    # In the order of the memory; planes across the first axis are done together.
    order = np.argsort(-np.abs(hu.strides), kind="stable")
    array = hu.transpose(order)
    slow, middle, fast = (_weights(hu.shape[axis], positions[axis], sigmas[axis]) for axis in order)
    blurred = np.empty((slow.shape[0], middle.shape[0], fast.shape[0]), np.float32)
    step = max(1, int(_PART_VOXELS / array[0].size * slow.shape[0] / len(array)))
    for start in range(0, len(blurred), step):
        rows = slow[start : start + step]
        used = slice(rows.indices.min(), rows.indices.max() + 1)
        part = array[used].astype(np.float32, order="C").reshape(used.stop - used.start, -1)
        for place, plane in enumerate(rows[:, used] @ part, start):
            blurred[place] = (fast @ (middle @ plane.reshape(array.shape[1:])).T).T
    return np.ascontiguousarray(blurred.transpose(np.argsort(order)))


def _weights(length, positions, sigma):
    """Return what each voxel gives to the value at each position, a sparse matrix."""
    reach = int(_TRUNCATE * sigma + 0.5)
    offsets = np.arange(-reach, reach + 1)
    gaussian = np.exp(-0.5 * (offsets / sigma) ** 2) if reach else np.ones(1)
    gaussian /= gaussian.sum()
    # Numbers that differ from a voxel's centre by rounding alone are this centre.
    near = np.round(positions)
    positions = np.where(np.abs(positions - near) < _ROUNDING, near, positions)
    below = np.floor(positions).astype(int)
    share = positions - below
    columns, values = [], []
    # The border goes on outside, of the scan and of the blurred scan.
    for neighbour, part in ((below, 1 - share), (below + 1, share)):
        centre = np.clip(neighbour, 0, length - 1)
        columns.append(np.clip(np.add.outer(centre, offsets), 0, length - 1))
        values.append(np.multiply.outer(part, gaussian))
    columns, values = np.hstack(columns), np.hstack(values)
    rows = np.broadcast_to(np.arange(len(positions))[:, np.newaxis], columns.shape)
    # Values of one place are added up.
    matrix = scipy.sparse.coo_array(
        (values.ravel().astype(np.float32), (rows.ravel(), columns.ravel())),
        shape=(len(positions), length),
    ).tocsr()
    matrix.eliminate_zeros()
    return matrix
