"""Anatomy scores: sizes, distances and fragments of the vertebrae beside the training patients'."""

import itertools

import numpy as np
import scipy

from xctrs_tf.geometry import VERTEBRAE
from xctrs_tf.quality.vertebra_labels import centroid, vertebra_masks


def anatomy_statistics(cases):
    """Return means and deviations of the training patients' vertebrae.

    Args:
        cases: iterable of ``(labels, spacing_mm)``.

    Returns:
        Dict of ``volume`` (by vertebra, logarithm of mm3) and ``spacing`` (by
        ``"C1-C2"`` .. ``"C6-C7"``, logarithm of mm), each to ``[mean, deviation]``.
        Quantities that fewer than two patients have are left out.
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
        vertebra that lies apart from its largest piece; scores that cannot be
        computed are left out. ``worst``: dict from score to the vertebra or pair that
        has it.
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


def _sizes(labels, spacing_mm):
    masks = vertebra_masks(labels)
    centres = {name: centroid(mask) * spacing_mm for name, mask in masks.items()}
    return {
        "volume": {name: np.log(mask.sum() * spacing_mm**3) for name, mask in masks.items()},
        "spacing": {
            f"{upper}-{lower}": np.log(np.linalg.norm(centres[upper] - centres[lower]))
            for upper, lower in itertools.pairwise(VERTEBRAE)
            if upper in centres and lower in centres
        },
    }


def _apart(mask):
    """Return the share of the voxels outside the largest connected piece."""
    # Coarse voxels of thin bone often touch at a corner only.
    pieces, _ = scipy.ndimage.label(mask, np.ones((3, 3, 3)))
    return 1.0 - np.bincount(pieces.ravel())[1:].max() / mask.sum()
