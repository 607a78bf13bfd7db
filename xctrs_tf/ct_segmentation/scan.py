"""A CT of any orientation, voxel size and field of view, on its own grid."""

import dataclasses
import logging
import pathlib

import numpy as np

from xctrs_tf.ct_segmentation.network_grid import average_on_upright_grid
from xctrs_tf.data.dataset.sanity import check_scan
from xctrs_tf.data.volumes.dicom_series import is_dicom_slice, read_series_on_grid, slice_files
from xctrs_tf.data.volumes.grid import Grid, to_lps
from xctrs_tf.data.volumes.intensity import AIR_HU, LOWEST_HU, check_hu
from xctrs_tf.data.volumes.volume import READABLE, read_on_grid, write_volume
from xctrs_tf.errors import UserError

_VOLUME_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha")
# Voxels that are converted at once: temporary arrays stay below 100 MB.
_PART_VOXELS = 2**23


@dataclasses.dataclass(frozen=True)
class Scan:
    """A CT, and the place of its voxels.

    Attributes:
        name: file or folder, for messages.
        hu: int16 CT numbers ``[x, y, z]`` in HU, the axes as near to LPS as possible; padding
            is air.
        grid: `Grid` of ``hu``, which may be oblique.
        stored: `Grid` in the order of the file's own indices.
    """

    name: str
    hu: np.ndarray
    grid: Grid
    stored: Grid

    def network_volume(self, spacing_mm):
        """Return the scan on an upright grid of cubic voxels that holds all of it.

        Args:
            spacing_mm: edge of a voxel in mm.

        Returns:
            `Volume` of float32 in HU.

        Raises:
            UserError: the scan is larger than any patient.
        """
        return average_on_upright_grid(self.name, self.hu, self.grid, spacing_mm)

    def to_stored(self, array):
        """Return an array like ``hu`` in the order of the file's own indices.

        Args:
            array: ``[x, y, z]`` of the shape of ``hu``.
        """
        axes, signs = self.index_order()
        return array.transpose(axes)[tuple(slice(None, None, sign) for sign in signs)]

    def index_order(self):
        """Return how the file's own indices run.

        Returns:
            Three axes of ``hu``, that along each index of the file; and for each 1, or -1 where
            the index runs the other way.
        """
        # The directions of one grid are those of the other, exchanged and turned round.
        same = np.rint(self.grid.direction.T @ self.stored.direction).astype(int)
        axes = np.abs(same).argmax(axis=0)
        return axes, same[axes, range(3)]


def read_scan(path):
    """Read a CT.

    Args:
        path: a NIfTI, NRRD or MetaImage file; a folder with one DICOM series; or a file of
            such a series.

    Returns:
        `Scan`.

    Raises:
        UserError: missing, unreadable, too large, not a CT, or without a place in space.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        _check_folder(path)
        array, stored = read_series_on_grid(path)
    elif is_dicom_slice(path):
        array, stored = read_series_on_grid(path)
    else:
        array, stored = read_on_grid(path)
        check_hu(path, array)
    scan = _make_scan(str(path), array, stored)
    # A crop may have no air, so that it is not refused.
    if problem := check_scan(scan.hu):
        logging.warning("%s: %s; in other units the labels are wrong", path, problem)
    return scan


def scan_of(volume, name):
    """Make a scan of a volume that is in memory.

    Args:
        volume: `Volume` in HU.
        name: for messages.

    Returns:
        `Scan`.

    Raises:
        UserError: values that are no CT numbers.
    """
    check_hu(name, volume.array)
    # The caller keeps the array, so that it must not be changed.
    return _make_scan(name, volume.array.copy(), volume.grid)


def write_on_own_grid(path, labels, scan):
    """Write labels as a volume on exactly the grid that the scan's file has.

    Args:
        path: the file, such as ``segmentation.nii.gz``.
        labels: uint8 ``[x, y, z]`` of the shape of ``scan.hu``.
        scan: `Scan`.

    Raises:
        UserError: unknown suffix, or no folder to write to.
        OSError: the file cannot be written.
    """
    stored = scan.stored
    array = scan.to_stored(labels)
    write_volume(path, array, stored.spacing_mm, stored.origin_mm, stored.direction)


def _make_scan(name, array, stored):
    hu, grid = to_lps(_as_int16(array), stored)
    return Scan(name, hu, grid, stored)


def _as_int16(array):
    """Return CT numbers as int16, padding as air; the array itself may change."""
    hu = array
    if array.dtype != np.int16 or not array.flags.writeable:
        hu = np.empty_like(array, np.int16)
    axis = int(np.argmax(np.abs(array.strides)))
    source, target = np.moveaxis(array, axis, 0), np.moveaxis(hu, axis, 0)
    step = max(1, _PART_VOXELS // source[0].size)
    limits = np.iinfo(np.int16)
    for start in range(0, len(source), step):
        part = source[start : start + step]
        if array.dtype != np.int16:
            part = np.clip(np.rint(part), limits.min, limits.max)
        padding = part < LOWEST_HU
        target[start : start + step] = part
        target[start : start + step][padding] = AIR_HU
    return hu


def _check_folder(folder):
    """Refuse a folder of volumes in place of slices: which of them is meant?"""
    files = slice_files(folder)
    volumes = [file for file in files if file.name.lower().endswith(_VOLUME_SUFFIXES)]
    if volumes and not any(is_dicom_slice(file) for file in files):
        raise UserError(
            f"{folder}: no DICOM series, but volumes such as {volumes[0].name}; name the file "
            f"({READABLE})"
        )
