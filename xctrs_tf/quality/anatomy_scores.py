"""Whether seven labels can be a neck: numbers, order, sizes and distances."""

import itertools

import numpy as np
from scipy import ndimage

from xctrs_tf.geometry import VERTEBRAE
from xctrs_tf.report.measures import centroid

PAIRS = tuple(itertools.pairwise(VERTEBRAE))


def anatomy_statistics(cases):
    """Sizes and distances of the vertebrae of the training patients.

    Args:
        cases: iterable of ``(labels, spacing_mm)``.

    Returns:
        Dict of ``volume`` (by vertebra, logarithm of mm3) and ``spacing`` (by
        ``"C1-C2"`` .. ``"C6-C7"``, logarithm of mm), each to ``[mean, deviation]``.
        What no two patients have is left out.
    """
    measured = [_sizes(labels, spacing_mm) for labels, spacing_mm in cases]
    statistics = {}
    for kind in ("volume", "spacing"):
        names = sorted({name for sizes in measured for name in sizes[kind]})
        columns = {n: [s[kind][n] for s in measured if n in s[kind]] for n in names}
        statistics[kind] = {
            name: [float(np.mean(values)), float(np.std(values, ddof=1))]
            for name, values in columns.items()
            if len(values) > 1 and np.std(values) > 0
        }
    return statistics


def anatomy_scores(labels, spacing_mm, statistics):
    """Compare labels with the training patients'.

    Args:
        labels: integers ``[x, y, z]``, 1..7 = C1..C7.
        spacing_mm: edge of a voxel.
        statistics: `anatomy_statistics`.

    Returns:
        ``(scores, worst)``. Scores: ``volume`` and ``spacing``, the largest distance
        from the mean in standard deviations, and ``fragments``, the largest share of a
        vertebra that lies apart from its largest piece; without what cannot be
        had. ``worst``: which vertebra or pair each is of.
    """
    sizes = _sizes(labels, spacing_mm)
    found = {
        kind: {
            name: abs(value - statistics[kind][name][0]) / statistics[kind][name][1]
            for name, value in sizes[kind].items()
            if name in statistics[kind]
        }
        for kind in ("volume", "spacing")
    }
    found["fragments"] = {name: _apart(mask) for name, mask in vertebra_masks(labels).items()}
    worst = {kind: max(values, key=values.get) for kind, values in found.items() if values}
    return {kind: float(found[kind][name]) for kind, name in worst.items()}, worst


def vertebra_masks(labels):
    """Where each vertebra that is there lies: dict from name to bool ``[x, y, z]``."""
    masks = {name: labels == label for label, name in enumerate(VERTEBRAE, start=1)}
    return {name: mask for name, mask in masks.items() if mask.any()}


def missing(labels):
    """Names of the vertebrae that no voxel is labelled as."""
    present = vertebra_masks(labels)
    return [name for name in VERTEBRAE if name not in present]


def scattered(labels):
    """Names of the vertebrae that are noise and no body: they have more surface than the volume.

    An untrained network gives such labels. Of real vertebrae none comes near.
    """
    limit = 2 * sum(labels.size // length for length in labels.shape)
    return [
        name
        for name, mask in vertebra_masks(labels).items()
        if sum(np.count_nonzero(np.diff(mask, axis=axis)) for axis in range(3)) > limit
    ]


def out_of_order(labels):
    """Pairs of neighbours, such as ``"C4-C5"``, of which the upper is not above the lower."""
    heights = {name: centroid(mask)[2] for name, mask in vertebra_masks(labels).items()}
    return [
        "-".join(pair)
        for pair in itertools.pairwise(heights)
        if heights[pair[0]] <= heights[pair[1]]
    ]


def _sizes(labels, spacing_mm):
    masks = vertebra_masks(labels)
    centres = {name: centroid(mask) * spacing_mm for name, mask in masks.items()}
    return {
        "volume": {name: np.log(mask.sum() * spacing_mm**3) for name, mask in masks.items()},
        "spacing": {
            f"{upper}-{lower}": np.log(np.linalg.norm(centres[upper] - centres[lower]))
            for upper, lower in PAIRS
            if upper in centres and lower in centres
        },
    }


def _apart(mask):
    # Coarse voxels of thin bone often touch at a corner alone.
    pieces, _ = ndimage.label(mask, np.ones((3, 3, 3)))
    return 1.0 - np.bincount(pieces.ravel())[1:].max() / mask.sum()
