"""Repair of pieces that are not one vertebra each: halves are joined, and doubles are cut."""

import dataclasses
import itertools

import numpy as np
import scipy

from xctrs_tf.ct_segmentation.anatomy.level_chain import level_chain
from xctrs_tf.ct_segmentation.anatomy.neck_shape import unusual_distances, unusual_volumes
from xctrs_tf.ct_segmentation.anatomy.vertebra_pieces import from_top, piece_of

# Share of its voxels that the network must give to the level of a piece.
AGREED = 0.8
# Pieces that fit nowhere count if they are as large, in shares of a usual piece, and as near.
_EXTRA = 0.1
_NEAR_MM = 45.0
# Two pieces may be one vertebra if one is small and both together are not too large, in shares of
# a usual piece, and their centres no farther apart along z.
_PART = 0.7
_WHOLE = 1.5
_PART_OF_ONE_MM = 12.0
# A larger piece may be two vertebrae; each half must then have the size and the distance of one.
# C1 and C2 are large themselves: up to 1.55 and 1.73 usual pieces in the 93 necks of OpenKBP, 1.51
# and 2.04 in the phantoms.
_TWO = {level: 2.1 if level <= 2 else 1.5 for level in range(1, 8)}
_HALF = (0.5, 1.5)
_NEIGHBOURS_MM = (9.0, 28.0)
_MOST_REPAIRS = 6
_TOUCHING = np.ones((3, 3, 3), bool)


def repaired_chain(pieces, prediction):
    """Choose levels for pieces, and join or cut pieces where the chain is better with it.

    Pieces that make a chain without a fault stay as they are.

    Args:
        pieces: list of `vertebra_pieces.Piece`, from top to bottom.
        prediction: `windows.Prediction` that they are of.

    Returns:
        `level_chain.Chain`.
    """
    chain = level_chain(pieces)
    for _ in range(_MOST_REPAIRS):
        faults = _faults(chain)
        if not faults:
            break
        tried = [level_chain(other) for other in _repairs(pieces, prediction)]
        best = min(tried, key=_faults, default=chain)
        if _faults(best) >= faults:
            break
        chain = best
        pieces = from_top([*best.pieces, *best.dropped])
    return chain


def stray_pieces(chain):
    """Return pieces near the spine that are as large as vertebrae and fit nowhere.

    What the border of the scan leaves of the next vertebra, above or below, is none of them.

    Args:
        chain: `level_chain.Chain`.

    Returns:
        List of `vertebra_pieces.Piece`.
    """
    if not chain.pieces:
        return []
    usual = _usual(chain.pieces)
    places = np.array([piece.centroid_mm for piece in chain.pieces])
    top, bottom = places[0, 2], places[-1, 2]
    return [
        piece
        for piece in chain.dropped
        if piece.volume_mm3 > _EXTRA * usual
        and np.linalg.norm(places - piece.centroid_mm, axis=1).min() <= _NEAR_MM
        and not (piece.is_cut and not bottom <= piece.centroid_mm[2] <= top)
    ]


def _usual(pieces):
    return float(np.median([piece.volume_mm3 for piece in pieces]))


def _faults(chain):
    """Count what is wrong with a chain."""
    named = [(p, level) for p, level in zip(chain.pieces, chain.levels, strict=True) if level <= 7]
    skipped = sum(below - above - 1 for above, below in itertools.pairwise(chain.levels))
    unlike = sum(piece.votes[level - 1] < AGREED for piece, level in named)
    sizes = len(unusual_volumes(chain)) + len(unusual_distances(chain))
    return sizes + skipped + unlike + len(stray_pieces(chain))


def _repairs(pieces, prediction):
    """Yield lists of pieces with one repair each."""
    if len(pieces) < 2:
        return
    usual = _usual(pieces)
    for piece in pieces:
        is_large = piece.volume_mm3 > _TWO[1 + int(piece.votes.argmax())] * usual
        halves = _halves(piece, usual, prediction) if is_large else None
        if halves:
            yield from_top([*(each for each in pieces if each is not piece), *halves])
    for one, other in itertools.combinations(pieces, 2):
        both, less = one.volume_mm3 + other.volume_mm3, min(one.volume_mm3, other.volume_mm3)
        apart = abs(one.centroid_mm[2] - other.centroid_mm[2])
        fits = less <= _PART * usual and both <= _WHOLE * usual and apart <= _PART_OF_ONE_MM
        if fits and _touch(one.voxels, other.voxels):
            joined = piece_of(np.concatenate([one.voxels, other.voxels]), prediction)
            joined = dataclasses.replace(joined, is_part=one.is_part or other.is_part)
            left = [each for each in pieces if each is not one and each is not other]
            yield from_top([*left, joined])


def _touch(one, other):
    """Tell whether two sets of voxels are neighbours."""
    low = np.minimum(one.min(axis=0), other.min(axis=0)) - 1
    shape = np.maximum(one.max(axis=0), other.max(axis=0)) + 2 - low
    masks = np.zeros((2, *shape), bool)
    for mask, voxels in zip(masks, (one, other), strict=True):
        mask[tuple((voxels - low).T)] = True
    return bool((scipy.ndimage.binary_dilation(masks[0], _TOUCHING) & masks[1]).any())


def _halves(piece, usual, prediction):
    """Cut a piece at its waist; None if the halves are not like vertebrae."""
    low = piece.voxels.min(axis=0)
    mask = np.zeros(piece.voxels.max(axis=0) - low + 1, bool)
    mask[tuple((piece.voxels - low).T)] = True
    upper = _upper_half(mask)[tuple((piece.voxels - low).T)]
    if upper.all() or not upper.any():
        return None
    halves = [piece_of(piece.voxels[part], prediction) for part in (upper, ~upper)]
    halves = [dataclasses.replace(half, is_part=True) for half in halves]
    apart = halves[0].centroid_mm[2] - halves[1].centroid_mm[2]
    sizes = [half.volume_mm3 / usual for half in halves]
    if min(sizes) < _HALF[0] or max(sizes) > _HALF[1]:
        return None
    return halves if _NEIGHBOURS_MM[0] <= apart <= _NEIGHBOURS_MM[1] else None


def _upper_half(mask):
    """Return the upper one of two parts of a mask that meet where it is thin."""
    from skimage.segmentation import watershed

    depth = scipy.ndimage.gaussian_filter(mask.astype(np.float32), 1.0, mode="constant")
    low, high = np.quantile(np.nonzero(mask)[2], (0.25, 0.75))
    heights = np.broadcast_to(np.arange(mask.shape[2]), mask.shape)
    seeds = np.where(heights <= low, 2, np.where(heights >= high, 1, 0)) * mask
    return watershed(-depth, seeds, mask=mask) == 1
