"""Size of a DICOM film's pixels at the patient, by its header."""

import numpy as np

from xctrs_tf.data.dicom.dicom_numbers import number, numbers
from xctrs_tf.errors import UserError, one_line

# No film is smaller than the patient, and none shows a neck more than twice as large.
MAX_MAGNIFICATION = 2.0
_TOLERANCE = 0.01
# Two fields that hold one number may round it differently.
_ROUNDING = 1e-3
_MAGNIFICATION = "EstimatedRadiographicMagnificationFactor"
_DISTANCES = ("DistanceSourceToDetector", "DistanceSourceToPatient")
_CALIBRATED = ("FIDUCIAL", "GEOMETRY")


def pixel_scale(path, header):
    """Return the size and the shape of a pixel, and where they are from.

    PixelSpacing holds at the patient where it was calibrated: where it differs from the
    spacing at the detector (ImagerPixelSpacing, or NominalScannedPixelSpacing of a
    scanned film), or where it is the only one. Otherwise the spacing at the detector is
    divided by the magnification, where the header gives one.

    Args:
        path: the file, for messages.
        header: `pydicom.Dataset`.

    Returns:
        Width and height in mm, or None if unknown; width and height in any unit; and a remark
        on the fields that were used, or None.

    Raises:
        UserError: a spacing, magnification or ratio that no film has, or two that
            contradict each other.
    """
    ratio = _aspect_ratio(path, header)
    spacing, source = _spacing_mm(path, header)
    if spacing is None:
        return None, ratio or (1.0, 1.0), None
    height, width = spacing
    if ratio and abs(ratio[1] / ratio[0] * width / height - 1) > _TOLERANCE:
        raise UserError(
            f"{path}: its PixelAspectRatio contradicts its pixels of {width:g} x {height:g} mm; "
            "correct the header"
        )
    remark = f"pixels of {width:.4g} x {height:.4g} mm at the patient, by {source}"
    return (width, height), (width, height), remark


def _spacing_mm(path, header):
    """Return height and width of a pixel at the patient, and the fields; None if unknown."""
    calibrated = _pair(path, header, "PixelSpacing")
    detector = _pair(path, header, "ImagerPixelSpacing")
    name = "ImagerPixelSpacing"
    if not detector:
        name = "NominalScannedPixelSpacing"
        detector = _pair(path, header, name)
    kind = one_line(header.get("PixelSpacingCalibrationType") or "", 20).upper()
    if not calibrated and not detector:
        return None, None
    words = f" ({kind})" if kind in _CALIBRATED else ""
    if calibrated and not detector:
        return calibrated, f"PixelSpacing{words or ', whose calibration its header does not tell'}"
    if calibrated and (kind in _CALIBRATED or not np.allclose(calibrated, detector, _ROUNDING, 0)):
        for at_patient, at_detector in zip(calibrated, detector, strict=True):
            _check_magnification(path, at_detector / at_patient, f"{name} over PixelSpacing")
        return calibrated, f"PixelSpacing{words or f', which differs from {name}'}"
    magnification, source = _magnification(path, header)
    return [edge / magnification for edge in detector], f"{name} {source}"


def _pair(path, header, keyword):
    """Return the two numbers of a field, above zero; None where it is missing."""
    pair = numbers(path, header, keyword)
    if pair and (len(pair) != 2 or min(pair) <= 0):
        said = " and ".join(f"{value:g}" for value in pair)
        raise UserError(
            f"{path}: its {keyword} is {said}; two numbers above 0 are needed: correct the header"
        )
    return pair or None


def _magnification(path, header):
    """Return the magnification, and words that name its fields."""
    estimated = number(path, header, _MAGNIFICATION, 0.0)
    detector, patient = (number(path, header, name, 0.0) for name in _DISTANCES)
    by_distances = detector / patient if detector and patient else None
    if estimated:
        _check_magnification(path, estimated, _MAGNIFICATION)
        words = f"over {_MAGNIFICATION} {estimated:g}"
        if by_distances and abs(by_distances / estimated - 1) > _TOLERANCE:
            words += f" (its {' over '.join(_DISTANCES)} is {by_distances:.3g})"
        return estimated, words
    if by_distances is None:
        return 1.0, (
            "alone: its header gives no magnification, and at the patient they are smaller "
            "(--ap_pixel_mm, --la_pixel_mm correct it)"
        )
    names = " over ".join(_DISTANCES)
    _check_magnification(path, by_distances, names)
    return by_distances, f"over {by_distances:.4g}, {names}"


def _check_magnification(path, value, source):
    if not 1 - _TOLERANCE <= value <= MAX_MAGNIFICATION + _TOLERANCE:
        raise UserError(
            f"{path}: a magnification of {value:g} by {source}, where films have 1 to "
            f"{MAX_MAGNIFICATION:g}; correct the header (per cent? unlike units?)"
        )


def _aspect_ratio(path, header):
    """Return width and height of a pixel by PixelAspectRatio (vertical, horizontal)."""
    pair = _pair(path, header, "PixelAspectRatio")
    if pair is None:
        return None
    height, width = pair
    return width / max(pair), height / max(pair)
