"""Slices of a CT from DICOM files: place by the header, voxels in HU."""

import dataclasses
import warnings

import numpy as np

from xctrs_tf.data.checked_file import printable, read_checked
from xctrs_tf.data.dicom.dicom_dataset import read_dataset
from xctrs_tf.data.dicom.dicom_frames import PIXEL_TYPES, stored_frames
from xctrs_tf.data.dicom.dicom_numbers import numbers
from xctrs_tf.data.volumes.grid import MAX_POSITION_MM, check_voxel_mm
from xctrs_tf.data.volumes.intensity import AIR_HU, check_hu, padding_to_air
from xctrs_tf.data.volumes.stored_image import MAX_BYTES
from xctrs_tf.errors import UserError

_MAX_FRAMES = 2**14
# Padding of these CT numbers would be indistinguishable from a patient.
_TISSUE_HU = (-900.0, 3071.0)
_PLACE = (
    ("PixelMeasuresSequence", "PixelSpacing", 2),
    ("PlaneOrientationSequence", "ImageOrientationPatient", 6),
    ("PlanePositionSequence", "ImagePositionPatient", 3),
)
# What RescaleType says of a CT: US, unspecified, is written by many programs.
_HU_TYPES = ("HU", "HU_MOD", "US", "")
_RESCALE = "PixelValueTransformationSequence"


class OtherModality(UserError):
    """DICOM file of another modality than CT.

    Attributes:
        series: UID of its series.
    """

    series = ""


@dataclasses.dataclass(frozen=True)
class Slice:
    """One slice of a CT.

    Attributes:
        file: its file.
        series: UID of its series.
        pixel_mm: distance of the rows and of the columns in mm.
        orientation: ``(6,)``, LPS directions along a row and along a column.
        position_mm: ``(3,)``, LPS position of the first pixel.
        hu: ``[row, column]``, int16 or float32.
    """

    file: object
    series: str
    pixel_mm: np.ndarray
    orientation: np.ndarray
    position_mm: np.ndarray
    hu: np.ndarray


def read_slices(file):
    """Read the slice of a file, or all slices of an Enhanced CT.

    Args:
        file: the file; it and its pixels have up to `MAX_BYTES`.

    Returns:
        List of `Slice`.

    Raises:
        OtherModality: not a CT.
        UserError: damaged, too large, without a place in space, or not in HU.
    """
    try:
        with warnings.catch_warnings():
            # pydicom's remarks on odd values are not for the user.
            warnings.simplefilter("ignore")
            return _read(file, read_checked(file, MAX_BYTES))
    except UserError:
        raise
    # A hostile file can make pydicom raise anything, RecursionError included.
    except Exception as error:
        raise UserError(f"{file}: damaged, or not a DICOM slice of a CT") from error


def _read(file, content):
    header = read_dataset(file, content)
    if "SOPClassUID" not in header and "Rows" not in header:
        raise UserError(f"{file}: damaged, or not a DICOM slice of a CT")
    series = str(header.get("SeriesInstanceUID", ""))
    modality = str(header.get("Modality") or "CT").strip()
    if modality != "CT":
        error = OtherModality(f"{file}: a slice of modality {printable(modality)}; CT is needed")
        # Not an argument: an error passes between processes with its message alone.
        error.series = series
        raise error
    if not header.get("BitsStored"):
        # Without it all bits are taken for pixels.
        header.BitsStored = header.get("BitsAllocated")
    _check_pixels(file, header)
    groups = _frame_groups(file, header)
    # The places of all frames are looked at before the first is decoded.
    places = [_place(file, frame) for frame in groups]
    scales = [_scale(file, frame) for frame in groups]
    frames = stored_frames(file, header, len(groups))
    return [
        Slice(file, series, *place, _to_hu(file, header, stored, *scale))
        for place, scale, stored in zip(places, scales, frames, strict=True)
    ]


def _check_pixels(file, header):
    for keyword in ("Rows", "Columns", "BitsAllocated", "PixelRepresentation"):
        if header.get(keyword) is None:
            raise UserError(f"{file}: no {keyword}; export it again")
    samples = int(header.get("SamplesPerPixel") or 1)
    colours = str(header.get("PhotometricInterpretation") or "MONOCHROME2").strip()
    if samples != 1 or colours not in ("MONOCHROME1", "MONOCHROME2"):
        raise UserError(
            f"{file}: PhotometricInterpretation {printable(colours)}; CT numbers are needed"
        )
    allocated, stored = int(header.BitsAllocated), int(header.BitsStored)
    if (allocated, int(header.PixelRepresentation)) not in PIXEL_TYPES:
        raise UserError(f"{file}: BitsAllocated is {allocated}; 8, 16 or 32 are read")
    high = int(header.get("HighBit", stored - 1))
    if not 1 <= stored <= allocated or high != stored - 1:
        raise UserError(
            f"{file}: BitsStored is {stored} and HighBit {high}, which do not fit; export it again"
        )
    rows, columns = int(header.Rows), int(header.Columns)
    frames = int(header.get("NumberOfFrames") or 1)
    if min(rows, columns, frames) < 1 or frames > _MAX_FRAMES:
        raise UserError(f"{file}: {columns} x {rows} x {frames} pixels; export it again")
    if rows * columns * frames * allocated // 8 > MAX_BYTES:
        raise UserError(
            f"{file}: {columns} x {rows} x {frames} pixels are over {MAX_BYTES / 1e6:.0f} MB; "
            "cut out the neck first"
        )


def _frame_groups(file, header):
    """Return for each frame a function from a sequence's name to its dataset."""
    count = int(header.get("NumberOfFrames") or 1)
    per_frame = header.get("PerFrameFunctionalGroupsSequence")
    if per_frame is None:
        if count > 1:
            raise UserError(
                f"{file}: {count} frames without places (no PerFrameFunctionalGroupsSequence); "
                "export one slice a file"
            )
        return [lambda sequence: header]
    if len(per_frame) != count:
        raise UserError(
            f"{file}: NumberOfFrames is {count}, and {len(per_frame)} frames have places; export "
            "it again"
        )
    shared = (header.get("SharedFunctionalGroupsSequence") or [{}])[0]

    def of(frame):
        def find(sequence):
            found = frame.get(sequence) or shared.get(sequence)
            if not found:
                raise UserError(f"{file}: no {sequence}; export it again")
            return found[0]

        return find

    return [of(frame) for frame in per_frame]


def _place(file, find):
    pixel_mm, orientation, position_mm = (
        _numbers(file, find(sequence), keyword, count) for sequence, keyword, count in _PLACE
    )
    check_voxel_mm(f"{file}: PixelSpacing", pixel_mm)
    if np.abs(position_mm).max() > MAX_POSITION_MM:
        raise UserError(f"{file}: ImagePositionPatient lies beyond 100 m; correct its header")
    row, column = orientation.reshape(2, 3)
    lengths = np.hypot.reduce([row, column], axis=1)
    if np.abs(lengths - 1).max() > 0.01 or abs(row @ column) > 0.02:
        raise UserError(
            f"{file}: ImageOrientationPatient is no two directions at a right angle; correct its "
            "header"
        )
    return pixel_mm, (orientation.reshape(2, 3) / lengths[:, None]).ravel(), position_mm


def _scale(file, find):
    """Return the slope and intercept that turn stored values into HU."""
    data = find(_RESCALE)
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        if keyword not in data:
            raise UserError(
                f"{file}: no {keyword}, so its values are not in HU; export it with its rescaling"
            )
    kind = str(data.get("RescaleType") or "HU").strip()
    if kind.upper() not in _HU_TYPES:
        raise UserError(f"{file}: RescaleType is {printable(kind)}; values in HU are needed")
    slope = float(_numbers(file, data, "RescaleSlope", 1)[0])
    intercept = float(_numbers(file, data, "RescaleIntercept", 1)[0])
    if slope <= 0:
        raise UserError(f"{file}: RescaleSlope is {slope:g}; correct its header")
    return slope, intercept


def _numbers(file, data, keyword, count):
    """Return the numbers of a field that has to be there."""
    if keyword not in data:
        raise UserError(f"{file}: no {keyword}; export the series again")
    found = numbers(file, data, keyword)
    if len(found) != count:
        raise UserError(
            f"{file}: its {keyword} holds {len(found)} numbers, where {count} belong; correct its "
            "header"
        )
    return np.array(found)


def _to_hu(file, header, stored, slope, intercept):
    """Return a frame in HU; padding becomes air."""
    padding = _padding(file, header, stored, slope, intercept)
    stored = _used_bits(file, header, stored, padding)
    if slope.is_integer() and intercept.is_integer():
        hu = stored.astype(np.int64) * int(slope) + int(intercept)
    else:
        hu = stored * slope + intercept
    if padding is not None:
        hu[padding] = AIR_HU
    check_hu(file, hu)
    hu = padding_to_air(hu)
    return hu.astype(np.int16 if hu.dtype.kind == "i" else np.float32)


def _padding(file, header, stored, slope, intercept):
    """Return where a frame holds PixelPaddingValue, up to its limit; None without one."""
    if header.get("PixelPaddingValue") is None:
        return None
    first = header.PixelPaddingValue
    last = header.get("PixelPaddingRangeLimit")
    # The tags may be read as signed where the pixels are not, and the reverse.
    ends = [
        int(np.array(int(end) & 0xFFFFFFFF, np.uint32).astype(stored.dtype))
        for end in (first, first if last is None else last)
    ]
    padding = (stored >= min(ends)) & (stored <= max(ends))
    low, high = (end * slope + intercept for end in (min(ends), max(ends)))
    if padding.any() and low <= _TISSUE_HU[1] and high >= _TISSUE_HU[0]:
        raise UserError(
            f"{file}: PixelPaddingValue is a CT number of tissue ({low:g} to {high:g} HU); correct "
            "its header"
        )
    return padding


def _used_bits(file, header, stored, padding):
    """Return the bits of a frame that BitsStored says are pixels."""
    unused = int(header.BitsAllocated) - int(header.BitsStored)
    if not unused:
        return stored
    used = (stored << unused) >> unused
    mask = (1 << int(header.BitsStored)) - 1
    clean = (stored == used) | (stored == (used & mask))
    # Each of up to 16 overlays has a group of its own.
    # Iteration over a dataset itself would parse every field.
    overlay = any(tag.group & 0xFF00 == 0x6000 for tag in header.keys())  # noqa: SIM118
    if not overlay and not (clean if padding is None else clean | padding).all():
        raise UserError(
            f"{file}: pixels of more than the {int(header.BitsStored)} bits of BitsStored; export "
            "it again"
        )
    return used
