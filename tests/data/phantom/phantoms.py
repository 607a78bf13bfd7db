"""Phantoms that several tests look at, made once in each process."""

import functools

from xctrs_tf.data.phantom import make_phantom

SEEDS = (0, 1, 5)

_make = functools.cache(make_phantom)


def phantom(seed, size=128, spacing_mm=1.0):
    """A phantom without noise, which changes no label."""
    return _make(seed, size, spacing_mm, noise=False)
