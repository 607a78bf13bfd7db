"""Arrays as text that a page can hold: PNG and compressed bytes in base64."""

import base64
import io
import zlib

import numpy as np
from PIL import Image

from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.geometry import screen

# Blue where the re-projection is darker than the film, red where it is brighter.
_COOL, _WARM = np.array([33, 102, 172]), np.array([178, 24, 43])
# The difference of two films in [0, 1] that takes the full colour.
FULL_ERROR = 0.5


def packed(array):
    """Bytes of an array, in C order and little-endian, deflated and in base64."""
    data = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    return base64.b64encode(zlib.compress(data.tobytes(), 9)).decode("ascii")


def film_picture(film, view):
    """A film, normalised and upright, as the URI of a PNG."""
    return _png(np.round(255 * screen(normalise_film(film), view)).astype(np.uint8))


def error_picture(error, view):
    """An error map, white where it is zero, as the URI of a PNG."""
    error = screen(np.clip(np.asarray(error) / FULL_ERROR, -1, 1), view)[..., np.newaxis]
    color = 255 + np.abs(error) * (np.where(error > 0, _WARM, _COOL) - 255)
    return _png(np.round(color).astype(np.uint8))


def windowed(ct_hu, level_hu, width_hu):
    """CT numbers as grey values of a display window, uint8."""
    low = level_hu - width_hu / 2
    share = (np.asarray(ct_hu, np.float32) - low) / width_hu
    return np.round(255 * np.clip(share, 0, 1)).astype(np.uint8)


def _png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
