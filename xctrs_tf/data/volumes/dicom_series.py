"""CT series of DICOM slices as volumes.

SimpleITK's reader spaces the slices evenly and ignores their positions, so that a
missing slice would shift all that follow: the positions are checked here.
"""

import pathlib

import numpy as np
import SimpleITK as sitk

from xctrs_tf.data.volumes.intensity import AIR_HU
from xctrs_tf.data.volumes.volume import upright_volume
from xctrs_tf.errors import UserError

_SERIES, _POSITION, _ORIENTATION = "0020|000e", "0020|0032", "0020|0037"
_PIXEL_SPACING, _MODALITY = "0028|0030", "0008|0060"
# Tolerances of the steps between slices, whose positions are rounded.
_STEP_TOLERANCE = 0.02
_STEP_ROUNDING_MM = 0.011


def slice_files(folder):
    """List the files of a series: those named ``.dcm``, or all files if there are none.

    Args:
        folder: a folder.

    Returns:
        Sorted list of paths, without hidden files and the index ``DICOMDIR``.
    """
    files = sorted(
        file
        for file in pathlib.Path(folder).iterdir()
        if file.is_file() and not file.name.startswith(".") and file.name != "DICOMDIR"
    )
    return [file for file in files if file.suffix.lower() == ".dcm"] or files


def read_series(folder):
    """Read the one CT series in a folder.

    Args:
        folder: a folder of DICOM files, one slice each.

    Returns:
        `Volume` in HU, along LPS.

    Raises:
        UserError: a file is unreadable, or the files are not one CT series of
            parallel, evenly spaced slices.
    """
    files = slice_files(folder)
    if not files:
        raise UserError(f"{folder}: no DICOM files")
    headers = [_header(file) for file in files]
    series = {header[_SERIES] for header in headers}
    if len(series) > 1:
        raise UserError(f"{folder}: {len(series)} series; keep each in a folder of its own")
    heights = _heights(folder, files, headers)
    order = np.argsort(heights, kind="stable")
    if len(files) < 2:
        raise UserError(f"{folder}: a single slice; a volume is needed")
    _check_steps(folder, heights[order])
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(files[index]) for index in order])
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise UserError(f"{folder}: damaged, or slices of different sizes") from error
    return upright_volume(image, fill=AIR_HU)


def _header(file):
    """Return the tags that give a slice's place, as numbers."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(file))
    try:
        reader.ReadImageInformation()
        header = {
            tag: tuple(map(float, reader.GetMetaData(tag).split("\\")))
            for tag in (_POSITION, _ORIENTATION, _PIXEL_SPACING)
        }
        header[_SERIES] = reader.GetMetaData(_SERIES).strip()
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{file}: damaged, or not a DICOM slice of a CT") from error
    modality = reader.GetMetaData(_MODALITY).strip() if reader.HasMetaDataKey(_MODALITY) else "CT"
    if modality != "CT":
        raise UserError(f"{file}: a slice of modality {modality}; CT is needed")
    if min(header[_PIXEL_SPACING]) <= 0:
        raise UserError(f"{file}: a pixel spacing of zero; correct its header")
    return header


def _heights(folder, files, headers):
    """Return the position of each slice along the common normal, in mm."""
    orientation = np.array(headers[0][_ORIENTATION])
    for file, header in zip(files, headers, strict=True):
        if not np.allclose(header[_ORIENTATION], orientation, atol=1e-3):
            raise UserError(f"{file}: not parallel to the other slices of {folder}")
    normal = np.cross(orientation[:3], orientation[3:])
    positions = np.array([header[_POSITION] for header in headers])
    heights = positions @ normal
    beside = positions - positions[0] - np.outer(heights - heights[0], normal)
    if np.abs(beside).max() > 0.1:
        raise UserError(f"{folder}: its slices are sheared (a tilted gantry); resample it first")
    return heights


def _check_steps(folder, heights):
    """Refuse slices, sorted by height, that are missing, doubled or unevenly spaced."""
    steps = np.diff(heights)
    step = np.median(steps)
    tolerance = max(_STEP_TOLERANCE * step, _STEP_ROUNDING_MM)
    if steps.min() <= tolerance:
        raise UserError(f"{folder}: two slices at one position; keep one series in it")
    if np.abs(steps - step).max() > tolerance:
        missing = int(np.round(steps / step - 1).sum())
        problem = f"{missing} slices missing" if missing > 0 else "slices unevenly spaced"
        raise UserError(f"{folder}: {problem}; fetch the series again")
