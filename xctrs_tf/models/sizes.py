"""Sizes and widths that the network factories accept."""

from xctrs_tf.geometry import SIZES


def check_size(size):
    """Raise ValueError unless a network can be built for this size."""
    if size not in SIZES:
        raise ValueError(f"size must be one of {SIZES}, not {size}")


def scaled(filters, width):
    """A width times the network's width factor: a multiple of 4, at least 4."""
    return max(4, 4 * round(filters * width / 4))


def num_halvings(size, most):
    """How often a network that ends in a code of few pixels halves its films.

    As often as was published as long as the code keeps 2 pixels a side:
    instance and batch normalisation of a single pixel would leave nothing.
    """
    return min(most, (size // 2).bit_length() - 1)
