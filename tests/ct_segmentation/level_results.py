"""Results of the tool, made from labels without a network."""

import dataclasses
import types

import numpy as np

from tests.evaluation.patients import make_case
from xctrs_tf.ct_segmentation.anatomy.oriented_box import OrientedBox
from xctrs_tf.ct_segmentation.findings import TOP_ANCHOR, UNCERTAIN, Findings, Vertebra
from xctrs_tf.geometry import VERTEBRAE

_BOX = OrientedBox((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))


def with_scan(case, before=(3, 0, 5), after=2):
    """Return a case with a kept scan that begins ``before`` voxels earlier than the crop."""
    scan = np.pad(case.ct, [(first, after) for first in before])
    return dataclasses.replace(case, scan=scan, scan_start=tuple(-first for first in before))


def result_of(labels, volume, anchored=True, names=VERTEBRAE, problems=()):
    """Return a result with labels 1..7 of a volume, named ``names`` from top to bottom.

    Where the levels are not anchored, V1, V2, ... are written and ``names`` are likely.
    """
    written = np.zeros_like(labels)
    vertebrae = []
    for number, name in enumerate(names, 1):
        mask = labels == number
        if not mask.any():
            continue
        label = VERTEBRAE.index(name) + 1 if anchored else 100 + number
        written[mask] = label
        place = np.add(volume.origin_mm, np.argwhere(mask).mean(0) * volume.spacing_mm)
        title = name if anchored else f"V{number}"
        confidence = 0.5 + number / 100
        vertebrae.append(Vertebra(title, label, name, tuple(place), _BOX, 1.0, confidence))
    levels = TOP_ANCHOR if anchored else UNCERTAIN
    missing = tuple(sorted(set(VERTEBRAE) - set(names))) if anchored else ()
    findings = Findings(tuple(vertebrae), levels, tuple(problems), written, missing)
    return types.SimpleNamespace(findings=findings, labels=written)


def box_case(name="p1", seed=0):
    """Return a case of seven stacked boxes, 12 mm from one to the next."""
    return make_case(name, seed)
