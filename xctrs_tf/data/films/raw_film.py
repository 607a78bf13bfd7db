"""Reading films from pictures and volumes; DICOM is in `dicom_film`."""

import gzip
import pathlib
import re
import warnings
import zlib

import numpy as np
import SimpleITK as sitk
from PIL import Image

from xctrs_tf.data.films import dicom_film
from xctrs_tf.data.films.film_frame import RawFilm
from xctrs_tf.data.films.film_limits import MAX_FILE_BYTES, check_file, check_pixels
from xctrs_tf.data.volumes import volume as volumes
from xctrs_tf.errors import UserError

PICTURE_SUFFIXES = (".png", ".tif", ".tiff")
VOLUME_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha")
# The lines of NRRD and MetaImage headers that say where the pixels are.
_ELSEWHERE = re.compile(
    rb"^[ \t]*(?:data ?file[ \t]*:|ElementDataFile[ \t]*[=:][ \t]*(?!LOCAL[ \t\r]*$))",
    re.IGNORECASE | re.MULTILINE,
)
TIFF_PHOTOMETRIC, WHITE_IS_ZERO = 262, 0


def read_raw_film(path, view):
    """Read a film of any kind.

    Args:
        path: the file.
        view: ``"ap"`` or ``"la"``, against which DICOM's header is checked.

    Returns:
        `RawFilm`.

    Raises:
        UserError: missing, unreadable, too large, coloured, not one film, or a
            film of another view.
    """
    path = pathlib.Path(path)
    check_file(path)
    try:
        return _read_any(path, view)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def _read_any(path, view):
    name = path.name.lower()
    if name.endswith(PICTURE_SUFFIXES):
        return RawFilm(screen_to_film(_read_picture(path)))
    if name.endswith(VOLUME_SUFFIXES):
        return _read_slice(path)
    if dicom_film.is_dicom(path):
        return dicom_film.read(path, view)
    raise UserError(f"{path}: unknown kind of film; use DICOM, PNG, TIFF or NIfTI")


def screen_to_film(picture):
    """A picture ``[row, column]`` as ``[horizontal, vertical]``: undoes `geometry.screen`."""
    return picture[::-1].swapaxes(0, 1)


def _read_picture(path):
    try:
        with warnings.catch_warnings():
            # Its remarks on odd values are not for the user, but it also warns of sizes
            # that it would still read.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(path, formats=("PNG", "TIFF"))
        with picture:
            check_pixels(path, *picture.size)
            return _grey_pixels(path, picture)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(f"{path}: far too many pixels; shrink the film first") from error
    except UserError:
        raise
    # Whatever a hostile file makes of Pillow, the user hears of the file.
    except Exception as error:
        raise UserError(f"{path}: damaged, or not a PNG or TIFF picture") from error


def _grey_pixels(path, picture):
    if _has_second_page(picture):
        raise UserError(f"{path}: several pages; save one film a file")
    # Pillow minds the tag for 8 bits alone.
    negative = picture.mode.startswith("I;16") and (
        picture.format == "TIFF" and picture.tag_v2.get(TIFF_PHOTOMETRIC) == WHITE_IS_ZERO
    )
    if picture.mode in ("P", "PA"):
        picture = picture.convert("RGB")
    pixels = np.asarray(picture)
    bands = picture.getbands()
    if len(bands) == 1:
        return -pixels.astype(np.float32) if negative else pixels.astype(np.float32)
    grey = pixels[..., 0]
    if bands[:3] == ("R", "G", "B") and (pixels[..., :3] != grey[..., np.newaxis]).any():
        raise UserError(f"{path}: a colour picture; export the film as 8- or 16-bit grey")
    return grey.astype(np.float32)


def _has_second_page(picture):
    """Whether there is one; to count a hostile file's pages may take minutes."""
    try:
        picture.seek(1)
    except EOFError:
        return False
    finally:
        picture.seek(0)
    return True


def _read_slice(path):
    if path.name.lower().endswith(".gz"):
        _check_inflated(path)
    elif not path.name.lower().endswith(".nii"):
        _check_whole(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise UserError(f"{path}: damaged, or not {volumes.READABLE}") from error
    counts = reader.GetSize()
    if len(counts) not in (2, 3) or counts[2:] not in ((), (1,)):
        shape = " x ".join(map(str, counts))
        raise UserError(f"{path}: {shape} values; a film has one slice")
    check_pixels(path, *counts[:2])
    array = volumes.read_array(path)
    return RawFilm(array.reshape(counts[:2]).astype(np.float32), reader.GetSpacing()[:2])


def _check_whole(path):
    """Refuse a header that names another file for its pixels: it could be any."""
    if _ELSEWHERE.search(path.read_bytes()):
        raise UserError(f"{path}: its pixels are in another file; save the film as one")


def _check_inflated(path):
    """Refuse a file that unpacks to more than any film, without holding it."""
    left = MAX_FILE_BYTES
    try:
        with gzip.open(path) as stream:
            while chunk := stream.read(2**20):
                left -= len(chunk)
                if left < 0:
                    raise UserError(f"{path}: unpacks to over {MAX_FILE_BYTES / 1e6:.0f} MB")
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: damaged gzip; fetch the file again") from error
