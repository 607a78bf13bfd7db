"""Film scores: a patient's films compared with the training films.

The training films are summarised by their mean thumbnail and mean quantiles. If a film
fits the mean better upside down, mirrored, inverted, enlarged or exchanged for the
other view, that has probably happened to it.

Not detected: a mirrored AP film, since a neck is symmetric from the front; films of
another patient, unless the two films disagree; any fault that does not change the
thumbnail.
"""

import numpy as np
import scipy

from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.geometry import VIEWS

THUMBNAIL = 32
QUANTILES = 33
# Enlargements that are tried, evenly spaced in their logarithm.
ZOOM_STEP = 0.05
ZOOMS = np.exp(ZOOM_STEP * np.arange(-9, 10))
# Mistakes in taking or storing a film, as functions that undo them on a thumbnail.
MISTAKES = {
    "upside down": lambda film: film[:, ::-1],
    "mirrored": lambda film: film[::-1],
    "inverted": lambda film: 1.0 - film,
}


def correlation(a, b):
    """Return the normalised cross-correlation of two arrays.

    Args:
        a: array.
        b: array with as many elements.

    Returns:
        float in [-1, 1]; 0 if an array is constant.
    """
    a, b = (np.asarray(values, np.float64).ravel() for values in (a, b))
    a, b = a - a.mean(), b - b.mean()
    norm = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / norm) if norm > 0 else 0.0


def film_statistics(films):
    """Summarise the training films of one view.

    Args:
        films: iterable of films ``[horizontal, vertical]``.

    Returns:
        Dict of lists: ``thumbnail`` and ``quantiles``, means over the films.
    """
    normalised = [normalise_film(film) for film in films]
    return {
        "thumbnail": _rounded(np.mean([thumbnail(film) for film in normalised], axis=0)),
        "quantiles": _rounded(np.mean([_quantiles(film) for film in normalised], axis=0)),
    }


def film_scores(films, statistics):
    """Compare both films with the training films.

    Args:
        films: dict of ``ap`` and ``la``.
        statistics: dict of view to `film_statistics`.

    Returns:
        Dict of floats. For each view: ``ap_histogram``, mean difference of the sorted
        intensities; ``ap_likeness``, correlation with the mean film; ``ap_zoom``,
        logarithm of the enlargement at which the film fits best; ``ap_upright``,
        correlation with the mean film less that of the film upside down. Then
        ``la_unmirrored`` and ``unswapped``, the same for the mirror image and for
        exchanged films; and ``agreement``, correlation between the films of the
        differences of neighbouring rows.
    """
    films = {view: normalise_film(films[view]) for view in VIEWS}
    small = {view: thumbnail(film) for view, film in films.items()}
    means = {view: np.array(statistics[view]["thumbnail"]) for view in VIEWS}
    fit = {(a, b): correlation(small[a], means[b]) for a in VIEWS for b in VIEWS}
    scores = {}
    for view in VIEWS:
        usual = np.array(statistics[view]["quantiles"])
        scores[f"{view}_histogram"] = float(np.abs(_quantiles(films[view]) - usual).mean())
        scores[f"{view}_likeness"] = fit[view, view]
        scores[f"{view}_zoom"] = _best_zoom(small[view], means[view])
        scores[f"{view}_upright"] = fit[view, view] - correlation(small[view][:, ::-1], means[view])
    scores["la_unmirrored"] = fit["la", "la"] - correlation(small["la"][::-1], means["la"])
    scores["unswapped"] = fit["ap", "ap"] + fit["la", "la"] - fit["ap", "la"] - fit["la", "ap"]
    scores["agreement"] = correlation(*(np.diff(films[view].mean(axis=0)) for view in VIEWS))
    return scores


def likely_mistake(film, view, statistics):
    """Name the mistake that best explains why a film is unlike the training films.

    Args:
        film: array ``[horizontal, vertical]``.
        view: ``"ap"`` or ``"la"``.
        statistics: dict of view to `film_statistics`.

    Returns:
        ``"upside down"``, ``"mirrored"``, ``"inverted"``, or None if the film fits
        best as it is.
    """
    small, mean = thumbnail(normalise_film(film)), np.array(statistics[view]["thumbnail"])
    fits = {
        name: correlation(undo(small), mean)
        for name, undo in MISTAKES.items()
        if (view, name) != ("ap", "mirrored")
    }
    best = max(fits, key=fits.get)
    return best if fits[best] > correlation(small, mean) else None


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


def _quantiles(film):
    return np.quantile(film, np.linspace(0, 1, QUANTILES))


def _best_zoom(small, mean):
    return float(np.log(max(ZOOMS, key=lambda zoom: _fit_when_shrunk(small, mean, zoom))))


def _fit_when_shrunk(small, mean, zoom):
    """Correlate the film with the mean after undoing an enlargement, where it has pixels."""
    middle = (THUMBNAIL - 1) / 2
    there = middle + zoom * (np.arange(THUMBNAIL) - middle)
    (shown,) = np.nonzero((there > -0.5) & (there < THUMBNAIL - 0.5))
    shrunk = scipy.ndimage.map_coordinates(
        small, np.meshgrid(there[shown], there[shown], indexing="ij"), order=1, mode="nearest"
    )
    return correlation(shrunk, mean[np.ix_(shown, shown)])


def _rounded(values):
    return np.round(values, 4).tolist()
