"""Medical volumes: reading, writing and resampling, with SimpleITK's axes kept inside."""

import dataclasses
import errno
import gzip
import os
import pathlib
import shutil
import tempfile

import numpy as np

from xctrs_tf.data.volumes.grid import along_axes, check_voxel_mm, make_grid, to_lps
from xctrs_tf.data.volumes.intensity import AIR_HU, check_hu, padding_to_air
from xctrs_tf.data.volumes.nifti_file import read_nifti
from xctrs_tf.data.volumes.stored_image import MAX_BYTES
from xctrs_tf.data.volumes.text_header_file import read_text_header_file
from xctrs_tf.errors import UserError, one_line
from xctrs_tf.files import atomic_path, require_space

_WRITABLE = (".nii", ".nii.gz", ".nrrd", ".mha")
READABLE = "a NIfTI, NRRD or MetaImage volume"
# Names of interpolators in SimpleITK, which is imported where it is used: it is slow to load.
INTERPOLATORS = {"linear": "sitkLinear", "nearest": "sitkNearestNeighbor"}


@dataclasses.dataclass(frozen=True)
class Volume:
    """A volume on a grid along the LPS axes.

    Attributes:
        array: ``[x, y, z]``.
        spacing_mm: voxel size along each axis in mm.
        origin_mm: LPS position of the centre of voxel ``[0, 0, 0]``.
        inner: of an oblique file that was resampled, where it shows more than its outermost
            voxels, bool ``[x, y, z]``; None for others, whose border is that of the array.
    """

    array: np.ndarray
    spacing_mm: tuple
    origin_mm: tuple
    inner: np.ndarray | None = None


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


def read_volume(path, interpolation="linear", fill=0.0):
    """Read a volume and bring it to LPS by its position in space.

    Flips and permutations of axes change no value. Only an oblique scan is
    resampled, to a grid along the axes that holds all of it.

    Args:
        path: a file.
        interpolation: ``"linear"`` or ``"nearest"``, for an oblique scan.
        fill: value outside an oblique scan.

    Returns:
        `Volume`.

    Raises:
        UserError: missing, unreadable, too large, not 3D, not finite, without an
            orientation, sheared, or of voxels that no CT has.
    """
    return upright_volume(path, *_read_oriented(path), interpolation, fill)


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
    return upright_volume(path, padding_to_air(array), grid, fill=AIR_HU), grid


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
    return upright_volume(path, array, grid, "nearest")


def upright_volume(path, array, grid, interpolation="linear", fill=0.0):
    """Bring an array on a grid near the LPS axes to a `Volume` along them.

    Args:
        path: the file, for the error.
        array: ``[x, y, z]``, its axes as near to LPS as possible.
        grid: its `Grid`.
        interpolation: ``"linear"`` or ``"nearest"``, for an oblique scan.
        fill: value outside an oblique scan.

    Returns:
        `Volume`.

    Raises:
        UserError: an oblique scan whose box along the axes is too large.
    """
    upright = along_axes(grid)
    if upright is None:
        return _resample_upright(path, array, grid, interpolation, fill)
    return Volume(array, tuple(upright.spacing_mm.tolist()), tuple(upright.origin_mm.tolist()))


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
    volume = Volume(np.asarray(array), tuple(np.broadcast_to(spacing_mm, 3)), tuple(origin_mm))
    with atomic_path(path) as temporary:
        # On a full disk ITK cuts a NIfTI file short without an error.
        require_space(temporary.parent, volume.array.nbytes)
        try:
            _write_image(_to_image(volume, direction), temporary)
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


def resample(volume, size, spacing_mm, origin_mm, interpolation="linear", fill=0.0):
    """Sample a volume on another grid along the same axes.

    Args:
        volume: a `Volume`.
        size: number of voxels, one number or three.
        spacing_mm: voxel size in mm, one number or three.
        origin_mm: LPS position of the new voxel ``[0, 0, 0]`` in mm.
        interpolation: ``"linear"`` or ``"nearest"``.
        fill: value outside the volume.

    Returns:
        `Volume` of the same dtype.
    """
    size, spacing_mm = np.broadcast_to(size, 3), np.broadcast_to(spacing_mm, 3)
    return _resample(_to_image(volume), size, spacing_mm, origin_mm, interpolation, fill)


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


def _to_image(volume, direction=None):
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.array.T))
    image.SetSpacing([float(value) for value in volume.spacing_mm])
    image.SetOrigin([float(value) for value in volume.origin_mm])
    if direction is not None:
        image.SetDirection(np.ravel(direction).tolist())
    return image


def _resample_upright(path, array, grid, interpolation, fill):
    """Resample an oblique array to the smallest grid along LPS that holds all its voxels."""
    corners_mm = grid.corners_mm()
    low, high = corners_mm.min(0), corners_mm.max(0)
    # The small margin avoids an extra voxel where rounding exceeds an exact multiple.
    size = np.ceil((high - low) / grid.spacing_mm - 1e-6) + 1
    if np.prod(size) * array.itemsize > MAX_BYTES:
        shape = " x ".join(f"{count:.0f}" for count in size)
        raise UserError(
            f"{path}: an oblique scan, {shape} voxels along the patient's axes; cut out the neck "
            "first"
        )

    def upright(values, *options):
        image = _to_image(Volume(values, grid.spacing_mm, grid.origin_mm), grid.direction)
        return _resample(image, size, grid.spacing_mm, low, *options)

    inner = np.zeros(array.shape, np.uint8)
    inner[1:-1, 1:-1, 1:-1] = 1
    # The box around an oblique scan has another border than the scan.
    inner = upright(inner, "nearest", 0).array.astype(bool)
    return dataclasses.replace(upright(array, interpolation, fill), inner=inner)


def _resample(image, size, spacing_mm, origin_mm, interpolation, fill):
    import SimpleITK as sitk

    resampled = sitk.Resample(
        image,
        [int(count) for count in size],
        sitk.Transform(),
        getattr(sitk, INTERPOLATORS[interpolation]),
        [float(value) for value in origin_mm],
        [float(value) for value in spacing_mm],
        np.eye(3).ravel().tolist(),
        float(fill),
    )
    return Volume(_to_array(resampled), resampled.GetSpacing(), resampled.GetOrigin())
