"""Films from PNG and TIFF pictures."""

import warnings

import numpy as np
from PIL import Image

from xctrs_tf.data.films.raw_film import RawFilm, check_pixels, screen_to_film
from xctrs_tf.errors import UserError

PICTURE_SUFFIXES = (".png", ".tif", ".tiff")
# TIFF tag PhotometricInterpretation, and its value for "zero is white".
TIFF_PHOTOMETRIC, WHITE_IS_ZERO = 262, 0


def read_picture_film(path):
    """Read a film from a PNG or TIFF picture, stored as a radiologist looks at it.

    Args:
        path: the file.

    Returns:
        `RawFilm` without a pixel size.

    Raises:
        UserError: damaged, too large, coloured, or of several pages.
    """
    try:
        with warnings.catch_warnings():
            # Pillow's remarks on odd values are not for the user. Its warning of a very
            # large picture must be an error, since it would read that picture.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(path, formats=("PNG", "TIFF"))
        with picture:
            check_pixels(path, *picture.size)
            return RawFilm(screen_to_film(_grey_pixels(path, picture)))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(f"{path}: far too many pixels; shrink the film first") from error
    except UserError:
        raise
    # A hostile file can make Pillow raise anything.
    except Exception as error:
        raise UserError(f"{path}: damaged, or not a PNG or TIFF picture") from error


def _grey_pixels(path, picture):
    if _has_second_page(picture):
        raise UserError(f"{path}: several pages; save one film a file")
    # Pillow inverts such pictures only at 8 bits.
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
    """Return whether there is a second page; do not count them, there may be very many."""
    try:
        picture.seek(1)
    except EOFError:
        return False
    finally:
        picture.seek(0)
    return True
