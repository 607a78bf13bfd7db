"""First rib beside C7 and T1: a mark of the level that does not depend on the network.

The first rib leaves T1 and arches over the chest. From 40 to 50 mm beside the midline, above it,
there is no bone beside the spine up to the skull's base. Its upper edge there lies half a level
below the centre of C7.
"""

import dataclasses

import numpy as np
import scipy

from xctrs_tf.ct_segmentation.anatomy.scan_border import PADDING_HU

# Where bone is looked for, in mm for a usual neck: to either side, and in front and behind of the
# centre of a vertebra.
_BESIDE_MM = np.arange(40.0, 51.0, 2.5)
_DEPTH_MM = np.arange(-10.0, 11.0, 2.5)
# Heights in levels, downwards from the top, above and below the centre of a vertebra.
_HEIGHTS = np.arange(2.2, -2.01, -0.075)
_USUAL_STEP_MM = 17.0
_BONE_HU = 180.0
# More of it beyond the scan: nothing is told.
_MOST_OUTSIDE = 0.1
# Mean height of the upper edges of both ribs from the centre of C7, in levels, how far from it
# they may be, and how far from each other. Of the 93 necks of OpenKBP (`experiments.prepare
# --source=openkbp --size=64 --spacing_mm=2.5 --keep_scan`, centres from the pseudo-labels,
# 2026-11-29) the ribs tell that C7 is C7 in 79, never that it is another level, and nothing in 14.
# Looked for from C6 they tell in 47 that it is C6, in 2 a wrong level; from where T1 lies, in 70
# that it is T1, in none a wrong level. One C6 of 93 would be taken for C7: there an artery with
# contrast medium lies where a rib would be. No C5, T1 or T2 would be.
_FIRST_RIB = -0.5
_TOLERANCE = 0.35
_MOST_APART = 0.75
# Farther levels are beyond the heights that are looked at.
_FARTHEST = 1

# Beside a vertebra of the chest lie lungs. Place in mm, to either side of the centre, in front,
# and above and below, and their CT numbers. On the same necks their share is at most 0.04 beside
# C1 to C7, the median is 0.06 beside T1 and 0.45 beside T2 (95 % over 0.18).
_LUNG_BESIDE_MM = np.arange(22.0, 43.0, 3.0)
_LUNG_DEPTH_MM = np.arange(-35.0, 6.0, 3.0)
_LUNG_HEIGHT_MM = np.arange(-9.0, 10.0, 3.0)
_LUNG_HU = (-950.0, -600.0)
_LUNG_SHARE = 0.1


@dataclasses.dataclass(frozen=True)
class Ribs:
    """Place of the first ribs.

    Attributes:
        heights: of the upper edges of the right and left rib, in levels from the centre of the
            vertebra that they were looked for from; negative is below. NaN where there is none.
        seen: whether the scan shows the place where they would be.
    """

    heights: tuple
    seen: bool

    @property
    def level_offset(self):
        """Number of levels by which C7 lies below the vertebra; None where the ribs do not tell."""
        if not self.seen or not np.all(np.isfinite(self.heights)):
            return None
        if abs(self.heights[0] - self.heights[1]) > _MOST_APART:
            return None
        below = _FIRST_RIB - float(np.mean(self.heights))
        offset = round(below)
        clear = abs(below - offset) <= _TOLERANCE and abs(offset) <= _FARTHEST
        return offset if clear else None


def first_ribs(prediction, above_mm, centre_mm, levels_between=1):
    """Look for the first ribs beside and below a vertebra that may be C7.

    Args:
        prediction: `windows.Prediction`, of which ``hu`` is used.
        above_mm: LPS position of the centre of a vertebra above it.
        centre_mm: that of the vertebra.
        levels_between: number of levels from the one to the other.

    Returns:
        `Ribs`.
    """
    up = np.subtract(above_mm, centre_mm)
    step_mm = float(np.linalg.norm(up)) / levels_between
    axes = _axes(up)
    scale = step_mm / _USUAL_STEP_MM
    tops, outside = [], []
    for side in (-1, 1):
        local = np.stack(
            np.meshgrid(
                side * _BESIDE_MM * scale, _DEPTH_MM * scale, _HEIGHTS * step_mm, indexing="ij"
            )
        )
        hu = _sampled(prediction, np.tensordot(axes, local, 1), centre_mm)
        outside.append(np.mean(hu[..., np.abs(_HEIGHTS + 0.5) < 1] <= PADDING_HU))
        bone = (hu > _BONE_HU).any(axis=1)
        heights = np.where(bone.any(axis=1), _HEIGHTS[bone.argmax(axis=1)], -np.inf)
        # Most of the columns must have it.
        top = float(np.median(heights))
        tops.append(top if np.isfinite(top) else float("nan"))
    return Ribs(tuple(tops), bool(max(outside) <= _MOST_OUTSIDE))


def beside_lungs(prediction, centre_mm):
    """Tell whether lungs lie on both sides of a vertebra, which then is one of the chest.

    Args:
        prediction: `windows.Prediction`, of which ``hu`` is used.
        centre_mm: LPS position of its centre.

    Returns:
        bool.
    """
    for side in (-1, 1):
        offsets = np.stack(
            np.meshgrid(side * _LUNG_BESIDE_MM, _LUNG_DEPTH_MM, _LUNG_HEIGHT_MM, indexing="ij")
        )
        # Values between those of a patient and of the air beyond a scan would be like a lung's.
        hu = _sampled(prediction, offsets, centre_mm, order=0)
        if np.mean((hu > _LUNG_HU[0]) & (hu < _LUNG_HU[1])) < _LUNG_SHARE:
            return False
    return True


def _axes(up):
    """Return the unit vectors to the left, back and top, as columns."""
    up = up / np.linalg.norm(up)
    left = np.array([1.0, 0.0, 0.0]) - up[0] * up
    left /= np.linalg.norm(left)
    return np.stack([left, np.cross(up, left), up], axis=1)


def _sampled(prediction, offsets_mm, centre_mm, order=1):
    """Return CT numbers at offsets ``(3, ...)`` from a position; air outside of the scan."""
    start = np.subtract(centre_mm, prediction.origin_mm)
    places = (offsets_mm + start.reshape(3, 1, 1, 1)) / prediction.spacing_mm
    low = np.maximum(np.floor(places.min(axis=(1, 2, 3))).astype(int) - 1, 0)
    high = np.maximum(np.ceil(places.max(axis=(1, 2, 3))).astype(int) + 2, low + 1)
    part = prediction.hu[tuple(map(slice, low, high))].astype(np.float32)
    if not part.size:
        return np.full(places.shape[1:], PADDING_HU - 1, np.float32)
    places = places - low.reshape(3, 1, 1, 1)
    return scipy.ndimage.map_coordinates(part, places, order=order, cval=PADDING_HU - 1)
