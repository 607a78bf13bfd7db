"""Label volumes: masks and centroids of C1..C7, and labels that no neck can have."""

import itertools

import numpy as np

from xctrs_tf.geometry import VERTEBRAE


def vertebra_masks(labels):
    """Return the mask of each vertebra that is present.

    Args:
        labels: integers ``[x, y, z]``, 1..7 = C1..C7.

    Returns:
        Dict from name to bool ``[x, y, z]``, in the order C1..C7.
    """
    masks = {name: labels == label for label, name in enumerate(VERTEBRAE, start=1)}
    return {name: mask for name, mask in masks.items() if mask.any()}


def centroid(mask):
    """Return the mean index ``(x, y, z)`` of a mask's voxels."""
    return np.argwhere(mask).mean(axis=0)


def missing(labels):
    """Return the names of the vertebrae without a voxel in integer labels ``[x, y, z]``."""
    present = vertebra_masks(labels)
    return [name for name in VERTEBRAE if name not in present]


def scattered(labels):
    """Return the names of the vertebrae whose labels are noise.

    Their surface is larger than that of the whole volume. An untrained network gives
    such labels; real vertebrae are far from it.
    """
    limit = 2 * sum(labels.size // length for length in labels.shape)
    return [
        name
        for name, mask in vertebra_masks(labels).items()
        if sum(np.count_nonzero(np.diff(mask, axis=axis)) for axis in range(3)) > limit
    ]


def out_of_order(labels):
    """Return the pairs of neighbours, such as ``"C4-C5"``, whose upper one is not above."""
    heights = {name: centroid(mask)[2] for name, mask in vertebra_masks(labels).items()}
    return [
        "-".join(pair)
        for pair in itertools.pairwise(heights)
        if heights[pair[0]] <= heights[pair[1]]
    ]
