"""Levels of pieces along the spine: the likeliest ones that follow each other without a jump."""

import dataclasses

import numpy as np

from xctrs_tf.geometry import VERTEBRAE

# Mean distance between the centres of C1 and C2, ..., C6 and C7 in the 93 necks of OpenKBP, in
# mm; standard deviations are below 2 mm within a neck (2026-11-29). T1 and T2 follow C7.
STEPS_MM = (16.6, 21.5, 16.4, 16.4, 16.6, 17.8, 18.5, 19.0)
LAST = len(VERTEBRAE) + 2
# Sizes of necks, as a factor: children's are the smallest.
_SCALES = np.geomspace(0.55, 1.25, 13)
_SCALE_DEVIATION = 0.25
# Standard deviation of the logarithm of a distance, and the most that one distance may cost.
_STEP_DEVIATION = 0.13
_MOST_STEP = 8.0
# A network may be wrong with every voxel of a vertebra.
_LEAST_PROBABILITY = 0.03
# The network has no class for T1 and T2 and takes them for C7, or for nothing.
_BELOW = 0.1
_DROPPED = 3.0
_SKIPPED = 2.0


@dataclasses.dataclass(frozen=True)
class Chain:
    """Pieces of one spine with their levels.

    Attributes:
        pieces: list of `vertebra_pieces.Piece`, from top to bottom.
        levels: numbers, 1 = C1 .. 7 = C7, 8 and 9 below it; each larger than the one before.
        dropped: list of the other pieces.
        scale: size of the neck as a factor of the usual one.
    """

    pieces: list
    levels: list
    dropped: list
    scale: float

    def piece(self, level):
        """Return the piece of a level, or None."""
        return dict(zip(self.levels, self.pieces, strict=True)).get(level)


def expected_mm(upper, lower):
    """Return the usual distance between the centres of two levels.

    Args:
        upper: number of the upper level.
        lower: number of the lower one.

    Returns:
        float, mm.
    """
    return float(sum(STEPS_MM[upper - 1 : lower - 1]))


def level_chain(pieces):
    """Choose levels for pieces by dynamic programming.

    What the network says of each piece counts, the distances between them, and that no level
    is left out or given twice. A piece that fits nowhere is dropped.

    Args:
        pieces: list of `vertebra_pieces.Piece`, from top to bottom.

    Returns:
        `Chain`; of no piece where there is none.
    """
    if not pieces:
        return Chain([], [], [], 1.0)
    volumes = np.array([piece.volume_mm3 for piece in pieces])
    # A small piece says less.
    weights = np.clip(volumes / np.median(volumes), 0.3, 1.2)
    unary = np.array([weight * _level_costs(p) for weight, p in zip(weights, pieces, strict=True)])
    places = np.array([piece.centroid_mm for piece in pieces])
    apart = np.linalg.norm(places[:, np.newaxis] - places[np.newaxis], axis=-1)
    chosen, scale = _cheapest(unary, apart, _DROPPED * weights)
    kept = dict(chosen)
    return Chain(
        [pieces[index] for index in kept],
        list(kept.values()),
        [piece for index, piece in enumerate(pieces) if index not in kept],
        scale,
    )


def _level_costs(piece):
    """Return what each level costs for a piece, ``(LAST,)``."""
    shares = piece.means / max(piece.means.sum(), 1e-6)
    shares = np.concatenate([shares, [_BELOW] * (LAST - len(shares))])
    return -np.log(np.maximum(shares, _LEAST_PROBABILITY))


def _cheapest(unary, apart, dropping):
    """Find the chain that costs least, over all sizes of neck.

    Args:
        unary: cost of every level for every piece, ``(pieces, LAST)``.
        apart: distances between pieces in mm, ``(pieces, pieces)``.
        dropping: cost of leaving out every piece.

    Returns:
        ``(piece, level)`` from top to bottom, and the size of the neck.
    """
    count = len(unary)
    # Cost of all pieces before one, if they are dropped.
    before = np.concatenate([[0.0], np.cumsum(dropping)])
    # Cheapest chain that ends with a piece at a level: (scale, piece, level).
    cost = np.repeat((unary + before[:count, np.newaxis])[np.newaxis], len(_SCALES), axis=0)
    back = np.full((*cost.shape, 2), -1)
    for index, earlier in ((i, e) for i in range(count) for e in range(i)):
        steps = _step_costs(apart[earlier, index])
        skipped = before[index] - before[earlier + 1]
        totals = cost[:, earlier, :, np.newaxis] + steps + skipped + unary[index]
        above = totals.argmin(axis=1)
        least = np.take_along_axis(totals, above[:, np.newaxis], axis=1)[:, 0]
        better = least < cost[:, index]
        cost[:, index][better] = least[better]
        back[:, index][better] = np.stack([np.full_like(above, earlier), above], -1)[better]
    sizes = np.log(_SCALES) ** 2 / (2 * _SCALE_DEVIATION**2)
    totals = cost + (before[-1] - before[1:])[:, np.newaxis] + sizes[:, np.newaxis, np.newaxis]
    scale, index, level = np.unravel_index(int(totals.argmin()), totals.shape)
    chosen = []
    while index >= 0:
        chosen.append((int(index), int(level) + 1))
        index, level = back[scale, index, level]
    return chosen[::-1], float(_SCALES[scale])


def _step_costs(apart_mm):
    """Return the cost of a distance between each two levels, ``(scale, upper, lower)``."""
    places = np.concatenate([[0.0], np.cumsum(STEPS_MM)])
    usual = places[np.newaxis] - places[:, np.newaxis]
    skipped = np.subtract.outer(np.arange(LAST), np.arange(LAST)).T - 1
    follows = skipped >= 0
    usual = np.where(follows, usual, 1.0) * _SCALES[:, np.newaxis, np.newaxis]
    off = np.log(max(apart_mm, 1.0) / usual) / _STEP_DEVIATION
    costs = np.minimum(off**2 / 2, _MOST_STEP) + _SKIPPED * skipped
    return np.where(follows, costs, np.inf)
