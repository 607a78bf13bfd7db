"""Films as 16-bit PNG files, and as the bytes that the signature ``serving_bytes`` takes."""

import io

import numpy as np
from PIL import Image

from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.files import atomic_path
from xctrs_tf.geometry import screen

WHITE = 65535


def write_film(path, film, view):
    """Write a film as a 16-bit PNG, as a radiologist looks at it.

    `xctrs_tf.data.films.film.read_film` gives the normalised film back to 1/65535.

    Args:
        path: the PNG file.
        film: array ``[horizontal, vertical]``; it is normalised first.
        view: ``"ap"`` or ``"la"``.

    Raises:
        UserError: as `normalise_film`.
    """
    content = film_bytes(film, view)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def film_bytes(film, view):
    """Return the content of the PNG file that `write_film` writes.

    Args:
        film: array ``[horizontal, vertical]``; it is normalised first.
        view: ``"ap"`` or ``"la"``.

    Returns:
        The file's bytes.

    Raises:
        UserError: as `normalise_film`.
    """
    pixels = np.round(screen(normalise_film(film), view) * WHITE).astype(np.uint16)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()
