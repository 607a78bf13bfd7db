"""CT series of DICOM slices as volumes, placed by the headers of all slices."""

import itertools
import os
import pathlib
import warnings

import numpy as np

from xctrs_tf.data.checked_file import read_checked, read_start
from xctrs_tf.data.dicom.dicom_dataset import MAX_HEADER_BYTES, read_dataset
from xctrs_tf.data.dicom.dicom_start import START, starts_like_dicom
from xctrs_tf.data.volumes.dicom_slice import OtherModality, read_slices
from xctrs_tf.data.volumes.grid import make_grid, to_lps
from xctrs_tf.data.volumes.stored_image import MAX_BYTES
from xctrs_tf.data.volumes.volume import place_volume
from xctrs_tf.errors import UserError

_SUFFIXES = (".dcm", ".ima")
# Tolerances of the steps between slices, whose positions are rounded.
_STEP_TOLERANCE = 0.02
_STEP_ROUNDING_MM = 0.011
# Files below a folder without DICOM files that are looked at for a hint.
_MOST_LOOKED_AT = 1000


def slice_files(folder):
    """List the DICOM files of a folder, by suffix or content; all files if there are none.

    Args:
        folder: a folder.

    Returns:
        Sorted list of paths, without hidden files and the index ``DICOMDIR``.
    """
    files = sorted(
        file
        for file in pathlib.Path(folder).iterdir()
        if not file.is_dir() and not file.name.startswith(".") and file.name.upper() != "DICOMDIR"
    )
    return [file for file in files if is_dicom_slice(file)] or files


def patient_id(folder):
    """Return the PatientID in the header of the first slice of a folder.

    Args:
        folder: a folder of DICOM files.

    Returns:
        Text without the spaces around it; empty where there is none, or no readable slice.
    """
    try:
        file = slice_files(folder)[0]
        with warnings.catch_warnings():
            # pydicom's remarks on odd values are not for the user.
            warnings.simplefilter("ignore")
            header = read_dataset(file, read_start(file, MAX_HEADER_BYTES))
            return str(header.get("PatientID") or "").strip()
    # A hostile file can make pydicom raise anything. Reading the series will tell what is wrong.
    except Exception:
        return ""


def read_series(folder):
    """Read the one CT series in a folder; files of other modalities in it are left out.

    Args:
        folder: a folder of DICOM files, one slice each, or one Enhanced CT.

    Returns:
        `Volume` in HU.

    Raises:
        UserError: a file is unreadable, or the files are not one CT series of
            parallel, evenly spaced slices of one size.
    """
    return read_series_and_grid(folder)[0]


def read_series_and_grid(folder):
    """Read the one CT series in a folder, as `read_series` does.

    Args:
        folder: a folder of DICOM files, one slice each, or one Enhanced CT.

    Returns:
        `Volume` in HU; and the `Grid` of the slices, for `read_labels`.

    Raises:
        UserError: as `read_series`.
    """
    array, grid = to_lps(*read_series_on_grid(folder))
    return place_volume(array, grid), grid


def read_series_on_grid(folder):
    """Read the one CT series in a folder, in the order of its own indices.

    Args:
        folder: a folder of DICOM files, one slice each, or one Enhanced CT; or one file, which
            stands for all slices of its series in its folder.

    Returns:
        Array ``[column, row, slice]`` in HU, the slices by their positions along the normal of
        rows and columns, and its `Grid`.

    Raises:
        UserError: as `read_series`.
    """
    slices = _read_all(folder)
    first = slices[0]
    for slice_ in slices:
        _check_alike(folder, first, slice_)
    heights = _heights(folder, slices)
    order = np.argsort(heights, kind="stable")
    if len(slices) < 2:
        raise UserError(f"{folder}: a single slice; a volume is needed")
    slices = [slices[place] for place in order]
    _check_steps(folder, slices, heights[order])
    step = (slices[-1].position_mm - slices[0].position_mm) / (len(slices) - 1)
    row, column = first.orientation.reshape(2, 3)
    # PixelSpacing is the distance of the rows, then that of the columns.
    between_rows, between_columns = first.pixel_mm
    affine = np.column_stack(
        [row * between_columns, column * between_rows, step, slices[0].position_mm]
    )
    array = _stack(slices).transpose(2, 1, 0)
    return array, make_grid(folder, array.shape, affine)


def _stack(slices):
    """Return the slices as one array ``[slice, row, column]``, and empty the list."""
    kind = np.result_type(*{slice_.hu.dtype for slice_ in slices})
    array = np.empty((len(slices), *slices[0].hu.shape), kind)
    for place in reversed(range(len(slices))):
        array[place] = slices.pop().hu
    return array


def is_dicom_slice(file):
    """Return whether a file is a DICOM slice, by its suffix or its first bytes.

    Args:
        file: `pathlib.Path`.
    """
    if file.suffix.lower() in _SUFFIXES:
        return True
    try:
        return starts_like_dicom(read_start(file, START))
    except UserError:
        # Reading it will tell why.
        return os.path.lexists(file)


def _read_all(folder):
    path = pathlib.Path(folder)
    files = _of_one_series(path) if path.is_file() else slice_files(path)
    # A CD has other files beside the folders of its slices.
    below = None if any(map(is_dicom_slice, files)) else _folder_below(path)
    if not files or below:
        raise UserError(
            f"{folder}: no DICOM files" + (f"; {below} has some, name that" if below else "")
        )
    slices, left, others = [], MAX_BYTES, []
    for file in files:
        try:
            read = read_slices(file)
        # Segmentations are often stored beside the CT, as `reconstruct --dicom` does it.
        except OtherModality as error:
            others.append(error)
            continue
        slices += read
        left -= sum(slice_.hu.nbytes for slice_ in read)
        if left < 0:
            raise UserError(f"{folder}: over {MAX_BYTES / 1e6:.0f} MB; cut out the neck first")
    series = {slice_.series for slice_ in slices}
    for error in others:
        # A file of the series itself has a wrong header.
        if not series or error.series in series:
            raise error
    if len(series) > 1:
        raise UserError(f"{folder}: {len(series)} series; keep each in a folder of its own")
    return slices


def _folder_below(folder):
    """Return the first folder with a DICOM file below one that has none itself, or None."""
    files = (
        pathlib.Path(root, name) for root, _, names in os.walk(folder) for name in sorted(names)
    )
    # Not a whole disk, where the name is wrong.
    for file in itertools.islice(files, _MOST_LOOKED_AT):
        if file.name.upper() != "DICOMDIR" and is_dicom_slice(file):
            return file.parent
    return None


def _of_one_series(file):
    """List the slices in the folder of a slice that are of its series."""
    slices = read_slices(file)
    if len(slices) > 1:
        return [file]
    others = slice_files(file.parent)
    return [each for each in others if each == file or _is_slice_of(each, slices[0].series)]


def _is_slice_of(file, series):
    """Return whether a file is of a series, by its header, or seems to be where it is damaged."""
    content = read_checked(file, MAX_BYTES)
    # Most files of other series do not hold the UID anywhere.
    if series.encode() not in content:
        return False
    try:
        header = read_dataset(file, content)
    # A hostile file can make pydicom raise anything. Reading the slice will tell what it is.
    except Exception:
        return True
    # Segmentations and contours name the series that they were drawn on.
    return header.get("SeriesInstanceUID") == series and header.get("Modality") in (None, "", "CT")


def _check_alike(folder, first, other):
    """Refuse a slice that is not of the size and direction of the first."""
    if not np.allclose(other.orientation, first.orientation, atol=1e-3):
        raise UserError(f"{other.file}: not parallel to the other slices of {folder}")
    if not np.allclose(other.pixel_mm, first.pixel_mm, rtol=1e-3, atol=0):
        raise UserError(
            f"{other.file}: PixelSpacing {_words(other.pixel_mm)}, where {first.file} has "
            f"{_words(first.pixel_mm)}; correct the wrong one"
        )
    if other.hu.shape != first.hu.shape:
        raise UserError(
            f"{other.file}: {_words(other.hu.shape)} pixels, where {first.file} has "
            f"{_words(first.hu.shape)}; keep slices of one size in {folder}"
        )


def _words(numbers):
    return " x ".join(f"{number:g}" for number in numbers)


def _heights(folder, slices):
    """Return the position of each slice along the common normal, in mm."""
    orientation = slices[0].orientation
    normal = np.cross(orientation[:3], orientation[3:])
    positions = np.array([slice_.position_mm for slice_ in slices])
    heights = positions @ normal
    beside = positions - positions[0] - np.outer(heights - heights[0], normal)
    if np.abs(beside).max() > 0.1:
        raise UserError(f"{folder}: its slices are sheared (a tilted gantry); resample it first")
    return heights


def _check_steps(folder, slices, heights):
    """Refuse slices, sorted by height, that are missing, doubled or unevenly spaced."""
    steps = np.diff(heights)
    step = np.median(steps)
    tolerance = max(_STEP_TOLERANCE * step, _STEP_ROUNDING_MM)
    if steps.min() <= tolerance:
        at = steps.argmin()
        # Once, where both are frames of one file.
        names = " and ".join(dict.fromkeys(slice_.file.name for slice_ in slices[at : at + 2]))
        raise UserError(f"{folder}: two slices at one position, {names}; keep one series in it")
    if np.abs(steps - step).max() > tolerance:
        missing = int(np.round(steps / step - 1).sum())
        problem = f"{missing} slices missing" if missing > 0 else "slices unevenly spaced"
        raise UserError(f"{folder}: {problem}; fetch the series again")
