"""Distance between two groups of films: grey values, gradients, spectra, and a classifier."""

import dataclasses

import numpy as np
import scipy

# The classifier that sees every group of features.
ALL = "all"
# Bins of a film's features.
_GREY_BINS = 16
_GRADIENT_BINS = 12
_SPECTRUM_BINS = 10
# Largest gradient, a pixel, that the features tell apart.
_STEEPEST = 0.5
# Weight of the squared coefficients of the classifier, beside the mean loss of a film.
_RIDGE = 0.03
# Of the cross-validation.
_FOLDS = 6


@dataclasses.dataclass(frozen=True)
class FilmDistance:
    """Distances between two groups of films.

    Attributes:
        grey: Wasserstein-1 distance of the grey values, whose range is 1.
        gradient: the same of the lengths of the gradients, a pixel.
        spectrum: root mean square difference of the mean log10 power spectra, over frequencies.
        auc: area under the curve of a classifier that tells the groups apart: 0.5 if it
            cannot, 1 if it always does. A dict, for classifiers that see one group of
            `film_features` alone, and for one that sees ``all``.
        auc_interval: 95 % interval of the last one, by bootstrap over the films.
    """

    grey: float
    gradient: float
    spectrum: float
    auc: dict
    auc_interval: tuple


def film_distance(real, computed, scored=None, seed=0):
    """Compare real with computed films.

    The classifier is a logistic regression on `film_features`. It never saw the film whose
    score it gives: cross-validation by film.

    Args:
        real: list of lists: for each real film its crops ``[horizontal, vertical]``, in
            [0, 1] and of one size.
        computed: the same of computed films.
        scored: which real films are compared, as indices; the classifier learns from the
            others too. All by default.
        seed: of the folds and the bootstrap.

    Returns:
        `FilmDistance`.
    """
    scored = list(range(len(real))) if scored is None else list(scored)
    groups = [[real[index] for index in scored], computed]
    pixels = [
        np.concatenate([np.ravel(crop) for film in group for crop in film]) for group in groups
    ]
    slopes = [
        np.concatenate([_gradients(crop).ravel() for film in group for crop in film])
        for group in groups
    ]
    spectra = [
        np.mean([log_spectrum(crop) for film in group for crop in film], axis=0) for group in groups
    ]
    features = [
        [[film_features(crop) for crop in film] for film in group] for group in (real, computed)
    ]
    scores = {}
    for name in (*features[0][0][0], ALL):
        positive, negative = _scores(*_vectors(features, name), seed)
        scores[name] = positive[scored], negative
    return FilmDistance(
        grey=float(scipy.stats.wasserstein_distance(*pixels)),
        gradient=float(scipy.stats.wasserstein_distance(*slopes)),
        spectrum=float(np.sqrt(np.mean((spectra[0] - spectra[1]) ** 2))),
        auc={name: auc(*each) for name, each in scores.items()},
        auc_interval=_bootstrap(*scores[ALL], seed),
    )


def film_features(film):
    """Return what a classifier sees of a film.

    Args:
        film: square ``[horizontal, vertical]`` in [0, 1].

    Returns:
        Dict of vectors: the histograms of grey values (``grey``), of gradients (``gradient``)
        and of local standard deviations (``contrast``) as logarithms of shares, and the
        log10 power spectrum (``spectrum``).
    """
    local = film - scipy.ndimage.gaussian_filter(film, 3, mode="nearest")
    deviation = np.sqrt(scipy.ndimage.gaussian_filter(local**2, 3, mode="nearest"))
    return {
        "grey": _log_shares(film, 1.0, _GREY_BINS),
        "gradient": _log_shares(_gradients(film), _STEEPEST, _GRADIENT_BINS),
        "contrast": _log_shares(deviation, _STEEPEST, _GRADIENT_BINS),
        "spectrum": log_spectrum(film),
    }


def log_spectrum(film):
    """Return the log10 power of a film in rings of equal width around frequency 0.

    Args:
        film: square ``[horizontal, vertical]``.

    Returns:
        Vector from frequency 0 to below 0.5 cycles a pixel.
    """
    size = len(film)
    window = np.hanning(size)
    power = np.abs(np.fft.fft2((film - film.mean()) * window[:, None] * window)) ** 2
    frequency = np.fft.fftfreq(size)
    radius = np.hypot(frequency[:, None], frequency)
    ring = np.minimum(radius / 0.5 * _SPECTRUM_BINS, _SPECTRUM_BINS).astype(int)
    total = np.bincount(ring.ravel(), power.ravel(), _SPECTRUM_BINS + 1)
    count = np.bincount(ring.ravel(), minlength=_SPECTRUM_BINS + 1)
    return np.log10(total[:-1] / count[:-1] + 1e-6)


def auc(positive, negative):
    """Return the share of pairs in which the positive has the higher score; ties count half.

    Args:
        positive: scores.
        negative: scores.

    Returns:
        Number in [0, 1].
    """
    difference = np.subtract.outer(np.asarray(positive), np.asarray(negative))
    return float(np.mean((difference > 0) + 0.5 * (difference == 0)))


def _gradients(film):
    return np.hypot(*np.gradient(np.asarray(film, np.float64)))


def _log_shares(values, limit, bins):
    counts, _ = np.histogram(np.minimum(values, limit), bins, (0.0, limit))
    return np.log10(counts / values.size + 1e-3)


def _vectors(features, name):
    """Return one group of features, or all, as arrays ``(crop, feature)`` of each film."""

    def vector(crop):
        return np.concatenate(list(crop.values())) if name == ALL else crop[name]

    return [[np.array([vector(crop) for crop in film]) for film in group] for group in features]


def _scores(real, computed, seed):
    """Return the mean score of each film's crops, from classifiers that did not see the film.

    Both are lists of arrays ``(crop, feature)``.
    """
    features = (real, computed)
    rng = np.random.default_rng(seed)
    fold_of = [rng.permutation(np.arange(len(group)) % _FOLDS) for group in features]
    scores = [np.zeros(len(group)) for group in features]
    for fold in range(_FOLDS):
        seen = [
            np.concatenate([film for film, own in zip(group, of, strict=True) if own != fold])
            for group, of in zip(features, fold_of, strict=True)
        ]
        classifier = _logistic_regression(*seen)
        for group, of, out in zip(features, fold_of, scores, strict=True):
            for index in np.flatnonzero(of == fold):
                out[index] = classifier(group[index]).mean()
    return scores


def _logistic_regression(positive, negative):
    """Fit a logistic regression in which both groups weigh the same; return its score."""
    inputs = np.concatenate([positive, negative])
    middle, width = inputs.mean(0), inputs.std(0) + 1e-6
    inputs = (inputs - middle) / width
    sign = np.repeat([1.0, -1.0], [len(positive), len(negative)])
    weight = np.repeat([0.5 / len(positive), 0.5 / len(negative)], [len(positive), len(negative)])

    def loss(parameters):
        margin = sign * (inputs @ parameters[:-1] + parameters[-1])
        slope = -weight * sign * scipy.special.expit(-margin)
        gradient = np.append(slope @ inputs + 2 * _RIDGE * parameters[:-1], slope.sum())
        value = weight @ np.logaddexp(0, -margin) + _RIDGE * np.sum(parameters[:-1] ** 2)
        return value, gradient

    start = np.zeros(inputs.shape[1] + 1)
    found = scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B").x
    return lambda features: (features - middle) / width @ found[:-1] + found[-1]


def _bootstrap(positive, negative, seed, draws=2000):
    rng = np.random.default_rng(seed)
    values = [
        auc(rng.choice(positive, len(positive)), rng.choice(negative, len(negative)))
        for _ in range(draws)
    ]
    return tuple(float(value) for value in np.quantile(values, (0.025, 0.975)))
