"""Border of a scan: whether a vertebra is cut by it."""

import numpy as np
import scipy

# What a scan does not show is filled with air, -1000 HU. Bone never lies beside it: in 92 of 93
# necks of OpenKBP no voxel of C1..C7 touches a denser one; in one the scan ends at C1.
PADDING_HU = -950.0
# Area of a vertebra beside the border from which it is cut: four voxels of 2.5 mm.
_TOUCHING_MM2 = 25.0
# A network may leave out the last voxels before the border of a scan: two of 2.5 mm.
_NEAR_MM = 5.0
_EMPTY = 0.97


def is_cut(voxels, hu, spacing_mm):
    """Tell whether a vertebra reaches the border of a scan, or of its padding with air.

    Args:
        voxels: its indices ``(n, 3)``.
        hu: CT numbers ``[x, y, z]``.
        spacing_mm: edge of a voxel.

    Returns:
        bool.
    """
    padding = _padding(voxels, hu, 1)
    mask = np.zeros(padding.shape, bool)
    mask[tuple((voxels - voxels.min(axis=0) + 1).T)] = True
    beside = scipy.ndimage.binary_dilation(padding & ~mask)
    if np.count_nonzero(beside & mask) * spacing_mm**2 >= _TOUCHING_MM2:
        return True
    return any(_ends_in_padding(padding, 1, axis) for axis in range(3))


def is_near_end(voxels, hu, spacing_mm):
    """Tell whether a vertebra ends at most 5 mm before the first or last slice of a scan.

    Along x and y, air may lie so near to the bone of a thin patient.

    Args:
        voxels: its indices ``(n, 3)``.
        hu: CT numbers ``[x, y, z]``.
        spacing_mm: edge of a voxel.

    Returns:
        bool.
    """
    margin = round(_NEAR_MM / spacing_mm) + 1
    return _ends_in_padding(_padding(voxels, hu, margin), margin, 2)


def _padding(voxels, hu, margin):
    """Return where the box of a vertebra and of voxels around it shows no part of the patient."""
    low, high = voxels.min(axis=0) - margin, voxels.max(axis=0) + margin + 1
    inside = tuple(map(slice, np.maximum(low, 0), np.minimum(high, hu.shape)))
    lost = [(max(-a, 0), max(b - c, 0)) for a, b, c in zip(low, high, hu.shape, strict=True)]
    return np.pad(hu[inside] <= PADDING_HU, lost, constant_values=True)


def _ends_in_padding(padding, margin, axis):
    """Tell whether the first or last layer of the box shows no part of the patient."""
    layers = np.moveaxis(padding, axis, 0)[:, margin:-margin, margin:-margin]
    return bool(max(layers[0].mean(), layers[-1].mean()) >= _EMPTY)
