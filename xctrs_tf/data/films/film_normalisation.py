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
    with np.errstate(over="ignore"):
        is_finite = np.isfinite(high - low)
    if not is_finite:
        raise UserError(f"film: its values go from {low:g} to {high:g}; export it again")
    if not high > low:
        raise UserError("film: constant, nothing is to be seen on it; export it again")
    return np.clip((film - low) / (high - low), 0.0, 1.0)


def fill_padding(film):
    """Fill pixels that are no part of a film with its dark end.

    A collimator's border is neither bone nor air. It gets the value that `normalise_film`
    maps to 0, so that it does not change how the film's own pixels are scaled.

    Args:
        film: array ``[horizontal, vertical]``, bone bright; masked where there is no film.

    Returns:
        Array of the same shape without a mask.

    Raises:
        UserError: more than half of it is masked.
    """
    if not np.ma.is_masked(film):
        return np.ma.getdata(film)
    own = film.compressed()
    if 2 * own.size < film.size:
        raise UserError(
            "film: more than half of it is padding (PixelPaddingValue); give a crop box inside "
            "the exposed field"
        )
    return film.filled(np.percentile(own, PERCENTILES[0], method="lower"))


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
