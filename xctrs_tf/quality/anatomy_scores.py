"""Anatomy scores: sizes, distances, place and fragments of the vertebrae.

They are compared with those of the training patients.
"""

import itertools

import numpy as np
import scipy

from xctrs_tf.geometry import VERTEBRAE
from xctrs_tf.quality.vertebra_labels import centroid, vertebra_masks

# Names of both directions of x, y and z: LPS.
_SIDES = (("right", "left"), ("anterior", "posterior"), ("inferior", "superior"))


def anatomy_statistics(cases):
    """Return means and deviations of the training patients' vertebrae.

    Args:
        cases: iterable of ``(labels, spacing_mm)``.

    Returns:
        Dict of ``volume`` (by vertebra, logarithm of mm3) and ``spacing`` (by
        ``"C1-C2"`` .. ``"C6-C7"``, logarithm of mm), each to ``[mean, deviation]``;
        ``position`` (by vertebra, mean ``[x, y, z]`` in mm from the middle of the volume).
        Quantities that fewer than two patients have are left out.
    """
    measured = [_sizes(labels, spacing_mm) for labels, spacing_mm in cases]
    statistics = {"position": _mean_positions([sizes["position"] for sizes in measured])}
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
        from the mean in standard deviations, ``fragments``, the largest share of a
        vertebra that lies apart from its largest piece, and ``position``, the distance in mm
        of all vertebrae together from where they usually lie; scores that cannot be
        computed are left out. ``worst``: dict from score to the vertebra or pair that
        has it; from ``position`` to the direction in words.
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
    scores = {kind: float(found[kind][name]) for kind, name in worst.items()}
    # Calibrations of before have no positions.
    usual = statistics.get("position", {})
    away = [place - usual[name] for name, place in sizes["position"].items() if name in usual]
    if away:
        mean = np.mean(away, axis=0)
        scores["position"] = float(np.linalg.norm(mean))
        worst["position"] = _directions(mean)
    return scores, worst


def _sizes(labels, spacing_mm):
    masks = vertebra_masks(labels)
    middle = (np.array(labels.shape) - 1) / 2
    centres = {name: (centroid(mask) - middle) * spacing_mm for name, mask in masks.items()}
    return {
        "position": centres,
        "volume": {name: np.log(mask.sum() * spacing_mm**3) for name, mask in masks.items()},
        "spacing": {
            f"{upper}-{lower}": np.log(np.linalg.norm(centres[upper] - centres[lower]))
            for upper, lower in itertools.pairwise(VERTEBRAE)
            if upper in centres and lower in centres
        },
    }


def _mean_positions(measured):
    """Return the mean of each vertebra's position over patients."""
    found = {}
    for name in VERTEBRAE:
        places = [positions[name] for positions in measured if name in positions]
        if len(places) > 1:
            found[name] = np.mean(places, axis=0).tolist()
    return found


def _directions(away):
    """Say an offset ``(x, y, z)`` in mm in words, such as ``"12 mm superior"``."""
    words = [
        f"{abs(length):.0f} mm {sides[int(length > 0)]}"
        for length, sides in zip(away, _SIDES, strict=True)
        if abs(length) >= 0.5
    ]
    return ", ".join(words)


def _apart(mask):
    """Return the share of the voxels outside the largest connected piece."""
    # Coarse voxels of thin bone often touch at a corner only.
    pieces, _ = scipy.ndimage.label(mask, np.ones((3, 3, 3)))
    return 1.0 - np.bincount(pieces.ravel())[1:].max() / mask.sum()
