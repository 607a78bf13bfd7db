"""Size of a DICOM film's pixels at the patient, by its header."""

from xctrs_tf.data.films.formats.dicom_numbers import number, numbers
from xctrs_tf.errors import UserError

# No film is smaller than the patient, and none shows a neck more than twice as large.
MAX_MAGNIFICATION = 2.0
# Rounding of the header's numbers.
_TOLERANCE = 0.01
_MAGNIFICATION = "EstimatedRadiographicMagnificationFactor"
_DISTANCES = ("DistanceSourceToDetector", "DistanceSourceToPatient")
_CALIBRATED = ("FIDUCIAL", "GEOMETRY")


def pixel_scale(path, header):
    """Return the size and the shape of a pixel.

    PixelSpacing holds at the patient where it was calibrated: where it differs from the
    spacing at the detector (ImagerPixelSpacing, or NominalScannedPixelSpacing of a
    scanned film), or where it is the only one. Otherwise the spacing at the detector is
    divided by the magnification, where the header gives one.

    Args:
        path: the file, for messages.
        header: `pydicom.Dataset`.

    Returns:
        Width and height in mm, or None if unknown; and width and height in any unit.

    Raises:
        UserError: a spacing, magnification or ratio that no film has, or two that
            contradict each other.
    """
    ratio = _aspect_ratio(path, header)
    spacing = _spacing_mm(path, header)
    if spacing is None:
        return None, ratio or (1.0, 1.0)
    height, width = spacing
    if ratio and abs(ratio[1] / ratio[0] * width / height - 1) > _TOLERANCE:
        raise UserError(
            f"{path}: its PixelAspectRatio contradicts its pixels of {width:g} x {height:g} mm; "
            "correct the header"
        )
    return (width, height), (width, height)


def _spacing_mm(path, header):
    """Return height and width of a pixel at the patient, or None if unknown."""
    calibrated = _pair(path, header, "PixelSpacing")
    detector = _pair(path, header, "ImagerPixelSpacing")
    name = "ImagerPixelSpacing"
    if not detector:
        name = "NominalScannedPixelSpacing"
        detector = _pair(path, header, name)
    kind = str(header.get("PixelSpacingCalibrationType") or "").upper()
    if not calibrated and not detector:
        return None
    if calibrated and not detector:
        return calibrated
    if calibrated and (calibrated != detector or kind in _CALIBRATED):
        for at_patient, at_detector in zip(calibrated, detector, strict=True):
            _check_magnification(path, at_detector / at_patient, f"{name} over PixelSpacing")
        return calibrated
    magnification = _magnification(path, header)
    return [edge / magnification for edge in detector]


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
    estimated = number(path, header, _MAGNIFICATION, 0.0)
    if estimated:
        return _check_magnification(path, estimated, _MAGNIFICATION)
    detector, patient = (number(path, header, name, 0.0) for name in _DISTANCES)
    if not (detector and patient):
        return 1.0
    return _check_magnification(path, detector / patient, " over ".join(_DISTANCES))


def _check_magnification(path, value, source):
    if not 1 - _TOLERANCE <= value <= MAX_MAGNIFICATION + _TOLERANCE:
        raise UserError(
            f"{path}: a magnification of {value:g} by {source}, where films have 1 to "
            f"{MAX_MAGNIFICATION:g}; correct the header (per cent? unlike units?)"
        )
    return value


def _aspect_ratio(path, header):
    """Return width and height of a pixel by PixelAspectRatio (vertical, horizontal)."""
    pair = _pair(path, header, "PixelAspectRatio")
    if pair is None:
        return None
    height, width = pair
    return width / max(pair), height / max(pair)
