"""Films from PNG, TIFF, JPEG and JPEG 2000 pictures."""

import io
import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError

from xctrs_tf.data.films.formats.colour_content import grey_of_colours
from xctrs_tf.data.films.formats.photo_check import check_camera, check_outline
from xctrs_tf.data.films.formats.tiff_header import TiffHeader, is_tiff
from xctrs_tf.data.films.raw_film import RawFilm, check_size, screen_to_film
from xctrs_tf.errors import UserError

PICTURE_SUFFIXES = (
    *(".png", ".tif", ".tiff"),
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".jpx", ".j2k", ".j2c"),
)
_FORMATS = ("PNG", "TIFF", "JPEG", "JPEG2000")
KINDS = "a PNG, TIFF or JPEG picture"
# Others may have EXIF after the pixels.
_CAMERA_FORMATS = ("JPEG", "MPO")
# Modes of Pillow that hold grey values, perhaps as equal colours or with transparency.
_GREY_MODES = ("1", "L", "LA", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_COLOUR_MODES = ("P", "PA", "RGB", "RGBA", "RGBX")
_ORIENTATION = 274
# Place of the bits of a value in a PNG file.
_PNG_DEPTH = 24
_CUT_BITS = "the upper 8 of its 16 bits are read, since it has several channels; export it as grey"
# Value of the orientation tag -> what turns the stored picture as viewers show it.
_TURNS = {
    2: lambda picture: picture[:, ::-1],
    3: lambda picture: picture[::-1, ::-1],
    4: lambda picture: picture[::-1],
    5: lambda picture: picture.swapaxes(0, 1),
    6: lambda picture: np.rot90(picture, -1),
    7: lambda picture: picture[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}
_SIDEWAYS = (5, 6, 7, 8)


def read_picture_film(path, content):
    """Read a PNG, TIFF or JPEG film, stored as a radiologist looks at it.

    Args:
        path: the file, for messages.
        content: its bytes.

    Returns:
        `RawFilm` without a pixel size, turned by the orientation that EXIF or TIFF give.

    Raises:
        UserError: of colours, of several pages, partly transparent, a photo, damaged, or of
            another kind.
    """
    header = TiffHeader(path, content) if is_tiff(content) else None
    try:
        picture = _open(path, header.plain() if header else content)
    except UnidentifiedImageError as error:
        if header is None:
            raise
        raise UserError(
            f"{path}: a TIFF picture of {header.kind}, damaged or not read; export the film as "
            "8- or 16-bit grey"
        ) from error
    if picture.format in _CAMERA_FORMATS:
        # A phone adds a second, smaller picture.
        check_camera(path, picture.getexif())
    if _has_second_page(picture):
        raise UserError(f"{path}: several pages; save one film a file")
    if picture.mode not in (*_GREY_MODES, *_COLOUR_MODES):
        raise UserError(
            f"{path}: a colour picture ({picture.mode}); export the film as 8- or 16-bit grey"
        )
    check_size(path, *picture.size)
    pixels = _opaque_pixels(path, picture)
    # EXIF may follow the pixels of a PNG.
    exif = picture.getexif()
    check_camera(path, exif)
    orientation = header.orientation if header else exif.get(_ORIENTATION)
    shape = header.pixel_shape if header else _png_pixel_shape(picture)
    remarks = (_CUT_BITS,) if _is_deep(picture, header, content) else ()
    if orientation in _TURNS:
        pixels = _TURNS[orientation](pixels)
        shape = shape[::-1] if orientation in _SIDEWAYS else shape
        remarks += (f"turned as its orientation {orientation} says",)
    if pixels.ndim == 3:
        pixels, remark = grey_of_colours(path, pixels)
        remarks += (remark,) if remark else ()
    pixels = (header.values(pixels) if header else pixels).astype(np.float32)
    check_outline(path, pixels)
    return RawFilm(screen_to_film(pixels), pixel_shape=shape, remarks=remarks)


def _open(path, content):
    with warnings.catch_warnings():
        # Pillow's warning of a very large picture must be an error, since it would read it.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            return Image.open(io.BytesIO(content), formats=_FORMATS)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise UserError(f"{path}: far too many pixels; shrink the film first") from error


def _has_second_page(picture):
    """Return whether there is a second page; do not count them, there may be very many."""
    try:
        picture.seek(1)
    except EOFError:
        return False
    finally:
        picture.seek(0)
    return True


def _is_deep(picture, header, content):
    """Return whether a picture of several channels has more bits than Pillow reads of it."""
    if len(picture.getbands()) == 1:
        return False
    return header.bits > 8 if header else picture.format == "PNG" and content[_PNG_DEPTH] > 8


def _opaque_pixels(path, picture):
    """Return grey values ``[row, column]``, or colours ``[row, column, channel]``."""
    has_key = "transparency" in picture.info
    if picture.mode in ("P", "PA"):
        picture = picture.convert("RGBA" if has_key or picture.mode == "PA" else "RGB")
    elif has_key and picture.mode in ("L", "RGB"):
        picture = picture.convert("LA" if picture.mode == "L" else "RGBA")
    pixels = np.asarray(picture)
    if picture.mode in ("LA", "RGBA"):
        transparent = np.mean(pixels[..., -1] < 255)
        if transparent:
            raise UserError(
                f"{path}: {transparent:.1%} of its pixels are transparent, so that its grey values "
                "are not known; save it without an alpha channel"
            )
    if pixels.ndim == 2:
        return pixels
    return pixels[..., 0] if picture.mode == "LA" else pixels[..., :3]


def _png_pixel_shape(picture):
    """Return width and height of a pixel by the chunk pHYs, in any unit."""
    across, up = picture.info.get("dpi") or picture.info.get("aspect") or (1, 1)
    # Programs that know no resolution write zeros.
    return (max(across, up) / across, max(across, up) / up) if across > 0 < up else (1.0, 1.0)
