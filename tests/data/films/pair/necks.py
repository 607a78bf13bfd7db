"""Films of phantoms: an AP and a lateral film along parallel rays."""

import functools

import numpy as np

from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.data.phantom.phantom import make_phantom


@functools.cache
def neck_films(seed):
    """Return the AP and the LA film of a phantom, 64 pixels of 2.5 mm a side, in [0, 1]."""
    density = np.maximum(make_phantom(seed, 64, 2.5).ct + 1000.0, 0)
    films = normalise_film(density.sum(1)), normalise_film(density.sum(0))
    for film in films:
        film.flags.writeable = False
    return films
