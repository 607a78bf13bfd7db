"""Match of two films in height: how much higher and larger one shows the neck."""

import dataclasses
import math

import numpy as np
import scipy

from xctrs_tf.data.films.array_cache import array_cache
from xctrs_tf.data.films.film_normalisation import normalise_film, resize_film
from xctrs_tf.data.films.pair.mean_films import ROWS, mean_films

# Standard deviation in rows of the smoothing of profiles.
_SMOOTHING = 0.7
# Searched shifts, as a share of the film's edge, and scales.
LARGEST_SHIFT = 0.25
LARGEST_SCALE = 1.35
# Least share of rows that both films show.
_OVERLAP = 0.6
# Evidence of a pair: score of the match, less this much at each of these shifts and scales.
_MOVING_COST, _COSTLY_SHIFT, _COSTLY_SCALE = 0.15, 0.15, 1.25
# Steps of the search, coarse to fine: rows, logarithm of the scale, and how many of the best
# places are searched more finely.
_STEPS = ((1.0, 0.04, 3), (0.25, 0.01, 1), (0.05, 0.0025, 1))
# The grey values of a film are line integrals under an unknown rising curve. These powers of
# them are tried, and of the film whose grey values are distributed as in a mean neck.
_POWERS = (0.5, 0.71, 1.0, 1.41, 2.0)
_MATCHED_POWERS = (0.71, 1.0, 1.41)
_CURVES = len(_POWERS) + len(_MATCHED_POWERS)
# Rows and columns within which contrast is made equal, and the least contrast.
_LOCAL, _LEAST_CONTRAST = 4, 0.01
# Columns whose grey values differ at most by this hold nothing, and how many must be left.
_PLAIN, _LEAST_COLUMNS = 0.05, 16
# Weights of three comparisons, whose sum is 1: brightness under the best curve, brightness where
# contrast is locally equal, falling edges. Chosen on training and validation patients, so that
# films with enhanced local contrast and those of two patients are told apart.
_WEIGHTS = np.array((0.3, 0.48, 0.22))
# What is above counts as equal, for each comparison.
_LARGEST_CORRELATIONS = np.array((0.9999, 0.99, 0.99))
LARGEST_SCORE = float(_WEIGHTS @ np.arctanh(_LARGEST_CORRELATIONS))


@dataclasses.dataclass(frozen=True)
class HeightMatch:
    """Heights at which two films show the same slices of a patient.

    What the AP film shows at the height ``u``, the LA film shows at ``scale * u + shift``.
    Heights are measured from the film's middle, up, in edges of the film.

    Attributes:
        shift: by how much the LA film shows the neck higher, in edges.
        scale: by how much the LA film shows the neck larger.
        correlation: of the row-to-row steps of both films' profiles, there: mean of the
            comparisons by Fisher's transform.
        overlap: share of the AP film's rows that both films show, there.
    """

    shift: float
    scale: float
    correlation: float
    overlap: float

    @property
    def score(self):
        """Fisher's transform of the correlation, with less weight for a small overlap."""
        return float(_score(self.correlation, self.overlap))

    @property
    def evidence(self):
        """Weight of the match as a sign of one patient: its score, less what moving costs.

        Boxes that are set by hand differ a little more often than a lot, and films of two
        patients need to be moved to agree.
        """
        return self.score - _moving_cost(self.shift, self.scale)

    def followed_by(self, other):
        """Return the match of the first films; ``other`` was found after this one was aligned."""
        return dataclasses.replace(
            other, shift=self.scale * other.shift + self.shift, scale=self.scale * other.scale
        )


def match_heights(ap, la, moved=True):
    """Find the shift and the scale at which two films agree best in height.

    Parallel rays of both views sum the same slice into the same row, so the mean
    brightness changes alike from row to row, as far as each film shows the patient from
    side to side.

    Args:
        ap: film ``[horizontal, vertical]``, of any size, bone bright.
        la: film; it may have another size.
        moved: search; else compare the films as they are.

    Returns:
        `HeightMatch`.
    """
    return match_profiles(height_profiles(ap, "ap"), height_profiles(la, "la"), moved)


def brightness_correlation(ap, la):
    """Correlate the row-to-row steps of two films' mean brightness, at equal heights.

    It falls off faster than `HeightMatch.correlation` where the heights differ, and tells
    nothing of films with enhanced local contrast.

    Args:
        ap: film ``[horizontal, vertical]``, of any size, bone bright.
        la: film; it may have another size.

    Returns:
        float in [-1, 1], under the curves of the grey values at which it is largest.
    """
    profiles = (height_profiles(film, view)[:_CURVES] for film, view in ((ap, "ap"), (la, "la")))
    first, second = (
        _unit(np.diff(each)[:, np.newaxis], np.ones((1, ROWS - 1)))[:, 0] for each in profiles
    )
    return float((first @ second.T).max())


@array_cache(maxsize=512)
def height_profiles(film, view):
    """Return means of each row that tell at which height it lies.

    Local contrast enhancement makes the mean brightness of distant rows alike. What is left
    of it from row to row, and the edges of bones, still agree between the views.

    Args:
        film: film ``[horizontal, vertical]``.
        view: ``"ap"`` or ``"la"``.

    Returns:
        Read-only array ``(profiles, ROWS)``, from inferior to superior: the mean brightness
        under several curves of the grey values, then where contrast is locally equal, then the
        mean fall of that from row to row.
    """
    film = _patient(normalise_film(resize_film(film, ROWS)))
    ranks = normalise_film(film, "equalized")
    quantiles = mean_films()[view].quantiles
    matched = np.interp(ranks, np.linspace(0, 1, len(quantiles)), quantiles)
    images = [film**power for power in _POWERS] + [matched**power for power in _MATCHED_POWERS]
    local = _equal_contrast(film)
    falls = np.minimum(np.diff(local, axis=1, append=local[:, -1:]), 0)
    profiles = np.stack([image.mean(axis=0, dtype=np.float64) for image in (*images, local, falls)])
    return scipy.ndimage.gaussian_filter1d(profiles, _SMOOTHING, axis=1, mode="nearest")


def _patient(film):
    """Return a film without the columns beside the patient, which are alike in all rows."""
    shown = np.ptp(film, axis=1) > _PLAIN
    return film if shown.sum() < _LEAST_COLUMNS else normalise_film(resize_film(film[shown], ROWS))


def _equal_contrast(film):
    """Return a film less its local mean, over its local standard deviation."""
    above = film - scipy.ndimage.gaussian_filter(film, _LOCAL)
    variance = scipy.ndimage.gaussian_filter(above**2, _LOCAL)
    return above / np.sqrt(variance + _LEAST_CONTRAST**2)


def match_profiles(ap, la, moved=True):
    """Find the shift and the scale at which the `height_profiles` of two films agree best.

    Args:
        ap: array of `height_profiles`.
        la: array of the other film.
        moved: as of `match_heights`.

    Returns:
        `HeightMatch`.
    """
    if not moved:
        return _best(ap, la, np.zeros(1), 1.0)
    candidates = [HeightMatch(0.0, 1.0, -1.0, 1.0)]
    furthest, largest = LARGEST_SHIFT * ROWS, np.log(LARGEST_SCALE)
    for step, scale_step, kept in _STEPS:
        found = []
        for start in candidates:
            shifts = start.shift * ROWS + _grid(furthest, step)
            for log_scale in np.log(start.scale) + _grid(largest, scale_step):
                found.append(_best(ap, la, shifts, float(np.exp(log_scale))))
        candidates = sorted(found, key=lambda match: match.evidence, reverse=True)[:kept]
        # The next search goes over one step to either side.
        furthest, largest = step, scale_step
    return candidates[0]


def _grid(furthest, step):
    count = round(furthest / step)
    return step * np.arange(-count, count + 1)


def _best(ap, la, shifts, scale):
    """Return the best `HeightMatch` of a scale and of shifts in rows."""
    middle = (ROWS - 1) / 2
    places = (np.arange(ROWS) - middle) * scale + middle + shifts[:, np.newaxis]
    # Steps between neighbouring rows that both films show.
    shown = (places >= 0) & (places <= ROWS - 1)
    both = shown[:, 1:] & shown[:, :-1]
    below = np.clip(places.astype(int), 0, ROWS - 2)
    moved = la[:, below] + (places - below) * (la[:, below + 1] - la[:, below])
    first = _unit(np.diff(ap)[:, np.newaxis] * both, both)
    second = _unit(np.diff(moved) * both, both)
    every_curve = first[:_CURVES].swapaxes(0, 1) @ second[:_CURVES].transpose(1, 2, 0)
    curves = every_curve.max(axis=(1, 2))
    others = np.einsum("psr,psr->sp", first[_CURVES:], second[_CURVES:])
    found = np.column_stack([curves, others])
    limited = np.clip(found, -_LARGEST_CORRELATIONS, _LARGEST_CORRELATIONS)
    correlations = np.tanh(np.arctanh(limited) @ _WEIGHTS)
    overlaps = shown.sum(axis=1) / ROWS
    evidence = _score(correlations, overlaps) - _moving_cost(shifts / ROWS, scale)
    evidence[overlaps < _OVERLAP] = -np.inf
    best = int(np.argmax(evidence))
    if overlaps[best] < _OVERLAP:
        return HeightMatch(0.0, scale, -1.0, 1.0)
    return HeightMatch(
        float(shifts[best]) / ROWS, scale, float(correlations[best]), float(overlaps[best])
    )


def _score(correlation, overlap):
    return np.arctanh(correlation) * np.sqrt(overlap)


def _moving_cost(shift, scale):
    moved = abs(shift) / _COSTLY_SHIFT
    scaled = abs(math.log(scale)) / math.log(_COSTLY_SCALE)
    return _MOVING_COST * (moved + scaled)


def _unit(steps, shown):
    """Return the shown steps without their mean and of length 1; constant ones become 0."""
    mean = steps.sum(axis=-1, keepdims=True) / np.maximum(shown.sum(axis=-1), 1)[:, np.newaxis]
    centred = (steps - mean) * shown
    return centred / np.maximum(np.linalg.norm(centred, axis=-1, keepdims=True), 1e-12)
