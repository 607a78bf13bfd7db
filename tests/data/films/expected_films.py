"""Check of a film that was read."""

import numpy as np

from xctrs_tf.data.films.film import read_film
from xctrs_tf.data.films.film_normalisation import normalise_film


def as_film(picture):
    """Return the film `[x, z]` of a picture `[row, column]`, normalised."""
    return normalise_film(np.asarray(picture, np.float32)[::-1].T)


def check_film(path, picture, view="ap", atol=1e-6):
    """Compare the film in a file, of 12 x 12 pixels, with a picture `[row, column]`."""
    np.testing.assert_allclose(read_film(path, view, 12), as_film(picture), atol=atol)
