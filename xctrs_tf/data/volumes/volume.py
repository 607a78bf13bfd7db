"""Medical volumes: reading, writing and resampling, with SimpleITK's axes kept inside."""

import dataclasses
import pathlib

import numpy as np
import SimpleITK as sitk

from xctrs_tf.data.volumes.nifti_check import check_nifti
from xctrs_tf.errors import UserError
from xctrs_tf.files import atomic_path

READABLE = "a NIfTI, NRRD or MetaImage volume"
# Tolerance of direction cosines: headers in float32 are off by 1e-7, and 1e-4 moves a
# voxel 30 cm away by 0.03 mm.
ALIGNMENT_TOLERANCE = 1e-4
INTERPOLATORS = {"linear": sitk.sitkLinear, "nearest": sitk.sitkNearestNeighbor}


@dataclasses.dataclass(frozen=True)
class Volume:
    """A volume on a grid along the LPS axes.

    Attributes:
        array: ``[x, y, z]``.
        spacing_mm: voxel size along each axis in mm.
        origin_mm: LPS position of the centre of voxel ``[0, 0, 0]``.
    """

    array: np.ndarray
    spacing_mm: tuple
    origin_mm: tuple


def read_image_array(path):
    """Read an image file as its array ``[first index, second index, ...]``.

    The direction in the header is ignored; `read_volume` applies it.

    Args:
        path: an image file.

    Returns:
        Array in index order.

    Raises:
        UserError: missing, unreadable or not finite.
    """
    return _to_array(_read(path))


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
        UserError: missing, unreadable, not 3D, not finite.
    """
    image = _read(path)
    if image.GetDimension() != 3 or 1 in image.GetSize():
        shape = " x ".join(map(str, image.GetSize()))
        raise UserError(f"{path}: {shape} values; a volume of three axes is needed")
    return upright_volume(image, interpolation, fill)


def upright_volume(image, interpolation="linear", fill=0.0):
    """Bring an image to LPS by its position in space.

    Args:
        image: a SimpleITK image of three axes.
        interpolation: ``"linear"`` or ``"nearest"``, for an oblique scan.
        fill: value outside an oblique scan.

    Returns:
        `Volume`.
    """
    image = sitk.DICOMOrient(image, "LPS")
    if np.abs(np.array(image.GetDirection()) - np.eye(3).ravel()).max() > ALIGNMENT_TOLERANCE:
        image = _resample_upright(image, interpolation, fill)
    return Volume(_to_array(image), image.GetSpacing(), image.GetOrigin())


def write_volume(path, array, spacing_mm, origin_mm):
    """Write a volume atomically, in the format that the suffix names.

    Args:
        path: the file, such as ``ct.nii.gz``.
        array: ``[x, y, z]``.
        spacing_mm: voxel size in mm, one number or three.
        origin_mm: LPS position of voxel ``[0, 0, 0]`` in mm.

    Raises:
        UserError: unknown suffix, or no folder to write to.
    """
    path = pathlib.Path(path)
    if not path.parent.is_dir():
        raise UserError(f"{path.parent}: no such folder; make it first")
    volume = Volume(np.asarray(array), tuple(np.broadcast_to(spacing_mm, 3)), tuple(origin_mm))
    with atomic_path(path) as temporary:
        try:
            sitk.WriteImage(_to_image(volume), str(temporary))
        except RuntimeError as error:
            raise UserError(f"{path}: cannot be written; name it .nii.gz, .nrrd or .mha") from error


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
    image = sitk.Resample(
        _to_image(volume),
        [int(count) for count in np.broadcast_to(size, 3)],
        sitk.Transform(),
        INTERPOLATORS[interpolation],
        [float(value) for value in origin_mm],
        [float(value) for value in np.broadcast_to(spacing_mm, 3)],
        np.eye(3).ravel().tolist(),
        float(fill),
    )
    return Volume(_to_array(image), image.GetSpacing(), image.GetOrigin())


def _read(path):
    path = pathlib.Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if path.name.lower().endswith((".nii", ".nii.gz")):
        check_nifti(path)
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise UserError(f"{path}: damaged, or not {READABLE}") from error
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise UserError(f"{path}: several values a voxel; one channel is needed")
    if not np.isfinite(sitk.GetArrayViewFromImage(image)).all():
        raise UserError(f"{path}: holds NaN or infinite values; replace them first")
    return image


def _to_array(image):
    return sitk.GetArrayFromImage(image).T


def _to_image(volume):
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.array.T))
    image.SetSpacing([float(value) for value in volume.spacing_mm])
    image.SetOrigin([float(value) for value in volume.origin_mm])
    return image


def _resample_upright(image, interpolation, fill):
    """Resample an oblique image to the smallest grid along LPS that holds all its voxels."""
    last = np.array(image.GetSize()) - 1
    corners = np.array(
        [
            image.TransformIndexToPhysicalPoint((last * corner).tolist())
            for corner in np.ndindex(2, 2, 2)
        ]
    )
    spacing_mm = np.array(image.GetSpacing())
    low, high = corners.min(0), corners.max(0)
    # The small margin avoids an extra voxel where rounding exceeds an exact multiple.
    size = np.ceil((high - low) / spacing_mm - 1e-6).astype(int) + 1
    return sitk.Resample(
        image,
        size.tolist(),
        sitk.Transform(),
        INTERPOLATORS[interpolation],
        low.tolist(),
        spacing_mm.tolist(),
        np.eye(3).ravel().tolist(),
        float(fill),
    )
