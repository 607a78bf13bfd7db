"""Pieces of bone of one class each that a network found, without its islands."""

import dataclasses

import numpy as np
import scipy

from xctrs_tf.ct_segmentation.anatomy.scan_border import is_cut, is_near_end

# Anything smaller goes to its neighbour or is dropped. C3 has 9 ml or more in the 93 necks of
# OpenKBP at 2.5 mm, and 6 ml in the phantoms.
LARGE_MM3 = 2000.0
_TOUCHING = np.ones((3, 3, 3), bool)
_CLASSES = range(1, 8)


@dataclasses.dataclass(frozen=True)
class Piece:
    """Voxels that are taken for one vertebra.

    Attributes:
        voxels: indices ``(n, 3)`` on the grid of the prediction.
        votes: share of its voxels for which each of C1..C7 is the likeliest, ``(7,)``.
        means: mean probability of each of C1..C7 over its voxels, ``(7,)``.
        centroid_mm: LPS position of the mean of its voxels.
        volume_mm3: float.
        is_cut: whether it reaches the border of the scan (`scan_border.is_cut`).
        is_near_end: whether it ends near the first or last slice (`scan_border.is_near_end`).
        is_part: whether it was cut out of a piece as large as two vertebrae (`piece_repair`).
    """

    voxels: np.ndarray
    votes: np.ndarray
    means: np.ndarray
    centroid_mm: np.ndarray
    volume_mm3: float
    is_cut: bool = False
    is_near_end: bool = False
    is_part: bool = False


def vertebra_pieces(prediction):
    """Find the pieces of a prediction.

    Args:
        prediction: `windows.Prediction`.

    Returns:
        List of `Piece`, from top to bottom.
    """
    probabilities = prediction.probabilities
    # Bone is what is likelier bone than background, whatever its level.
    bone = probabilities[..., 0] < 0.5
    found = scipy.ndimage.find_objects(bone.astype(np.uint8))
    if not found:
        return []
    box = tuple(slice(max(part.start - 2, 0), part.stop + 2) for part in found[0])
    levels = np.where(bone[box], 1 + probabilities[box][..., 1:].argmax(axis=-1), 0)
    levels = levels.astype(np.uint8)
    voxel_mm3 = prediction.spacing_mm**3
    fragments = _Fragments(levels, LARGE_MM3 / voxel_mm3)
    fragments.attach_crumbs()
    low = np.array([part.start for part in box])
    made = [piece_of(voxels + low, prediction) for voxels in fragments.pieces()]
    return from_top(made)


def from_top(pieces):
    """Return pieces in the order of their heights, the highest first."""
    return sorted(pieces, key=lambda piece: -piece.centroid_mm[2])


def piece_of(voxels, prediction):
    """Return the piece of some voxels.

    Args:
        voxels: indices ``(n, 3)``.
        prediction: `windows.Prediction`.

    Returns:
        `Piece`.
    """
    values = prediction.probabilities[tuple(voxels.T)][:, 1:].astype(np.float32)
    votes = np.bincount(values.argmax(axis=1), minlength=len(_CLASSES)) / len(voxels)
    centroid = np.array(prediction.origin_mm) + voxels.mean(axis=0) * prediction.spacing_mm
    volume = len(voxels) * prediction.spacing_mm**3
    scan = prediction.hu, prediction.spacing_mm
    border = is_cut(voxels, *scan), is_near_end(voxels, *scan)
    return Piece(voxels, votes, values.mean(axis=0), centroid, volume, *border)


class _Fragments:
    """Connected fragments of one class each, by number.

    Args:
        levels: uint8 ``[x, y, z]``, the likeliest class of every voxel of bone.
        large: voxels from which a fragment is a piece.
    """

    def __init__(self, levels, large):
        self._numbers = np.zeros(levels.shape, np.int32)
        # Class of each fragment.
        self._class_of = [0]
        for level in _CLASSES:
            # Coarse voxels of thin bone often touch at a corner only.
            labelled, count = scipy.ndimage.label(levels == level, _TOUCHING)
            inside = labelled > 0
            self._numbers[inside] = labelled[inside] + len(self._class_of) - 1
            self._class_of += [level] * count
        sizes = np.bincount(self._numbers.ravel(), minlength=len(self._class_of))
        self._large = {number for number in range(1, len(sizes)) if sizes[number] >= large}

    def pieces(self):
        """Return the indices ``(n, 3)`` of each large fragment."""
        boxes = scipy.ndimage.find_objects(self._numbers)
        made = []
        for number in sorted(self._large):
            box = boxes[number - 1]
            low = np.array([part.start for part in box])
            made.append(np.argwhere(self._numbers[box] == number) + low)
        return made

    def attach_crumbs(self):
        """Give each small fragment to the large one that it touches most, or drop it."""
        waiting = [number for number in range(1, len(self._class_of)) if number not in self._large]
        boxes = scipy.ndimage.find_objects(self._numbers)
        while waiting and self._large:
            left = []
            for number in waiting:
                owner = self._owner(number, boxes[number - 1])
                if owner is None:
                    left.append(number)
                else:
                    box = boxes[number - 1]
                    self._numbers[box][self._numbers[box] == number] = owner
            # Crumbs of crumbs come with the next round.
            if len(left) == len(waiting):
                break
            waiting = left
        self._numbers[~np.isin(self._numbers, sorted(self._large))] = 0

    def _owner(self, number, box):
        """Return the large fragment to which a small one belongs, or None."""
        touched = self._touched(number, box, 1)
        # A gap of one voxel in a vertebra is usual where its bone is thin.
        near = {
            other: count
            for other, count in self._touched(number, box, 2).items()
            if self._class_of[other] == self._class_of[number]
        }
        for each in (near, touched):
            if each:
                return max(each, key=each.get)
        return None

    def _touched(self, number, box, reach):
        """Return large fragments within some voxels of another one, and their voxels there."""
        wide = tuple(slice(max(part.start - reach, 0), part.stop + reach) for part in box)
        numbers = self._numbers[wide]
        around = scipy.ndimage.binary_dilation(numbers == number, _TOUCHING, reach)
        others, counts = np.unique(numbers[around], return_counts=True)
        found = dict(zip(others.tolist(), counts.tolist(), strict=True))
        return {other: found[other] for other in found if other in self._large - {number}}
