"""Further windows around the neck, once the windows over the whole scan have found it.

A window of 64 voxels of 2.5 mm holds all of C1 to C7, so that the network sees their order.
The windows over the whole scan rarely lie so.
"""

import dataclasses

import numpy as np
import scipy

from xctrs_tf.ct_segmentation.windows import pad_to_window, window_weights
from xctrs_tf.data.volumes.intensity import normalise_hu

# Shift of the windows from the middle of the neck, in edges of a window. They lie at the corners
# of a tetrahedron; in two the patient is mirrored, left and right.
_SHIFT = 1 / 16
_WINDOWS = (
    ((1, 1, 1), False),
    ((-1, -1, 1), True),
    ((-1, 1, -1), False),
    ((1, -1, -1), True),
)
# Weight of the windows over the whole scan beside the largest weight of these.
_EARLIER_WEIGHT = 0.02
# Vertebrae that touch when each grows by this belong to one neck: by two voxels of 2.5 mm.
_GROWTH_MM = 5.0
# A neck has over 5,000 voxels of 2.5 mm in vertebrae (93 necks of OpenKBP); less than a
# twentieth is no neck, and its middle is none.
_LEAST_MM3 = 250 * 2.5**3


def refine_at_neck(network, prediction, progress=None):
    """Segment the neck again in windows that hold all of it.

    Args:
        network: as of `windows.predict_windows`.
        prediction: `Prediction` of the whole scan.
        progress: as of `windows.predict_windows`.

    Returns:
        `Prediction` with the mean of both near the middle of the neck; the very same where
        the scan shows no neck.
    """
    middle = neck_middle(prediction.probabilities, prediction.spacing_mm)
    if middle is None:
        return prediction
    size = network.size
    padded, inside = pad_to_window(prediction.hu, size)
    middle = middle + [part.start for part in inside]
    probabilities = prediction.probabilities.copy()
    weights = window_weights(size)
    low, high = np.array(padded.shape), np.zeros(3, int)
    windows = []
    for corner, mirrored in _WINDOWS:
        start = np.rint(middle + np.array(corner) * (_SHIFT * size) - (size - 1) / 2).astype(int)
        start = np.clip(start, 0, np.array(padded.shape) - size)
        windows.append((start, mirrored))
        low, high = np.minimum(low, start), np.maximum(high, start + size)
    total = np.zeros(tuple(high - low), np.float32)
    mean = np.zeros((*total.shape, probabilities.shape[-1]), np.float32)
    for start, mirrored in progress(windows, "segmenting the neck") if progress else windows:
        cube = normalise_hu(padded[tuple(slice(s, s + size) for s in start)])
        cube = cube[::-1] if mirrored else cube
        answer = np.asarray(network(cube[np.newaxis, ..., np.newaxis])[0])
        answer = answer[::-1] if mirrored else answer
        part = tuple(slice(s, s + size) for s in start - low)
        mean[part] += weights[..., np.newaxis] * answer
        total[part] += weights
    # From the padded box to the box of the volume that it covers.
    first = np.array([part.start for part in inside])
    shape = np.array(prediction.hu.shape)
    box_low, box_high = np.maximum(low - first, 0), np.minimum(high - first, shape)
    box = tuple(map(slice, box_low, box_high))
    new = tuple(map(slice, box_low + first - low, box_high + first - low))
    earlier = np.float32(_EARLIER_WEIGHT * weights.max())
    mixed = mean[new] + earlier * probabilities[box]
    probabilities[box] = mixed / (total[new] + earlier)[..., np.newaxis]
    return dataclasses.replace(prediction, probabilities=probabilities)


def neck_middle(probabilities, spacing_mm):
    """Return the middle of the neck's vertebrae.

    Args:
        probabilities: ``[x, y, z, class]``, class 0 is background.
        spacing_mm: edge of a voxel.

    Returns:
        Indices ``(3,)`` of the middle of the box of the largest group of vertebrae, or None where
        there is no group of a neck's size.
    """
    bone = probabilities[..., 0] < 0.5
    least = _LEAST_MM3 / spacing_mm**3
    if np.count_nonzero(bone) < least:
        return None
    near = scipy.ndimage.binary_dilation(bone, iterations=max(round(_GROWTH_MM / spacing_mm), 1))
    groups, count = scipy.ndimage.label(near)
    sizes = np.bincount(groups[bone], minlength=count + 1)
    sizes[0] = 0
    if sizes.max() < least:
        return None
    places = np.argwhere(bone & (groups == sizes.argmax()))
    return (places.min(axis=0) + places.max(axis=0)) / 2
