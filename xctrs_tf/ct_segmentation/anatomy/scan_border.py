"""Border of a scan: whether a vertebra is cut by it."""

import numpy as np
import scipy

# What a scan does not show is filled with air, -1000 HU. Bone never lies beside it: in 92 of 93
# necks of OpenKBP no voxel of C1..C7 touches a denser one; in one the scan ends at C1.
PADDING_HU = -950.0
# Voxels of a vertebra beside the border from which it is cut.
_TOUCHING = 4
# A network may leave out the last voxels before the border of a scan.
_REACH = 2
_EMPTY = 0.97


def is_cut(voxels, hu):
    """Tell whether a vertebra reaches the border of a scan, or of its padding with air.

    Args:
        voxels: its indices ``(n, 3)``.
        hu: CT numbers ``[x, y, z]``.

    Returns:
        bool.
    """
    padding = _padding(voxels, hu)
    mask = np.zeros(padding.shape, bool)
    mask[tuple((voxels - _first(voxels)).T)] = True
    beside = scipy.ndimage.binary_dilation(padding & ~mask)
    if np.count_nonzero(beside & mask) >= _TOUCHING:
        return True
    return any(
        _is_empty(padding, axis, layer) for axis in range(3) for layer in (_REACH, -_REACH - 1)
    )


def is_near_end(voxels, hu):
    """Tell whether a vertebra ends at most two voxels before the first or last slice of a scan.

    Along x and y, air may lie so near to the bone of a thin patient.

    Args:
        voxels: its indices ``(n, 3)``.
        hu: CT numbers ``[x, y, z]``.

    Returns:
        bool.
    """
    padding = _padding(voxels, hu)
    return _is_empty(padding, 2, 0) or _is_empty(padding, 2, -1)


def _first(voxels):
    """Return the first voxel of the box in which the border is looked for."""
    return voxels.min(axis=0) - _REACH - 1


def _padding(voxels, hu):
    """Return where the box of a vertebra and what is near it shows no part of the patient."""
    low, high = _first(voxels), voxels.max(axis=0) + _REACH + 2
    inside = tuple(map(slice, np.maximum(low, 0), np.minimum(high, hu.shape)))
    lost = [(max(-a, 0), max(b - c, 0)) for a, b, c in zip(low, high, hu.shape, strict=True)]
    return np.pad(hu[inside] <= PADDING_HU, lost, constant_values=True)


def _is_empty(padding, axis, layer):
    """Tell whether a layer of the box shows no part of the patient beside the vertebra."""
    layers = np.moveaxis(padding, axis, 0)
    layers = layers[:, _REACH + 1 : -_REACH - 1, _REACH + 1 : -_REACH - 1]
    return bool(layers[layer].mean() >= _EMPTY)
