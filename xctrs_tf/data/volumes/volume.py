"""Medical volumes: reading, writing and resampling, with SimpleITK's axes kept inside."""

import dataclasses
import errno
import gzip
import os
import pathlib
import shutil
import tempfile

import numpy as np

from xctrs_tf.data.volumes.grid import Grid, along_axes, check_voxel_mm, make_grid, to_lps
from xctrs_tf.data.volumes.intensity import check_hu, padding_to_air
from xctrs_tf.data.volumes.nifti_file import read_nifti
from xctrs_tf.data.volumes.text_header_file import read_text_header_file
from xctrs_tf.errors import UserError, one_line
from xctrs_tf.files import atomic_path, require_space

_WRITABLE = (".nii", ".nii.gz", ".nrrd", ".mha")
READABLE = "a NIfTI, NRRD or MetaImage volume"


@dataclasses.dataclass(frozen=True)
class Volume:
    """A volume on a grid along the LPS axes, or on an oblique one.

    Attributes:
        array: ``[x, y, z]``, the axes of an oblique one as near to LPS as possible.
        spacing_mm: voxel size along each axis in mm.
        origin_mm: LPS position of the centre of voxel ``[0, 0, 0]``.
        direction: of an oblique volume ``3 x 3``, as of `Grid`; None along LPS.
    """

    array: np.ndarray
    spacing_mm: tuple
    origin_mm: tuple
    direction: np.ndarray | None = None

    @property
    def grid(self):
        """The `Grid` of the voxels."""
        direction = np.eye(3) if self.direction is None else self.direction
        place = np.array(self.spacing_mm, float), np.array(self.origin_mm, float)
        return Grid(self.array.shape, direction, *place)


def read_stored_image(path, check_shape=None):
    """Read an image file in its index order; the direction in the header is not applied.

    Args:
        path: a NIfTI, NRRD or MetaImage file of one piece.
        check_shape: function of the shape that refuses too large images; it is called
            before the voxels are read.

    Returns:
        `StoredImage`.

    Raises:
        UserError: missing, unreadable, too large or not finite.
    """
    if pathlib.Path(path).name.lower().endswith((".nii", ".nii.gz")):
        return read_nifti(path, check_shape)
    return read_text_header_file(path, check_shape)


def read_volume(path):
    """Read a volume and bring it to LPS by its position in space.

    Axes are flipped and exchanged, which changes no value. An oblique scan stays oblique.

    Args:
        path: a file.

    Returns:
        `Volume`.

    Raises:
        UserError: missing, unreadable, too large, not 3D, not finite, without an
            orientation, sheared, or of voxels that no CT has.
    """
    return place_volume(*_read_oriented(path))


def read_ct(path):
    """Read a CT in HU, its padding as air.

    Args:
        path: a file.

    Returns:
        `Volume`, and the `Grid` of its file, for `read_labels`.

    Raises:
        UserError: as `read_volume`, or values that are no CT numbers.
    """
    array, grid = _read_oriented(path)
    check_hu(path, array)
    return place_volume(padding_to_air(array), grid), grid


def read_labels(path, ct_grid=None):
    """Read labels; where their header is that of their CT up to rounding, take the CT's.

    Args:
        path: a file.
        ct_grid: `Grid` of the CT's file, or None.

    Returns:
        `Volume`; where the headers agree, on the same grid as the CT's `Volume`.

    Raises:
        UserError: as `read_volume`.
    """
    array, grid = _read_oriented(path)
    if ct_grid is not None and ct_grid.is_at(grid):
        grid = ct_grid
    return place_volume(array, grid)


def place_volume(array, grid):
    """Place an array in space; up to rounding of its header, a grid along LPS is upright.

    Args:
        array: ``[x, y, z]``, its axes as near to LPS as possible.
        grid: its `Grid`.

    Returns:
        `Volume`.
    """
    upright = along_axes(grid)
    direction = None if upright else grid.direction
    grid = upright or grid
    return Volume(array, tuple(grid.spacing_mm.tolist()), tuple(grid.origin_mm.tolist()), direction)


def write_volume(path, array, spacing_mm, origin_mm, direction=None):
    """Write a volume atomically, in the format that the suffix names.

    Args:
        path: the file, such as ``ct.nii.gz``.
        array: ``[x, y, z]``.
        spacing_mm: voxel size in mm, one number or three.
        origin_mm: LPS position of voxel ``[0, 0, 0]`` in mm.
        direction: ``3 x 3``, as of `Grid`, for an array whose indices do not run along LPS.

    Raises:
        UserError: unknown suffix, or no folder to write to.
        OSError: the file cannot be written, for example on a full disk.
    """
    path = pathlib.Path(path)
    if not path.name.lower().endswith(_WRITABLE):
        raise UserError(f"{path}: unknown kind of volume; name it {', '.join(_WRITABLE)}")
    if not path.parent.is_dir():
        raise UserError(f"{path.parent}: no such folder; make it first")
    spacing_mm = tuple(np.broadcast_to(spacing_mm, 3))
    volume = Volume(np.asarray(array), spacing_mm, tuple(origin_mm), direction)
    with atomic_path(path) as temporary:
        # On a full disk ITK cuts a NIfTI file short without an error.
        require_space(temporary.parent, volume.array.nbytes)
        try:
            _write_image(_to_image(volume), temporary)
        except RuntimeError as error:
            raise UserError(f"{path}: cannot be written ({one_line(error, 200)})") from error
        if ".nii" in temporary.suffixes and not _is_whole(temporary, volume.array.nbytes):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def _is_whole(file, size):
    """Return whether a NIfTI file has a header and this many bytes of voxels."""
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            return sum(len(block) for block in iter(lambda: stream.read(2**20), b"")) >= 352 + size
    except EOFError:
        return False


def resample(volume, size, spacing_mm, origin_mm, fill=0.0):
    """Interpolate a volume linearly on another grid, along LPS.

    Args:
        volume: a `Volume`, which may be oblique.
        size: number of voxels, one number or three.
        spacing_mm: voxel size in mm, one number or three.
        origin_mm: LPS position of the new voxel ``[0, 0, 0]`` in mm.
        fill: value outside the volume.

    Returns:
        `Volume` of the same dtype.

    Raises:
        MemoryError: the memory is full.
    """
    import SimpleITK as sitk

    try:
        resampled = sitk.Resample(
            _to_image(volume),
            [int(count) for count in np.broadcast_to(size, 3)],
            sitk.Transform(),
            sitk.sitkLinear,
            [float(value) for value in origin_mm],
            [float(value) for value in np.broadcast_to(spacing_mm, 3)],
            np.eye(3).ravel().tolist(),
            float(fill),
        )
    except RuntimeError as error:
        if "allocate memory" in str(error):
            raise MemoryError(one_line(error, 200)) from error
        raise
    return Volume(_to_array(resampled), resampled.GetSpacing(), resampled.GetOrigin())


def read_on_grid(path):
    """Read a volume in the order of its file's own indices.

    Args:
        path: a file.

    Returns:
        Array in index order, and its `Grid`.

    Raises:
        UserError: as `read_volume`.
    """
    image = read_stored_image(path, lambda shape: _check_shape(path, shape))
    check_voxel_mm(path, image.spacing_mm)
    if image.affine is None:
        raise UserError(
            f"{path}: no orientation in its header (in NIfTI, sform_code and qform_code are 0), "
            "so that left and right are unknown; save it with its orientation"
        )
    return image.array, make_grid(path, image.array.shape, image.affine)


def _read_oriented(path):
    """Return the array of a volume, its axes as near to LPS as possible, and its `Grid`."""
    return to_lps(*read_on_grid(path))


def _check_shape(path, shape):
    if len(shape) != 3 or 1 in shape:
        words = " x ".join(map(str, shape))
        raise UserError(f"{path}: {words} values; a volume of three axes is needed")


def _write_image(image, path):
    """Write an image; SimpleITK would abort the process at a path that is not UTF-8."""
    import SimpleITK as sitk

    try:
        str(path).encode()
    except UnicodeEncodeError:
        suffix = ".nii.gz" if path.name.endswith(".nii.gz") else path.suffix
        with tempfile.TemporaryDirectory(prefix="xctrs-") as folder:
            file = pathlib.Path(folder) / f"image{suffix}"
            sitk.WriteImage(image, str(file))
            shutil.copyfile(file, path)
    else:
        sitk.WriteImage(image, str(path))


def _to_array(image):
    import SimpleITK as sitk

    return sitk.GetArrayFromImage(image).T


def _to_image(volume):
    # Imported where it is used: it is slow to load.
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.array.T))
    image.SetSpacing([float(value) for value in volume.spacing_mm])
    image.SetOrigin([float(value) for value in volume.origin_mm])
    if volume.direction is not None:
        image.SetDirection(np.ravel(volume.direction).tolist())
    return image
