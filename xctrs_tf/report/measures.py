"""Measures of C1..C7 in a label volume: volumes, positions, heights, distances, angles.

Their accuracy is known for phantoms only: tests/report/test_measures.py compares them
with the phantom's anatomy. They depend on labels that a network estimated, so they are
not measurements of a patient.
"""

import dataclasses
import itertools

import numpy as np

from xctrs_tf.geometry import VERTEBRAE
from xctrs_tf.quality.vertebra_labels import centroid
from xctrs_tf.report import landmarks

ABSENT = "not in the segmentation"
CUT_OFF = "touches the edge of the volume: part of it may be missing"


@dataclasses.dataclass(frozen=True)
class Measure:
    """A number with its unit, or the reason why there is none.

    Attributes:
        value: float, tuple of floats, or None.
        unit: ``"mm"``, ``"mm3"``, ``"degrees"``.
        reason: why there is no value, or a caution about it; None otherwise.
    """

    value: float | tuple | None
    unit: str
    reason: str | None = None


def measure_spine(labels, spacing_mm, origin_mm):
    """Measure every vertebra and the column.

    The Cobb angle is between the rims of the lower end plates of C2 and C7, seen from
    the side, positive for lordosis. The height of a body is measured from rim to rim
    near the midline; that of C2 from the lower rims to the tip of the dens.

    Args:
        labels: integers ``[x, y, z]``, 1..7 = C1..C7.
        spacing_mm: edge of a voxel.
        origin_mm: LPS position of the centre of voxel ``[0, 0, 0]``.

    Returns:
        Dict of ``vertebrae``: ``C1``..``C7`` to ``volume``, ``centroid`` (LPS) and
        ``body_height``; and ``column``: ``cobb_c2_c7``, ``atlantodental_interval``
        and ``C1-C2`` .. ``C6-C7``, the distances of neighbours' centroids. Each is a
        `Measure`. What depends on a vertebra that touches the edge of the volume says so.
    """
    masks = {name: labels == label for label, name in enumerate(VERTEBRAE, start=1)}
    cut = {name for name, mask in masks.items() if _touches_edge(mask)}
    vertebrae = {
        name: {
            "volume": _volume(mask, spacing_mm),
            "centroid": _centroid(mask, spacing_mm, origin_mm),
            "body_height": _body_height(name, mask, spacing_mm),
        }
        for name, mask in masks.items()
    }
    vertebrae = {
        name: {
            quantity: _cautioned(measure, CUT_OFF if name in cut else None)
            for quantity, measure in measures.items()
        }
        for name, measures in vertebrae.items()
    }
    pairs = {
        "cobb_c2_c7": (("C2", "C7"), "degrees", landmarks.sagittal_angle_deg),
        "atlantodental_interval": (("C1", "C2"), "mm", landmarks.atlantodental_interval),
        **{"-".join(p): (p, "mm", _distance) for p in itertools.pairwise(VERTEBRAE)},
    }
    column = {}
    for quantity, (names, unit, function) in pairs.items():
        measure = _measure_of(masks, names, unit, function, spacing_mm)
        cautions = [f"{name} {CUT_OFF}" for name in names if name in cut]
        column[quantity] = _cautioned(measure, "; ".join(cautions) or None)
    return {"vertebrae": vertebrae, "column": column}


def _touches_edge(mask):
    """Return True for a mask that may go on outside of the volume."""
    return any(mask.take(end, axis).any() for axis in range(mask.ndim) for end in (0, -1))


def _cautioned(measure, caution):
    """Return a measure with a caution; one without a value keeps the reason for that."""
    if caution is None or measure.value is None:
        return measure
    return dataclasses.replace(measure, reason=caution)


def _volume(mask, spacing_mm):
    if not mask.any():
        return Measure(None, "mm3", ABSENT)
    return Measure(float(np.count_nonzero(mask) * spacing_mm**3), "mm3")


def _centroid(mask, spacing_mm, origin_mm):
    if not mask.any():
        return Measure(None, "mm", ABSENT)
    position = np.asarray(origin_mm) + centroid(mask) * spacing_mm
    return Measure(tuple(position.tolist()), "mm")


def _body_height(name, mask, spacing_mm):
    if name == "C1":
        return Measure(None, "mm", "C1 has no body")
    height = landmarks.axis_height if name == "C2" else landmarks.body_height
    return _measure_of({name: mask}, (name,), "mm", height, spacing_mm)


def _measure_of(masks, names, unit, function, spacing_mm):
    """Measure one vertebra or a pair; give the reason where the labels do not allow it."""
    absent = [name for name in names if not masks[name].any()]
    if absent:
        return Measure(None, unit, f"{' and '.join(absent)} {ABSENT}")
    try:
        return Measure(function(*(masks[name] for name in names), spacing_mm), unit)
    except landmarks.NotFound as error:
        return Measure(None, unit, str(error))


def _distance(upper, lower, spacing_mm):
    return float(np.linalg.norm(centroid(upper) - centroid(lower)) * spacing_mm)
