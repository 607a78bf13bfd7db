"""Normalisation and resampling of a film for the networks."""

import numpy as np
from PIL import Image

from xctrs_tf.errors import UserError

PERCENTILES = (0.5, 99.5)


def normalise_film(film):
    """Scale a film from its 0.5 to its 99.5 percentile to [0, 1].

    The percentiles are order statistics without interpolation, so that normalising
    twice changes nothing, and a film that was written and read is the same film.

    Args:
        film: array ``[horizontal, vertical]``, bone bright, in any unit.

    Returns:
        float32 array of the same shape, clipped to [0, 1].

    Raises:
        UserError: NaN or infinite values, or (almost) all of them equal.
    """
    film = np.asarray(film, np.float32)
    if not np.isfinite(film).all():
        raise UserError("film: holds NaN or infinite values; export it again")
    low = np.percentile(film, PERCENTILES[0], method="lower")
    high = np.percentile(film, PERCENTILES[1], method="higher")
    if not high > low:
        raise UserError("film: constant, nothing is to be seen on it; export it again")
    return np.clip((film - low) / (high - low), 0.0, 1.0)


def resize_film(film, size):
    """Resample a film to the network's size.

    Pillow widens its linear kernel when it shrinks a picture, so nothing aliases.

    Args:
        film: array ``[horizontal, vertical]``.
        size: pixels a side.

    Returns:
        float32 ``(size, size)``.
    """
    picture = Image.fromarray(np.ascontiguousarray(film, np.float32))
    return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))
