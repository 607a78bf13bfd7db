"""Normalisation and resampling of a film for the networks."""

import numpy as np
import scipy
from PIL import Image

from xctrs_tf.errors import UserError

PERCENTILES = (0.5, 99.5)
# Ways to bring the grey values of a film to [0, 1].
FILM_NORMALIZATIONS = ("percentile", "equalized")
# Of runs and exports that were made before there was a choice.
FIRST_FILM_NORMALIZATION = "percentile"


def normalise_film(film, film_normalization="percentile"):
    """Bring the grey values of a film to [0, 1].

    ``percentile`` scales the film from its 0.5 to its 99.5 percentile. ``equalized`` replaces
    each grey value by its rank in the film, scaled to [0, 1]: histogram equalisation. An
    increasing curve, such as another exposure, does not change its result. Equal values have
    the mean of their ranks.

    The percentiles are order statistics without interpolation, so that normalising
    twice changes nothing, and a film that was written and read is the same film.

    Args:
        film: array ``[horizontal, vertical]``, bone bright, in any unit.
        film_normalization: of `FILM_NORMALIZATIONS`.

    Returns:
        float32 array of the same shape in [0, 1]. Both ways, the values below the 0.5 and
        above the 99.5 percentile are not told apart.

    Raises:
        UserError: NaN or infinite values, or (almost) all of them equal; an unknown
            normalisation.
    """
    check_film_normalization(film_normalization)
    film, low, high = _checked(film)
    if film_normalization == "percentile":
        return np.clip((film - low) / (high - low), 0.0, 1.0)
    ranks = scipy.stats.rankdata(np.clip(film, low, high), method="average")
    return ((ranks - 1) / (film.size - 1)).astype(np.float32).reshape(film.shape)


def check_film_normalization(film_normalization):
    """Refuse an unknown way to normalise films.

    Args:
        film_normalization: name, of `FILM_NORMALIZATIONS`.

    Raises:
        UserError: it is none of them.
    """
    if film_normalization not in FILM_NORMALIZATIONS:
        raise UserError(
            f"--film_normalization={film_normalization}: must be one of "
            f"{', '.join(FILM_NORMALIZATIONS)}"
        )


def _checked(film):
    """Return a film as float32, and the grey values between which it is scaled."""
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
    return film, low, high


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
            "film: more than half of it is padding (PixelPaddingValue) or lies outside; give a "
            "crop box inside the exposed field"
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
