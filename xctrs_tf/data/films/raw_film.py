"""A film as stored in its file, and size limits for untrusted files."""

import dataclasses
import os

import numpy as np

from xctrs_tf.errors import UserError

# Twice the pixels of the largest detectors; reading such a film takes some 400 MB.
MAX_PIXELS = 2**25
MAX_EDGE = 2**14 - 1
# MAX_PIXELS pixels of eight bytes.
MAX_FILE_BYTES = 8 * MAX_PIXELS


@dataclasses.dataclass(frozen=True)
class RawFilm:
    """A film as stored in its file, before crop, flips and normalisation.

    Attributes:
        pixels: float32 ``[horizontal, vertical]``, the top row last, bone bright.
        pixel_mm: width and height of a pixel at the patient, or None if unknown.
        flip_horizontal: the file says that left and right must be exchanged.
        flip_vertical: the file says that top and bottom must be exchanged.
    """

    pixels: np.ndarray
    pixel_mm: tuple | None = None
    flip_horizontal: bool = False
    flip_vertical: bool = False


def screen_to_film(picture):
    """Return a picture ``[row, column]`` as ``[horizontal, vertical]``: undo `geometry.screen`."""
    return picture[::-1].swapaxes(0, 1)


def check_file(path):
    """Refuse a path that is not a file, or a file larger than any film, before it is opened.

    Args:
        path: the file.

    Raises:
        UserError: missing, a folder, or too large.
    """
    # Unlike pathlib's methods, these accept any string that a table may hold.
    if os.path.isdir(path):
        raise UserError(f"{path}: a folder; name the film itself")
    if not os.path.isfile(path):
        raise UserError(f"{path}: no such file")
    if os.path.getsize(path) > MAX_FILE_BYTES:
        raise UserError(f"{path}: over {MAX_FILE_BYTES / 1e6:.0f} MB; no film is so large")


def check_pixels(path, width, height):
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
