"""How large a film may be: files from the world must not fill the memory."""

from xctrs_tf.errors import UserError

# Twice the largest detectors of today; some 400 MB while such a film is read.
MAX_PIXELS = 2**25
MAX_EDGE = 2**14 - 1
# That many pixels of eight bytes.
MAX_FILE_BYTES = 8 * MAX_PIXELS


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
