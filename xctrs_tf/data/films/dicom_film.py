"""Films from DICOM files: grey values, pixel size, view and orientation by the header."""

import io
import pathlib
import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError

from xctrs_tf.data.films.raw_film import RawFilm, check_pixels, screen_to_film
from xctrs_tf.errors import UserError

# The modalities of the DICOM standard that are X-ray projections.
MODALITIES = ("CR", "DX", "RF", "RG", "XA")
PREAMBLE, MAGIC = 128, b"DICM"
# The deflated syntax is refused: its unpacked size cannot be bounded, and no X-ray
# machine writes it.
DEFLATED = "1.2.840.10008.1.2.1.99"
# A byte of run-length code may unpack to 64: half a gigabyte at most.
MAX_RLE_BYTES = 2**23

VIEW_POSITIONS = {
    "ap": ("AP", "PA"),
    "la": ("LL", "RL", "LLD", "RLD", "LAT", "LATERAL", "LA"),
}
# PatientOrientation of an upright film: directions in which columns and rows grow.
UPRIGHT = {"ap": ("L", "F"), "la": ("P", "F")}
OPPOSITE = {"L": "R", "R": "L", "A": "P", "P": "A", "F": "H", "H": "F"}


def is_dicom(path):
    """Return whether a file is DICOM, by its first bytes.

    Args:
        path: the file.
    """
    with pathlib.Path(path).open("rb") as stream:
        return stream.read(PREAMBLE + len(MAGIC))[PREAMBLE:] == MAGIC


def read_dicom_film(path, view):
    """Read a film from a DICOM file.

    Grey values pass the modality's rescaling and the window (or their tables),
    and MONOCHROME1 is inverted, so that bone is bright as on a viewer. The size of a
    pixel is that at the patient: PixelSpacing where it was calibrated, else
    ImagerPixelSpacing divided by the magnification, where the header gives one.

    Args:
        path: the file.
        view: ``"ap"`` or ``"la"``.

    Returns:
        `RawFilm`; PatientOrientation decides its flips.

    Raises:
        UserError: damaged, too large, not an X-ray film, of several frames, of raw detector
            values, or a header that contradicts the view.
    """
    try:
        with warnings.catch_warnings():
            # pydicom's remarks on odd values are not for the user.
            warnings.simplefilter("ignore")
            return _read(path, view)
    except UserError:
        raise
    # A hostile file can make pydicom raise anything, RecursionError included.
    except Exception as error:
        raise UserError(
            f"{path}: a damaged DICOM file, or of a kind that cannot be read"
        ) from error


def _read(path, view):
    # Imported here, since only DICOM films need it.
    import pydicom
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    meta = pydicom.filereader.read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") == DEFLATED:
        raise UserError(f"{path}: a deflated DICOM file; export it uncompressed")
    header = pydicom.dcmread(path, stop_before_pixels=True)
    _check_header(path, header, view)
    flips = _flips(path, header, view)
    pixel_mm = _pixel_mm(path, header)
    image = pydicom.dcmread(path)
    if image.file_meta.TransferSyntaxUID.is_encapsulated:
        _check_compressed(path, image)
    values = apply_modality_lut(image.pixel_array, image)
    picture = apply_voi_lut(values, image).astype(np.float32)
    if header.PhotometricInterpretation == "MONOCHROME1":
        picture = -picture
    return RawFilm(screen_to_film(picture), pixel_mm, *flips)


def _check_header(path, header, view):
    modality = header.get("Modality", "")
    if modality not in MODALITIES:
        raise UserError(
            f"{path}: modality {modality or 'not given'}; an X-ray film is one of "
            f"{', '.join(MODALITIES)}"
        )
    check_pixels(path, int(header.Columns), int(header.Rows))
    frames = int(header.get("NumberOfFrames") or 1)
    if frames != 1:
        raise UserError(f"{path}: {frames} frames; save one film a file")
    if header.get("SamplesPerPixel", 1) != 1 or header.PhotometricInterpretation not in (
        "MONOCHROME1",
        "MONOCHROME2",
    ):
        raise UserError(f"{path}: {header.PhotometricInterpretation}; export the film as grey")
    if header.get("PresentationIntentType", "") == "FOR PROCESSING":
        raise UserError(f"{path}: raw detector values; export the image for presentation")
    _check_view(path, header, view)


def _check_compressed(path, image):
    """Refuse compressed pixels that would unpack to more than the header says."""
    from pydicom.encaps import generate_frames
    from pydicom.uid import RLELossless

    if image.file_meta.TransferSyntaxUID == RLELossless:
        if len(image.PixelData) > MAX_RLE_BYTES:
            raise UserError(
                f"{path}: over {MAX_RLE_BYTES / 1e6:.0f} MB of run-length code; export the film "
                "uncompressed"
            )
        return
    frame = next(generate_frames(image.PixelData, number_of_frames=1))
    try:
        size = Image.open(io.BytesIO(frame)).size
    except UnidentifiedImageError:
        # pydicom's other decoders may know the format.
        return
    if size != (image.Columns, image.Rows):
        raise UserError(
            f"{path}: its header says {image.Columns} x {image.Rows} pixels, its compressed "
            f"picture {size[0]} x {size[1]}; export the film again"
        )


def _check_view(path, header, view):
    position = str(header.get("ViewPosition") or "").upper()
    if position and position not in VIEW_POSITIONS[view]:
        raise UserError(
            f"{path}: its ViewPosition is {position}, which is not an {view.upper()} film; "
            "exchange the films or correct the header"
        )
    laterality = header.get("ImageLaterality") or header.get("Laterality") or ""
    if view == "ap" and laterality in ("L", "R"):
        raise UserError(
            f"{path}: its laterality is {laterality}, which no AP film of a neck has; "
            "exchange the films or correct the header"
        )


def _flips(path, header, view):
    """Return whether left and right, and whether top and bottom, must be exchanged."""
    directions = header.get("PatientOrientation") or ()
    flips = []
    for direction, upright in zip(directions, UPRIGHT[view], strict=False):
        # The first letter is the main direction; further letters describe a tilt.
        main = str(direction)[:1].upper()
        if main not in ("", upright, OPPOSITE[upright]):
            raise UserError(
                f"{path}: its PatientOrientation is {'/'.join(map(str, directions))}, which is "
                f"not an upright {view.upper()} film; turn it, exchange the films or correct "
                "the header"
            )
        flips.append(main == OPPOSITE[upright])
    return tuple(flips) if len(flips) == 2 else (False, False)


def _pixel_mm(path, header):
    """Return width and height of a pixel at the patient in mm, or None if unknown."""
    calibrated, imager = header.get("PixelSpacing"), header.get("ImagerPixelSpacing")
    if calibrated and (not imager or list(calibrated) != list(imager)):
        spacing, magnification = calibrated, 1.0
    elif imager:
        spacing, magnification = imager, _magnification(header)
    else:
        return None
    spacing = np.ravel(spacing).astype(float).tolist()
    if len(spacing) != 2 or not all(0 < edge < np.inf for edge in spacing):
        raise UserError(f"{path}: its header gives pixels of {spacing} mm; correct the header")
    height, width = (edge / magnification for edge in spacing)
    return width, height


def _magnification(header):
    estimated = header.get("EstimatedRadiographicMagnificationFactor")
    if estimated:
        return float(estimated)
    detector = header.get("DistanceSourceToDetector")
    patient = header.get("DistanceSourceToPatient")
    return float(detector) / float(patient) if detector and patient else 1.0
