"""Mean AP and LA film of necks, and how the grey values of their films are distributed.

The file is written by

    python -m experiments.neck_finder.mean_films --data=A --data=B --fold=0 --output=FILE
"""

import dataclasses
import functools
import json
import pathlib

import numpy as np

from xctrs_tf.data.films.film_normalisation import normalise_film, resize_film
from xctrs_tf.errors import UserError
from xctrs_tf.files import read_json, write_text
from xctrs_tf.geometry import VIEWS, screen

MEANS = pathlib.Path(__file__).parent / "mean_films.json"
# Rows to which films are resampled where they are compared row by row.
ROWS = 64
# Fields a side of the mean films, and the number of quantiles of the grey values.
_FIELDS, _QUANTILES = 8, 17
_DIGITS = 4


@dataclasses.dataclass(frozen=True)
class MeanFilm:
    """Mean of the films of one view.

    Attributes:
        fields: mean of `film_fields`, ``(8, 8)``, ``[horizontal, vertical]``.
        quantiles: of the grey values in [0, 1], in equal steps from the darkest to the brightest.
    """

    fields: np.ndarray
    quantiles: np.ndarray


def film_fields(film):
    """Return the mean brightness of the fields of a film, after its grey values are equalized.

    Args:
        film: film ``[horizontal, vertical]``.

    Returns:
        Array ``(8, 8)``.
    """
    return resize_film(normalise_film(film, "equalized"), _FIELDS)


@functools.cache
def mean_films():
    """Return the `MeanFilm` of each view that comes with the package."""
    record = read_json(MEANS)
    return {
        view: MeanFilm(
            # Rows are stored as a viewer shows them.
            np.array(record[view]["fields"])[::-1].T,
            np.array(record[view]["quantiles"]),
        )
        for view in VIEWS
    }


def measure_means(folders):
    """Measure the means of prepared films; every folder counts alike.

    Args:
        folders: list of iterables of `Case`.

    Returns:
        Dict of `MeanFilm` by view.

    Raises:
        UserError: a folder has no patients.
    """
    means = []
    for cases in folders:
        values = [{view: _measured(getattr(case, view)) for view in VIEWS} for case in cases]
        if not values:
            raise UserError("--data: no training or validation patients")
        means.append({view: _mean([each[view] for each in values]) for view in VIEWS})
    return {view: _mean([each[view] for each in means]) for view in VIEWS}


def write_means(means, origin, path):
    """Write means as `mean_films` reads them.

    Args:
        means: dict of `MeanFilm` by view.
        origin: JSON values that tell what they were measured on.
        path: the file.
    """
    record = {"origin": origin}
    for view, mean in means.items():
        arrays = {"fields": screen(mean.fields, view), "quantiles": mean.quantiles}
        record[view] = {
            name: np.round(array.astype(np.float64), _DIGITS).tolist()
            for name, array in arrays.items()
        }
    # A line each.
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in record.items()]
    write_text(pathlib.Path(path), "{\n" + ",\n".join(lines) + "\n}\n")


def _measured(film):
    grey = normalise_film(resize_film(film, ROWS))
    return MeanFilm(film_fields(film), np.quantile(grey, np.linspace(0, 1, _QUANTILES)))


def _mean(films):
    return MeanFilm(
        np.mean([each.fields for each in films], axis=0),
        np.mean([each.quantiles for each in films], axis=0),
    )
