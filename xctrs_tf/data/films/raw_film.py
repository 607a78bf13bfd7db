"""A film as stored in its file, and the limits for films of untrusted files."""

import dataclasses
import math

import numpy as np

from xctrs_tf.errors import UserError

# Twice the pixels of the largest detectors; reading such a film takes up to 1.2 GB.
MAX_PIXELS = 2**25
MAX_EDGE = 2**14 - 1
# MAX_PIXELS pixels of eight bytes.
MAX_FILE_BYTES = 8 * MAX_PIXELS
# Detectors have pixels of 0.05 to 0.4 mm, and films for the networks up to 4 mm.
MIN_PIXEL_MM, MAX_PIXEL_MM = 0.01, 20.0


@dataclasses.dataclass(frozen=True)
class RawFilm:
    """A film as stored in its file, before crop, flips and normalisation.

    Attributes:
        pixels: float32 ``[horizontal, vertical]``, the top row last, bone bright; a masked
            array where pixels are no part of the film.
        pixel_mm: width and height of a pixel at the patient, or None if unknown.
        pixel_shape: width and height of a pixel in any unit, used where ``pixel_mm`` is None.
        flip_horizontal: the file says that left and right must be exchanged.
        flip_vertical: the file says that top and bottom must be exchanged.
        inverted: the file stores bone dark, and its pixels were inverted.
        remarks: lines on what was assumed or corrected.
        scale_remark: line that tells where ``pixel_mm`` is from, or None.
    """

    pixels: np.ndarray
    pixel_mm: tuple | None = None
    pixel_shape: tuple = (1.0, 1.0)
    flip_horizontal: bool = False
    flip_vertical: bool = False
    inverted: bool = False
    remarks: tuple = ()
    scale_remark: str | None = None

    def remarks_with(self, frame):
        """Return the remarks that hold for a film that is cut out by a frame.

        Args:
            frame: `FilmFrame`, whose own size of a pixel replaces that of the file.
        """
        used = self.scale_remark is not None and frame.pixel_mm is None
        return (*self.remarks, *((self.scale_remark,) if used else ()))


def flip_remarks(flips, source):
    """Return the line, in a tuple, that tells which flips the file asks for; or nothing.

    Args:
        flips: whether left and right, and whether top and bottom, are exchanged.
        source: what of the file says so.
    """
    words = ("left and right", "top and bottom")
    said = ", and ".join(word for word, flip in zip(words, flips, strict=True) if flip)
    return (f"{source} asks to exchange {said}",) if said else ()


def screen_to_film(picture):
    """Return a picture ``[row, column]`` as ``[horizontal, vertical]``: undo `geometry.screen`."""
    return picture[::-1].swapaxes(0, 1)


def check_size(path, width, height):
    """Refuse a film that is empty or too large, before its pixels are read.

    Args:
        path: the file, for the message.
        width: pixels across.
        height: pixels from top to bottom.

    Raises:
        UserError: no pixels, or more than `MAX_PIXELS` or `MAX_EDGE`.
    """
    if width < 1 or height < 1:
        raise UserError(f"{path}: {width} x {height} pixels; there is no film in it")
    if width * height > MAX_PIXELS or max(width, height) > MAX_EDGE:
        raise UserError(
            f"{path}: {width} x {height} pixels, more than the {MAX_PIXELS / 1e6:.0f} million "
            "that are read; shrink the film first"
        )


def check_pixel_mm(path, pixel_mm):
    """Refuse pixels of a size in mm that no film has.

    Args:
        path: the file, for the message.
        pixel_mm: width and height of a pixel, or None where the file gives none.

    Raises:
        UserError: outside of `MIN_PIXEL_MM` to `MAX_PIXEL_MM`.
    """
    if pixel_mm is not None and not all(
        math.isfinite(edge) and MIN_PIXEL_MM <= edge <= MAX_PIXEL_MM for edge in pixel_mm
    ):
        edges = " x ".join(f"{edge:g}" for edge in pixel_mm)
        raise UserError(
            f"{path}: its header gives pixels of {edges} mm; a film's are {MIN_PIXEL_MM:g} to "
            f"{MAX_PIXEL_MM:g} mm wide: correct the header"
        )
