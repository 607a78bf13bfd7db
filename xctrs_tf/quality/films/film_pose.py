"""Position, size and rotation of a film's neck, found by fitting the mean training film.

Films are thumbnails of 32 x 32 pixels (`film_scores.thumbnail`): small enough to try
every position.
"""

import numpy as np
import scipy

from xctrs_tf.data.films.array_cache import array_cache
from xctrs_tf.data.films.pair.view_check import correlation

THUMBNAIL = 32
# Enlargements that are tried, evenly spaced in their logarithm.
ZOOM_STEP = 0.05
ZOOMS = np.exp(ZOOM_STEP * np.arange(-9, 10))
# Rotations that are tried, in degrees.
TURN_STEP = 2.5
TURNS = TURN_STEP * np.arange(-8, 9)
# Largest shift that is tried, in pixels of the thumbnail: a quarter of the film.
_LARGEST_SHIFT = THUMBNAIL // 4


@array_cache(maxsize=64)
def best_zoom(small, mean):
    """Return the logarithm of the enlargement at which a thumbnail fits the mean best."""
    return float(np.log(max(ZOOMS, key=lambda zoom: fit_of_pose(small, mean, zoom))))


@array_cache(maxsize=64)
def best_turn(small, mean):
    """Return the rotation of a thumbnail in degrees, compared with the mean.

    Positive is anticlockwise as a viewer shows the film.
    """
    inside = _disc()
    fits = [correlation(turned(small, -degrees)[inside], mean[inside]) for degrees in TURNS]
    return float(TURNS[np.argmax(fits)] + TURN_STEP * _peak(fits, int(np.argmax(fits))))


@array_cache(maxsize=64)
def best_shift(small, mean):
    """Return how far a thumbnail's neck lies from the mean's.

    Args:
        small: thumbnail ``(32, 32)``.
        mean: mean thumbnail of the training films.

    Returns:
        ``(horizontal, vertical)`` as shares of the film's width, up to a quarter;
        positive to higher indices.
    """
    fits = _fits_when_shifted(small, mean)
    x, z = np.unravel_index(fits.argmax(), fits.shape)
    parts = (x + _peak(fits[:, z], x), z + _peak(fits[x], z))
    return tuple(float(part - _LARGEST_SHIFT) / THUMBNAIL for part in parts)


def fit_of_pose(small, mean, zoom=1.0, shift=(0.0, 0.0)):
    """Correlate a thumbnail with the mean after undoing a pose, where it has pixels.

    Args:
        small: thumbnail ``(32, 32)``.
        mean: mean thumbnail of the training films.
        zoom: enlargement about the middle.
        shift: ``(horizontal, vertical)``, then, as shares of the width.

    Returns:
        float in [-1, 1]; 0 if less than half of the width or height can be seen.
    """
    middle = (THUMBNAIL - 1) / 2
    places = [middle + zoom * (np.arange(THUMBNAIL) - middle) + part * THUMBNAIL for part in shift]
    shown = [np.flatnonzero((each > -0.5) & (each < THUMBNAIL - 0.5)) for each in places]
    if min(map(len, shown)) < THUMBNAIL / 2:
        return 0.0
    grid = np.meshgrid(
        *(each[some] for each, some in zip(places, shown, strict=True)), indexing="ij"
    )
    moved = scipy.ndimage.map_coordinates(small, grid, order=1, mode="nearest")
    return correlation(moved, mean[np.ix_(*shown)])


def turned(film, degrees):
    """Rotate a film about its middle; its edge is repeated where it has no pixels.

    Args:
        film: array ``[horizontal, vertical]``.
        degrees: rotation, anticlockwise as a viewer shows the film.

    Returns:
        Film of the same shape.
    """
    angle = np.deg2rad(degrees)
    # From a pixel of the result to a pixel of the film: the rotation back.
    back = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middle = (np.array(film.shape) - 1) / 2
    return scipy.ndimage.affine_transform(
        film, back, middle - back @ middle, order=1, mode="nearest"
    )


def enlarged(film, factor):
    """Enlarge or shrink the picture of a film about its middle.

    Args:
        film: square film ``[horizontal, vertical]``.
        factor: enlargement; below 1 the edge is repeated around the smaller picture.

    Returns:
        Film of the same shape.
    """
    middle = (len(film) - 1) / 2
    return scipy.ndimage.affine_transform(
        film, [1 / factor] * 2, middle * (1 - 1 / factor), order=1, mode="nearest"
    )


def shifted(film, shift):
    """Move the picture of a film; its edge is repeated where it has no pixels.

    Args:
        film: array ``[horizontal, vertical]``.
        shift: ``(horizontal, vertical)`` in pixels, positive to higher indices.

    Returns:
        Film of the same shape.
    """
    return scipy.ndimage.shift(film, shift, order=1, mode="nearest")


def _peak(fits, index):
    """Return where the parabola through a maximum and its neighbours peaks, in steps."""
    if not 0 < index < len(fits) - 1:
        return 0.0
    before, here, after = fits[index - 1 : index + 2]
    bend = before - 2 * here + after
    return float(0.5 * (before - after) / bend) if bend < 0 else 0.0


def _disc():
    """Return the pixels of a thumbnail that a rotation does not move out of it."""
    steps = np.arange(THUMBNAIL) - (THUMBNAIL - 1) / 2
    return steps[:, np.newaxis] ** 2 + steps**2 <= (THUMBNAIL / 2) ** 2


def _fits_when_shifted(small, mean):
    """Correlate the film with the mean after undoing every shift, where both have pixels.

    Returns:
        Array ``[horizontal, vertical]`` of shifts from `-_LARGEST_SHIFT` to `_LARGEST_SHIFT`.
    """
    # The mean of both over the overlap is subtracted in the sums; without their own means the
    # sums lose no digits.
    small, mean = small - small.mean(), mean - mean.mean()
    one = np.ones_like(small)
    count, sum_a, sum_b = (_overlap_sums(*pair) for pair in ((one, one), (small, one), (one, mean)))
    covariance = _overlap_sums(small, mean) - sum_a * sum_b / count
    variances = [
        _overlap_sums(small**2, one) - sum_a**2 / count,
        _overlap_sums(one, mean**2) - sum_b**2 / count,
    ]
    norm = np.sqrt(np.prod(np.maximum(variances, 0.0), axis=0))
    # A constant overlap has no correlation; its variance is 0, but for rounding.
    least = 1e-10 * np.sqrt((small**2).sum() * (mean**2).sum())
    return np.where(norm > least, covariance / np.where(norm > least, norm, 1.0), 0.0)


def _overlap_sums(a, b):
    """Sum ``a * b`` over the overlap for every shift of ``a``."""
    widened = np.pad(a, _LARGEST_SHIFT)
    windows = np.lib.stride_tricks.sliding_window_view(widened, b.shape)
    return np.tensordot(windows, b, axes=2)
