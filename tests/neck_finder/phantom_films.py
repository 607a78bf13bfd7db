"""Films of a phantom that the finder was not trained on, with head and shoulders."""

import functools

import numpy as np

from xctrs_tf.data.phantom import make_phantom

PIXEL_MM = 2.5
_SEED, _GRID = 1000, (150, 80, 88)


@functools.cache
def phantom_films():
    """Return the films by view, the middle of C1..C7 in their middle."""
    density = np.maximum(make_phantom(_SEED, _GRID, PIXEL_MM).ct + 1000.0, 0) * PIXEL_MM * 2e-5
    return {view: density.sum(axis).astype(np.float32) for view, axis in (("ap", 1), ("la", 0))}
