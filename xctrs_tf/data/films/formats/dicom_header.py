"""Header of a DICOM film: that it is an X-ray film of the view, and how it is turned."""

from xctrs_tf.data.dicom.dicom_numbers import whole_number
from xctrs_tf.errors import UserError, one_line

# The modalities of the DICOM standard that are X-ray projections.
MODALITIES = ("CR", "DX", "RF", "RG", "XA")
VIEW_POSITIONS = {
    "ap": ("AP", "PA"),
    "la": ("LL", "RL", "LLD", "RLD", "LAT", "LATERAL", "LA"),
}
# PatientOrientation of an upright film: directions in which columns and rows grow.
UPRIGHT = {"ap": ("L", "F"), "la": ("P", "F")}
OPPOSITE = {"L": "R", "R": "L", "A": "P", "P": "A", "F": "H", "H": "F"}


def check(path, header, view):
    """Refuse a file that is not one X-ray film of the view, ready to be looked at.

    Args:
        path: the file, for messages.
        header: `pydicom.Dataset`.
        view: ``"ap"`` or ``"la"``.

    Raises:
        UserError: another modality, several frames, colours, raw detector values, no
            pixels, or fields that contradict each other or the view.
    """
    modality = _text(header, "Modality")
    if modality not in MODALITIES:
        raise UserError(
            f"{path}: modality {modality or 'not given'}; an X-ray film is one of "
            f"{', '.join(MODALITIES)}"
        )
    frames = whole_number(path, header, "NumberOfFrames", 1)
    if frames != 1:
        raise UserError(f"{path}: {frames} frames; save one film a file")
    _check_grey(path, header)
    if _text(header, "PresentationIntentType") == "FOR PROCESSING":
        raise UserError(f"{path}: raw detector values; export the image for presentation")
    if "PixelData" not in header:
        raise UserError(f"{path}: its PixelData are missing; export the film again")
    _check_view(path, header, view)


def size(path, header):
    """Return columns and rows.

    Args:
        path: the file, for messages.
        header: `pydicom.Dataset`.
    """
    return tuple(whole_number(path, header, name) for name in ("Columns", "Rows"))


def flips(path, header, view):
    """Return whether left and right, and whether top and bottom, must be exchanged.

    Args:
        path: the file, for messages.
        header: `pydicom.Dataset`.
        view: ``"ap"`` or ``"la"``.

    Returns:
        Tuple of two bools, and the field that says so.

    Raises:
        UserError: PatientOrientation is that of no upright film of the view, or incomplete.
    """
    directions = header.get("PatientOrientation") or ()
    directions = [directions] if isinstance(directions, str) else list(map(str, directions))
    if not any(directions):
        return (False, False), None
    found = one_line("/".join(directions), 40)
    # The first letter is the main direction; further letters describe a tilt.
    mains = [direction[:1].upper() for direction in directions]
    if len(mains) != 2 or not all(mains):
        raise UserError(
            f"{path}: its PatientOrientation is {found}, where two directions are needed, of "
            "columns and rows; correct the header"
        )
    for direction in directions:
        letters = set(direction.upper())
        if not letters <= OPPOSITE.keys() or letters & {OPPOSITE[each] for each in letters}:
            raise UserError(
                f"{path}: its PatientOrientation is {found}, which are no directions; correct the "
                "header"
            )
    for main, upright in zip(mains, UPRIGHT[view], strict=True):
        if main not in (upright, OPPOSITE[upright]):
            raise UserError(
                f"{path}: its PatientOrientation is {found}, which is not an upright "
                f"{view.upper()} film; turn it, exchange the films or correct the header"
            )
    flips = (main == OPPOSITE[each] for main, each in zip(mains, UPRIGHT[view], strict=True))
    return tuple(flips), f"PatientOrientation {found}"


def _text(header, keyword):
    """Return a field as text that is safe to print; empty where it is missing."""
    return one_line(header.get(keyword) or "", 40).strip()


def _check_grey(path, header):
    photometric = _text(header, "PhotometricInterpretation") or "not given"
    if whole_number(path, header, "SamplesPerPixel", 1) != 1 or photometric not in (
        "MONOCHROME1",
        "MONOCHROME2",
    ):
        raise UserError(
            f"{path}: its PhotometricInterpretation is {photometric}; export the film as grey"
        )
    shape = _text(header, "PresentationLUTShape").upper()
    expected = "IDENTITY" if photometric == "MONOCHROME2" else "INVERSE"
    if shape in ("IDENTITY", "INVERSE") and shape != expected:
        raise UserError(
            f"{path}: its PhotometricInterpretation {photometric} and PresentationLUTShape "
            f"{shape} contradict each other (is bone dark or bright?); correct the header"
        )
    if "PresentationLUTSequence" in header:
        raise UserError(
            f"{path}: its PresentationLUTSequence is not applied; export the film as it is shown"
        )


def _check_view(path, header, view):
    position = _text(header, "ViewPosition").upper()
    if position and position not in VIEW_POSITIONS[view]:
        raise UserError(
            f"{path}: its ViewPosition is {position}, which is not an {view.upper()} film; "
            "exchange the films or correct the header"
        )
    laterality = _text(header, "ImageLaterality") or _text(header, "Laterality")
    if view == "ap" and laterality in ("L", "R"):
        raise UserError(
            f"{path}: its laterality is {laterality}, which no AP film of a neck has; "
            "exchange the films or correct the header"
        )
