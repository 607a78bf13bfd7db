"""Film scores: a patient's films compared with the training films.

The training films are summarised by their mean thumbnail, mean quantiles, and the mean
strength of their coarse and fine detail. All films are normalised as the model's are
(``film_normalization``): films with equal ranks have no histogram to compare.

Not detected: a mirrored AP film, since a neck is symmetric from the front; films of
another patient, unless the two films disagree.
"""

import numpy as np
import scipy

from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.data.films.pair.height_match import brightness_correlation, match_heights
from xctrs_tf.geometry import VIEWS
from xctrs_tf.quality.checks import AGREEMENTS, QUALITY_FORMAT
from xctrs_tf.quality.films.film_pose import (
    THUMBNAIL,
    best_shift,
    best_turn,
    best_zoom,
    correlation,
)

QUANTILES = 33
# Detail of a film: contrast is coarser than a pixel and finer than this share of the
# film, noise is finer.
CONTRAST_SHARE = 1 / 16
DETAILS = ("contrast", "noise")
# Standard deviation below which a film, in [0, 1], has no detail.
_NO_DETAIL = 1e-4


def film_statistics(films, film_normalization="percentile"):
    """Summarise the training films of one view.

    Args:
        films: iterable of films ``[horizontal, vertical]``.
        film_normalization: of `film_normalisation.FILM_NORMALIZATIONS`.

    Returns:
        Dict of ``thumbnail``, ``quantiles``, ``contrast`` and ``noise``, means over the
        films.
    """
    normalised = [normalise_film(film, film_normalization) for film in films]
    details = [detail_levels(film) for film in normalised]
    return {
        "thumbnail": _rounded(np.mean([thumbnail(film) for film in normalised], axis=0)),
        "quantiles": _rounded(np.mean([_quantiles(film) for film in normalised], axis=0)),
        **{name: _rounded(np.mean([each[name] for each in details])) for name in DETAILS},
    }


def film_scores(films, statistics, film_normalization="percentile", made_as=QUALITY_FORMAT):
    """Compare both films with the training films.

    Args:
        films: dict of ``ap`` and ``la``, normalised as the statistics' films.
        statistics: dict of view to `film_statistics`.
        film_normalization: that of the statistics.
        made_as: format of the calibration, of `checks.AGREEMENTS`.

    Returns:
        Dict of floats. For each view: ``ap_histogram``, mean difference of the sorted
        intensities (not of equalized films); ``ap_contrast`` and ``ap_noise``, logarithm
        of the strength of coarse and fine detail over the mean one; ``ap_flat``, share
        of the most frequent grey value; ``ap_likeness``, correlation with the mean film;
        ``ap_zoom``, logarithm of the enlargement at which the film fits best;
        ``ap_shift``, distance of its neck from the usual place, as a share of the film's
        width; ``ap_turn``, its rotation in degrees; ``ap_upright``, correlation with the
        mean film less that of the film upside down. Then ``la_unmirrored`` and
        ``unswapped``, the same for the mirror image and for exchanged films; and
        ``height_match``, the correlation of the films from row to row as they lie, by
        brightness, locally equal contrast and edges (`height_match.HeightMatch`).
        Calibrations of format 2 have ``height_agreement`` in its place, by brightness alone,
        those of format 1 ``agreement``, without curves of the grey values, and no contrast
        and noise.
    """
    small = {view: thumbnail(film) for view, film in films.items()}
    means = {view: mean_film(statistics, view) for view in VIEWS}
    fit = {(a, b): correlation(small[a], means[b]) for a in VIEWS for b in VIEWS}
    scores = {}
    for view in VIEWS:
        if film_normalization == "percentile":
            usual = np.array(statistics[view]["quantiles"])
            scores[f"{view}_histogram"] = float(np.abs(_quantiles(films[view]) - usual).mean())
        scores |= _details(films[view], view, statistics[view])
        scores[f"{view}_flat"] = flat_share(films[view])
        scores[f"{view}_likeness"] = fit[view, view]
        scores[f"{view}_zoom"] = best_zoom(small[view], means[view])
        scores[f"{view}_shift"] = float(np.hypot(*best_shift(small[view], means[view])))
        scores[f"{view}_turn"] = best_turn(small[view], means[view])
        scores[f"{view}_upright"] = fit[view, view] - correlation(small[view][:, ::-1], means[view])
    scores["la_unmirrored"] = fit["la", "la"] - correlation(small["la"][::-1], means["la"])
    scores["unswapped"] = fit["ap", "ap"] + fit["la", "la"] - fit["ap", "la"] - fit["la", "ap"]
    agreement = AGREEMENTS[made_as]
    scores[agreement] = _AGREEMENT[agreement](films["ap"], films["la"])
    return scores


_AGREEMENT = {
    "agreement": lambda ap, la: correlation(*(np.diff(film.mean(axis=0)) for film in (ap, la))),
    "height_agreement": brightness_correlation,
    "height_match": lambda ap, la: match_heights(ap, la, moved=False).correlation,
}


def thumbnail(film):
    """Reduce a film to the means of its blocks.

    Args:
        film: square film whose side is a multiple of 32.

    Returns:
        float64 ``(32, 32)``.
    """
    block = film.shape[0] // THUMBNAIL
    blocks = np.asarray(film, np.float64).reshape(THUMBNAIL, block, THUMBNAIL, block)
    return blocks.mean(axis=(1, 3))


def mean_film(statistics, view):
    """Return the mean thumbnail of a view's training films."""
    return np.array(statistics[view]["thumbnail"])


def detail_levels(film):
    """Measure the strength of a film's coarse and fine detail.

    Args:
        film: normalised film.

    Returns:
        Dict of ``contrast`` and ``noise``, logarithms of standard deviations.
    """
    fine, coarse = (
        scipy.ndimage.gaussian_filter(np.asarray(film, np.float64), sigma, mode="nearest")
        for sigma in (1.0, CONTRAST_SHARE * len(film))
    )
    deviations = {"contrast": (fine - coarse).std(), "noise": (film - fine).std()}
    return {name: float(np.log(max(each, _NO_DETAIL))) for name, each in deviations.items()}


def flat_share(film):
    """Return the share of a film's pixels that have its most frequent grey value."""
    return float(np.unique(film, return_counts=True)[1].max() / film.size)


def _details(film, view, statistics):
    levels = detail_levels(film)
    # Calibrations of format 1 do not know them.
    return {
        f"{view}_{name}": levels[name] - statistics[name] for name in DETAILS if name in statistics
    }


def _quantiles(film):
    return np.quantile(film, np.linspace(0, 1, QUANTILES))


def _rounded(values):
    return np.round(values, 4).tolist()
