"""Border of a scan: whether a vertebra is cut by it."""

import numpy as np
import scipy

# What a scan does not show is filled with air, -1000 HU. Bone never lies beside it: in 92 of 93
# necks of OpenKBP no voxel of C1..C7 touches a denser one; in one the scan ends at C1.
_PADDING_HU = -950.0
# Voxels of a vertebra beside the border from which it is cut.
_TOUCHING = 4
# A network often leaves out the last voxels before the first or last slice of a scan. Along x and
# y, air may lie so near to the bone of a thin patient.
_REACH = 2
_EMPTY = 0.97


def is_cut(voxels, hu):
    """Tell whether a vertebra reaches the border of a scan, or of its padding with air.

    Above and below, it is taken for cut from two voxels before the border on.

    Args:
        voxels: its indices ``(n, 3)``.
        hu: CT numbers ``[x, y, z]``.

    Returns:
        bool.
    """
    shape = np.array(hu.shape)
    low, high = voxels.min(axis=0) - _REACH - 1, voxels.max(axis=0) + _REACH + 2
    inside = tuple(map(slice, np.maximum(low, 0), np.minimum(high, shape)))
    lost = [(max(-a, 0), max(b - c, 0)) for a, b, c in zip(low, high, shape, strict=True)]
    padding = np.pad(hu[inside] <= _PADDING_HU, lost, constant_values=True)
    mask = np.zeros(padding.shape, bool)
    mask[tuple((voxels - low).T)] = True
    beside = scipy.ndimage.binary_dilation(padding & ~mask)
    if np.count_nonzero(beside & mask) >= _TOUCHING:
        return True
    # No part of the patient beyond a few voxels on one side.
    for axis, left_out in enumerate((0, 0, _REACH)):
        layers = np.moveaxis(padding, axis, 0)
        layers = layers[:, _REACH + 1 : -_REACH - 1, _REACH + 1 : -_REACH - 1]
        for layer in (_REACH - left_out, left_out - _REACH - 1):
            if layers[layer].mean() >= _EMPTY:
                return True
    return False
