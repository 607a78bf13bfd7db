"""How large a film may be: files from the world must not fill the memory."""

import os

from xctrs_tf.errors import UserError

# Twice the largest detectors of today; some 400 MB while such a film is read.
MAX_PIXELS = 2**25
MAX_EDGE = 2**14 - 1
# That many pixels of eight bytes.
MAX_FILE_BYTES = 8 * MAX_PIXELS
# A byte of run-length code may unpack to 64; half a gigabyte is bearable.
MAX_RLE_BYTES = 2**23


def check_file(path):
    """Refuse what is no file, or one that is larger than any film, before it is opened.

    Raises:
        UserError: it is.
    """
    # Unlike pathlib's, these bear every name that a table may hold.
    if os.path.isdir(path):
        raise UserError(f"{path}: a folder; name the film itself")
    if not os.path.isfile(path):
        raise UserError(f"{path}: no such file")
    if os.path.getsize(path) > MAX_FILE_BYTES:
        raise UserError(f"{path}: over {MAX_FILE_BYTES / 1e6:.0f} MB; no film is so large")


def check_pixels(path, width, height):
    """Refuse a film that is empty or too large, before its pixels are read.

    Raises:
        UserError: it is.
    """
    if width < 1 or height < 1:
        raise UserError(f"{path}: {width} x {height} pixels; there is no film in it")
    if width * height > MAX_PIXELS or max(width, height) > MAX_EDGE:
        raise UserError(
            f"{path}: {width} x {height} pixels, more than the {MAX_PIXELS / 1e6:.0f} million "
            "that are read; shrink the film first"
        )
