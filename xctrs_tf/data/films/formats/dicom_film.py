"""Films from DICOM files: grey values, pixel size, view and orientation by the header."""

import numpy as np

from xctrs_tf.data.checked_file import read_start
from xctrs_tf.data.dicom.dicom_start import START, starts_like_dicom
from xctrs_tf.data.films.raw_film import RawFilm, check_size, flip_remarks, screen_to_film
from xctrs_tf.errors import UserError

# The header of a film has some hundreds of fields, each of two pieces.
MAX_READS = 50_000


def is_dicom_film(path):
    """Return whether a film's file is DICOM, by its first bytes, unpacked where it is gzip.

    Args:
        path: the file.

    Raises:
        UserError: as `read_start`.
    """
    return starts_like_dicom(read_start(path, START))


def read_dicom_film(path, content, view):
    """Read a DICOM film.

    Grey values pass the modality's rescaling and the window (or their tables),
    and MONOCHROME1 is inverted, so that bone is bright as on a viewer.

    Args:
        path: the file, for messages.
        content: its bytes.
        view: ``"ap"`` or ``"la"``.

    Returns:
        `RawFilm`; PatientOrientation decides its flips.

    Raises:
        UserError: not an X-ray film, of several frames, of raw detector values, or a header
            that contradicts the view or itself.
    """
    # Imported here, since only DICOM films need pydicom.
    from xctrs_tf.data.dicom.dicom_dataset import read_dataset
    from xctrs_tf.data.films.formats import dicom_header, dicom_scale, dicom_values

    image = read_dataset(path, content, MAX_READS)
    _complete_meta(path, image)
    dicom_header.check(path, image, view)
    # Spaces before it are legal, and pydicom keeps them.
    image.PhotometricInterpretation = image.PhotometricInterpretation.strip()
    flips, source = dicom_header.flips(path, image, view)
    pixel_mm, pixel_shape, remark = dicom_scale.pixel_scale(path, image)
    check_size(path, *dicom_header.size(path, image))
    values, padding = dicom_values.stored_values(path, image)
    picture = dicom_values.shown_values(path, image, values, padding)
    inverted = image.PhotometricInterpretation == "MONOCHROME1"
    if inverted:
        picture = -picture
    if padding.any():
        picture = np.ma.masked_array(picture, padding)
    return RawFilm(
        screen_to_film(picture),
        pixel_mm,
        pixel_shape,
        *flips,
        inverted,
        flip_remarks(flips, source),
        remark,
    )


def _complete_meta(path, image):
    """Add the transfer syntax that the file's beginning shows where the header has none."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if getattr(image, "file_meta", None) is None:
        image.file_meta = FileMetaDataset()
    if image.file_meta.get("TransferSyntaxUID"):
        return
    if "PixelData" in image and image["PixelData"].is_undefined_length:
        raise UserError(
            f"{path}: compressed, and its TransferSyntaxUID is missing; export it again"
        )
    is_implicit, is_little = image.original_encoding
    explicit = ExplicitVRLittleEndian if is_little else ExplicitVRBigEndian
    image.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if is_implicit else explicit
