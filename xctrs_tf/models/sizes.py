"""Sizes and widths that the network factories accept."""

from xctrs_tf.geometry import SIZES


def check_size(size):
    """Raise ValueError unless a network can be built for this size."""
    if size not in SIZES:
        raise ValueError(f"size must be one of {SIZES}, not {size}")


def scaled(filters, width):
    """A width times the network's width factor: a multiple of 4, at least 4."""
    return max(4, 4 * round(filters * width / 4))
