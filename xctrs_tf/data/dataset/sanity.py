"""Checks that a patient's scan, labels and films are what they are taken for.

The limits hold for 93 necks of OpenKBP and for the phantoms, with a margin
(docs/data.md).
"""

import itertools
import math

import numpy as np
import scipy

from xctrs_tf.geometry import VERTEBRAE, VIEWS

# A neck has air around or in it.
_AIR_BELOW_HU = -500.0
# Median CT number of the labelled voxels.
_BONE_RANGE_HU = (100.0, 1000.0)
# Distance between the centres of C1 and C7, and the width of C1..C7 along x and y.
_LENGTH_RANGE_MM = (60.0, 150.0)
_WIDTH_RANGE_MM = {"x": (40.0, 130.0), "y": (30.0, 160.0)}
# A vertebra has most of its bone in front, in its body, and the spinous process reaches far to
# the back: its centre lies in front of the middle of its box. C1 is a ring and does not count.
_FACING = range(2, 8)
# In a neck whose front and back are exchanged the centres lie so far behind, or farther.
_BACKWARDS_MM = 2.0
# The dens of C2 rises above the middle of C1, whose ring it stands in; no other vertebra reaches so
# far up into the next one. It lies within this distance of the midline, also in a turned head.
_MIDLINE_MM = 10.0
# How to correct a header, by what it exchanges: top and bottom, front and back. A patient can lie
# turned; a mirror image is rarer, and differs from it in left and right only.
_CORRECTIONS = {
    (True, True): "rotate180x",
    (True, False): "rotate180y",
    (False, True): "rotate180z",
}
# CT numbers inside the labels, up to dense bone, must exceed those of the labels moved by
# these distances (or the next whole voxel) along any axes.
_DENSE_HU = 600.0
_MOVES_MM = (2.5, 5.0)
_LEAST_GAIN_HU = 5.0


def check_scan(ct):
    """Return why a scan is not in HU.

    Args:
        ct: array of CT numbers.

    Returns:
        The reason in a few words, or None.
    """
    low, high = float(ct.min()), float(ct.max())
    if low == high:
        return f"the CT is {low:g} everywhere"
    if low >= _AIR_BELOW_HU:
        return f"no air (CT numbers {low:g} to {high:g}); the CT is not in HU, or has no air in it"
    return None


def check_size(labels):
    """Return why labels do not have the size of a neck.

    Args:
        labels: `Volume` with C1..C7.

    Returns:
        The reason in a few words, or None.
    """
    boxes = scipy.ndimage.find_objects(labels.array, max_label=len(VERTEBRAE))
    corners = np.array([[(part.start, part.stop) for part in box] for box in boxes])
    starts, stops = corners[..., 0].min(axis=0), corners[..., 1].max(axis=0)
    array = labels.array[tuple(map(slice, starts, stops))]
    places = np.nonzero((array >= 1) & (array <= len(VERTEBRAE)))
    numbers = array[places]
    heights = [places[2][numbers == number].mean() for number in (1, len(VERTEBRAE))]
    length = (heights[0] - heights[1]) * labels.spacing_mm[2]
    if not _LENGTH_RANGE_MM[0] <= length <= _LENGTH_RANGE_MM[1]:
        return (
            f"{length:.3g} mm from C1 to C7 ({_LENGTH_RANGE_MM[0]:g} to {_LENGTH_RANGE_MM[1]:g} "
            "are possible); correct the voxel size"
        )
    for axis, (name, (low, high)) in enumerate(_WIDTH_RANGE_MM.items()):
        width = (stops - starts)[axis] * labels.spacing_mm[axis]
        if not low <= width <= high:
            return (
                f"C1 to C7 are {width:.3g} mm wide along {name} ({low:g} to {high:g} are "
                "possible); correct the voxel size"
            )
    return None


def check_direction(labels):
    """Return how the numbers and shapes of C1..C7 contradict the directions of the axes.

    Left and right are not told: a neck is nearly symmetric.

    Args:
        labels: `Volume` with C1..C7.

    Returns:
        The fault in a few words and its correction, a name of `header_correction.CORRECTIONS`;
        or None.
    """
    heights = [places[2].mean() for _, places in _places(labels)]
    upside_down = bool(np.all(np.diff(heights) > 0))
    backwards = facing_mm(labels) < -_BACKWARDS_MM
    if not upside_down and not backwards:
        return None
    words = ["C1 to C7 follow each other upwards"] if upside_down else []
    words += ["the spinous processes of C2 to C7 point to the front"] if backwards else []
    return " and ".join(words), _CORRECTIONS[upside_down, backwards]


def facing_mm(labels):
    """Return how far the centres of C2..C7 lie in front of the middles of their boxes.

    Args:
        labels: `Volume` with C2..C7.

    Returns:
        Median of C2..C7 in mm; positive in a neck that faces to the front, 0 where none is left.
    """
    distances = [
        (places[1].min() + places[1].max()) / 2 - places[1].mean()
        for number, places in _places(labels)
        if number in _FACING
    ]
    return float(np.median(distances) * labels.spacing_mm[1]) if distances else 0.0


def check_levels(labels):
    """Return why the labels are perhaps those of other vertebrae, such as C2 to T1.

    Args:
        labels: `Volume` with C1..C7 whose directions are right (`check_direction`).

    Returns:
        The reason in a few words, or None; None too where label 1 or 2 is missing.
    """
    rise_mm = dens_rise_mm(labels)
    if math.isnan(rise_mm) or rise_mm > 0:
        return None
    return (
        "the second vertebra does not rise into the first as C2 does into C1: the labels are "
        "perhaps one level off; look at them, and correct the label files or --label_map"
    )


def dens_rise_mm(labels):
    """Return how far label 2 reaches above the middle of label 1, as the dens of C2 does.

    Args:
        labels: `Volume`.

    Returns:
        Upper face of label 2, up to 10 mm beside its midline, less the mean height of label 1, in
        mm; NaN where one of them is missing.
    """
    places = dict(_places(labels))
    if not {1, 2} <= places.keys():
        return float("nan")
    x, _, z = places[2]
    beside_mm = np.abs(x - (x.min() + x.max()) / 2) * labels.spacing_mm[0]
    top = z[beside_mm <= _MIDLINE_MM].max(initial=z.min())
    return float((top + 0.5 - places[1][2].mean()) * labels.spacing_mm[2])


def _places(labels):
    """Yield number and indices ``(3, voxels)`` of each vertebra that is there."""
    boxes = scipy.ndimage.find_objects(labels.array, max_label=len(VERTEBRAE))
    for number, box in enumerate(boxes, start=1):
        if box is not None:
            first = [[part.start] for part in box]
            yield number, np.array(np.nonzero(labels.array[box] == number)) + first


def bone_gain_hu(ct, segmentation):
    """Return how much denser the labels' place is than the places around it.

    Args:
        ct: `Volume` in HU.
        segmentation: `Volume` of labels on the same grid.

    Returns:
        Mean CT number inside the labels, clipped to 0..600 HU, less the largest one of the
        places that are 2.5 mm or 5 mm away along one or more axes.
    """
    steps = sorted({math.ceil(move / ct.spacing_mm[0] - 1e-6) for move in _MOVES_MM})
    hu = np.pad(np.clip(ct.array, 0, _DENSE_HU).astype(np.float32), steps[-1])
    x, y, z = (index + steps[-1] for index in np.nonzero(segmentation.array))
    others = [
        float(hu[x + dx, y + dy, z + dz].mean())
        for step in steps
        for dx, dy, dz in itertools.product((0, -step, step), repeat=3)
        if (dx, dy, dz) != (0, 0, 0)
    ]
    return float(hu[x, y, z].mean()) - max(others)


def check_crop(ct, segmentation):
    """Return why a cropped patient cannot be used.

    Args:
        ct: `Volume` in HU.
        segmentation: `Volume` of labels on the same grid.

    Returns:
        The reason in a few words, or None.
    """
    counts = np.bincount(segmentation.array.ravel(), minlength=len(VERTEBRAE) + 1)
    lost = [name for name, count in zip(VERTEBRAE, counts[1:], strict=True) if not count]
    if lost:
        return f"label {', '.join(lost)} lost in voxels of {ct.spacing_mm[0]:.3g} mm; take smaller"
    median = float(np.median(ct.array[segmentation.array > 0]))
    low, high = _BONE_RANGE_HU
    if not low <= median <= high:
        return (
            f"a median of {median:g} HU in C1 to C7 ({low:g} to {high:g} are possible); the CT is "
            "not in HU, or the labels are of another scan"
        )
    if bone_gain_hu(ct, segmentation) < _LEAST_GAIN_HU:
        return "C1 to C7 do not lie on the bones; the labels are of another scan"
    return None


def check_films(films):
    """Return why films show nothing.

    Args:
        films: dict of ``ap`` and ``la``.

    Returns:
        The reason in a few words, or None.
    """
    for view in VIEWS:
        film = films[view]
        if not np.isfinite(film).all() or film.min() == film.max():
            return f"nothing is to be seen on the {view.upper()} film"
    return None
