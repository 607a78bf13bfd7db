"""Sizes and widths that the network factories accept."""

from xctrs_tf.geometry import SIZES


def check_size(size):
    """Refuse a size that the networks are not built for.

    Args:
        size: pixels and voxels a side.

    Raises:
        ValueError: if the size is not one of `xctrs_tf.geometry.SIZES`.
    """
    if size not in SIZES:
        raise ValueError(f"size must be one of {SIZES}, not {size}")


def scaled(filters, width):
    """Return filters times a network's width factor, rounded to a multiple of 4.

    Args:
        filters: number of channels at width 1.
        width: factor, greater than 0.

    Returns:
        int, at least 4.
    """
    return max(4, 4 * round(filters * width / 4))


def num_halvings(size, most):
    """Return the number of halvings in a network that reduces films to a small code.

    The published number, unless the code would have less than 2 pixels a side:
    instance and batch normalisation of a single pixel give 0.

    Args:
        size: pixels a side of the films.
        most: published number of halvings.

    Returns:
        int.
    """
    return min(most, (size // 2).bit_length() - 1)
