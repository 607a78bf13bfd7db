"""Re-projection: films of the reconstructed CT compared with the given films."""

import numpy as np

from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.data.projection.drr import hu_to_mu, parallel_projection
from xctrs_tf.geometry import VIEWS
from xctrs_tf.quality.films.film_pose import correlation


def reproject(ct_hu, spacing_mm, film_normalization="percentile"):
    """Project a reconstruction to films with parallel rays, as the networks assume.

    Args:
        ct_hu: CT numbers ``[x, y, z]``.
        spacing_mm: edge of a voxel.
        film_normalization: of `film_normalisation.FILM_NORMALIZATIONS`.

    Returns:
        Dict of ``ap`` ``[x, z]`` and ``la`` ``[y, z]``, normalised to [0, 1]; zeros
        if a film is constant.
    """
    mu = np.asarray(hu_to_mu(ct_hu))
    films = {view: np.asarray(parallel_projection(mu, spacing_mm, view)) for view in VIEWS}
    return {
        view: normalise_film(film, film_normalization) if np.ptp(film) > 0 else np.zeros_like(film)
        for view, film in films.items()
    }


def reprojection_scores(films, ct_hu, spacing_mm, film_normalization="percentile"):
    """Compare the films of a reconstruction with the films it was made from.

    Args:
        films: dict of ``ap`` and ``la``, normalised as the model's.
        ct_hu: CT numbers ``[x, y, z]``.
        spacing_mm: edge of a voxel.
        film_normalization: that of the model.

    Returns:
        ``(scores, errors)``: the correlations ``ap_reprojection`` and
        ``la_reprojection``, and by view the error map: re-projection less film, both
        in [0, 1].
    """
    again = reproject(ct_hu, spacing_mm, film_normalization)
    scores = {f"{view}_reprojection": correlation(again[view], films[view]) for view in VIEWS}
    return scores, {view: again[view] - films[view] for view in VIEWS}
