"""Phantoms that several tests share, made once in each process."""

import functools

from xctrs_tf.data.phantom import make_phantom

SEEDS = (0, 1, 5)

_make = functools.cache(make_phantom)


def phantom(seed, size=128, spacing_mm=1.0):
    """Return a phantom without noise. Noise does not change the labels."""
    return _make(seed, size, spacing_mm, noise=False)
