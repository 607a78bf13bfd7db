"""Parts of one scan, in files of their own, stitched to one volume again.

Parts fit if their voxels lie on one grid, they cover the same voxels along two axes, and along
the third they adjoin or overlap. The CT numbers of an overlap must agree.
"""

import dataclasses

import numpy as np

from xctrs_tf.data.volumes.grid import Grid
from xctrs_tf.data.volumes.stored_image import check_bytes
from xctrs_tf.errors import UserError

# How far a voxel of a part may be off the common grid, in voxels: headers are rounded.
_OFF_GRID = 0.1
# Two parts of one scan may round its CT numbers differently.
_ROUNDING_HU = 1.0
# Least share of equal CT numbers in an overlap. Two scans of one patient differ by their noise
# in nearly every voxel of the body.
_LEAST_EQUAL = 0.99
# Largest share of an overlap's labelled voxels that two parts may give different numbers:
# the borders between vertebrae, drawn twice. A vertebra named differently is more.
_MOST_RENUMBERED = 0.1
_AXES = ("left to right", "front to back", "bottom to top")


@dataclasses.dataclass(frozen=True)
class Joint:
    """Place of the parts of one scan in the whole.

    Attributes:
        grid: `Grid` of the whole.
        axis: index of the axis along which the parts follow each other.
        starts: first index of each part along that axis, in the order of the parts given.
    """

    grid: Grid
    axis: int
    starts: tuple


def joint_of(named_grids):
    """Find how parts fit together in space; oblique parts may.

    Args:
        named_grids: list of ``(name, Grid)`` of two or more parts, in any order.

    Returns:
        `Joint`.

    Raises:
        UserError: the parts are not on one grid, not side by side along one axis, leave a gap,
            or one of them lies within another.
    """
    first_name, first = named_grids[0]
    starts = np.array([_start_on(first, first_name, grid, name) for name, grid in named_grids])
    stops = starts + [grid.shape for _, grid in named_grids]
    different = [
        axis for axis in range(3) if np.ptp(starts[:, axis]) > 0 or np.ptp(stops[:, axis]) > 0
    ]
    if len(different) > 1:
        raise UserError(
            f"{named_grids[1][0]}: not above, below or beside {first_name}, with the same extent "
            "along the other two axes; give only the parts of one scan"
        )
    axis = different[0] if different else 2
    _check_order(named_grids, starts[:, axis], stops[:, axis], axis)
    low, high = starts.min(axis=0), stops.max(axis=0)
    origin_mm = first.origin_mm + first.direction @ (low * first.spacing_mm)
    grid = Grid(
        tuple((high - low).tolist()), first.direction, np.array(first.spacing_mm), origin_mm
    )
    return Joint(grid, axis, tuple((starts[:, axis] - low[axis]).tolist()))


def join_arrays(joint, named_arrays):
    """Join the CT numbers of parts.

    Args:
        joint: `Joint` of their grids.
        named_arrays: list of ``(name, array)`` of the parts, in the order of the joint.

    Returns:
        Array ``[x, y, z]`` of the whole, in HU.

    Raises:
        UserError: the whole is too large, or parts differ where they overlap.
    """

    def same(ours, theirs, name, other):
        off = np.abs(ours.astype(np.float32) - theirs.astype(np.float32)) > _ROUNDING_HU
        if (share := float(off.mean())) > 1 - _LEAST_EQUAL:
            raise UserError(
                f"{name}: differs from {other} in {share:.0%} of the voxels that both show; they "
                "are not parts of one scan"
            )
        return theirs

    return _join(joint, named_arrays, same)


def join_labels(joint, named_arrays):
    """Join the labels of parts.

    Where parts overlap, one may leave out a vertebra that its border cuts: a labelled voxel
    has priority over one without a label.

    Args:
        joint: `Joint` of their grids.
        named_arrays: list of ``(name, array)`` of the parts, in the order of the joint: whole
            numbers, 0 where nothing is labelled.

    Returns:
        Array ``[x, y, z]`` of the whole.

    Raises:
        UserError: the whole is too large, or parts number the vertebrae differently.
    """

    def union(ours, theirs, name, other):
        both = (ours != 0) & (theirs != 0)
        different = np.count_nonzero(both & (ours != theirs))
        if different > _MOST_RENUMBERED * np.count_nonzero(both):
            raise UserError(
                f"{name}: numbers the vertebrae that {other} shows too differently; correct one"
            )
        return np.where(theirs != 0, theirs, ours)

    return _join(joint, named_arrays, union)


def _start_on(first, first_name, grid, name):
    """Return the indices of a part's first voxel on the grid of the first part."""
    # Rounding of 0.1 voxel over the longest scans is far below a hundredth of the voxel size.
    if not np.allclose(grid.spacing_mm, first.spacing_mm, rtol=0.01, atol=0):
        sizes = [" x ".join(f"{edge:.4g}" for edge in each.spacing_mm) for each in (grid, first)]
        raise UserError(
            f"{name}: voxels of {sizes[0]} mm, {first_name} of {sizes[1]} mm; they are not parts "
            "of one scan"
        )
    offset_mm = np.asarray(grid.origin_mm) - first.origin_mm
    start = np.rint(first.direction.T @ offset_mm / first.spacing_mm).astype(int)
    ideal = Grid(
        tuple(grid.shape),
        first.direction,
        first.spacing_mm,
        first.origin_mm + first.direction @ (start * first.spacing_mm),
    )
    if not ideal.is_at(grid, _OFF_GRID):
        raise UserError(
            f"{name}: its voxels do not lie on the grid of {first_name}; they are not parts of one "
            "scan, or were resampled apart"
        )
    return start


def _check_order(named_grids, starts, stops, axis):
    """Refuse parts of which one lies within another, or that leave a gap."""
    order = sorted(range(len(starts)), key=lambda part: (starts[part], -stops[part]))
    end, before = None, None
    for part in order:
        name = named_grids[part][0]
        if end is not None and stops[part] <= end:
            raise UserError(f"{name}: shows nothing that {before} does not show; leave it out")
        if end is not None and starts[part] > end:
            raise UserError(
                f"{name}: {starts[part] - end} voxels ({_AXES[axis]}) are missing between it and "
                f"{before}; parts must adjoin or overlap"
            )
        end, before = stops[part], name


def _join(joint, named_arrays, agree):
    """Return the parts in one array; ``agree`` decides on the voxels of an overlap."""
    kind = np.result_type(*(array.dtype for _, array in named_arrays))
    first_name = named_arrays[0][0]
    check_bytes(f"{first_name} and its other parts", joint.grid.shape, kind)
    whole = np.empty(joint.grid.shape, kind)
    placed = sorted(zip(joint.starts, named_arrays, strict=True), key=lambda part: part[0])
    end, before = 0, None
    for start, (name, array) in placed:
        shared = end - start
        if shared > 0:
            ours = _along(array, joint.axis, 0, shared)
            theirs = _along(whole, joint.axis, start, end)
            theirs[...] = agree(ours, theirs, name, before)
        stop = start + array.shape[joint.axis]
        new = _along(array, joint.axis, max(shared, 0), array.shape[joint.axis])
        _along(whole, joint.axis, end, stop)[...] = new
        end, before = stop, name
    return whole


def _along(array, axis, start, stop):
    """Return the view of an array from one index of an axis to another."""
    return array[(slice(None),) * axis + (slice(start, stop),)]
