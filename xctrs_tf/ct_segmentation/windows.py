"""A segmentation network over a whole scan, in overlapping windows; labels on the scan's voxels."""

import dataclasses
import itertools

import numpy as np
import scipy

from xctrs_tf.data.volumes.intensity import AIR_HU, normalise_hu
from xctrs_tf.geometry import NUM_CLASSES

# Windows begin at every half of their edge, so that most voxels are in eight of them.
OVERLAP = 0.5
# Standard deviation of a window's weights, in edges, and the smallest weight beside the largest:
# where a scan ends, voxels are in the corner of one window alone.
_SIGMA = 0.125
_LEAST_WEIGHT = 1e-4
# A vertebra has 587 or more voxels of 2.5 mm that are denser, in the 93 necks of OpenKBP
# (medians 1206). A window with fewer than a tenth shows none that a neighbour does not show whole.
_BONE_HU = 150.0
_BONE_VOXELS = 58
# Voxels of the scan that get their labels at once; temporary arrays stay below 100 MB.
_PART_VOXELS = 2**22
# Probability of bone at the centre of a voxel that is kept, at least, and of another, at most.
_KEPT, _LEFT = 0.51, 0.49


@dataclasses.dataclass(frozen=True)
class Prediction:
    """Probabilities of the classes on the grid of a network volume.

    Attributes:
        probabilities: float16 ``[x, y, z, class]``; class 0 is background, 1..7 are C1..C7.
        hu: float32 ``[x, y, z]`` in HU, on the same grid.
        spacing_mm: edge of a voxel in mm.
        origin_mm: LPS position of the centre of voxel ``[0, 0, 0]``.
    """

    probabilities: np.ndarray
    hu: np.ndarray
    spacing_mm: float
    origin_mm: tuple


def predict_windows(network, volume, progress=None):
    """Segment a volume of any size with a network for cubes.

    Windows without bone are left out: they are background. A volume smaller than a window is
    surrounded by air. Only the layers that are not yet done are in memory as float32.

    Args:
        network: function from float32 ``(batch, size, size, size, 1)`` in [0, 1] to
            probabilities ``(batch, size, size, size, 8)``, with the attribute ``size``.
        volume: `Volume` in HU, of cubic voxels of the network's spacing.
        progress: function from an iterable and a description to an iterable that shows
            progress, such as `xctrs_tf.progress.progress_bar`; None shows nothing.

    Returns:
        `Prediction` on the grid of the volume.
    """
    hu = np.asarray(volume.array, np.float32)
    size = network.size
    padded, inside = pad_to_window(hu, size)
    bone = padded > _BONE_HU
    windows = [
        window
        for window in itertools.product(*(_starts(length, size) for length in padded.shape))
        if np.count_nonzero(bone[_box(window, size)]) >= _BONE_VOXELS
    ]
    del bone
    # From the bottom to the top: what is below the current window is done.
    windows.sort(key=lambda window: window[::-1])
    layers = _Layers(padded.shape, size)
    for window in progress(windows, "segmenting") if progress else windows:
        cube = normalise_hu(padded[_box(window, size)])
        layers.add(window, np.asarray(network(cube[np.newaxis, ..., np.newaxis])[0]))
    probabilities = layers.finish()[inside]
    return Prediction(
        probabilities, hu, float(volume.spacing_mm[0]), tuple(map(float, volume.origin_mm))
    )


def at_threshold(prediction, bone_threshold):
    """Change probabilities so that bone is what had more than a threshold.

    The odds of all vertebrae are changed by the same factor; 0.5 changes nothing.

    Args:
        prediction: `Prediction`.
        bone_threshold: probability of bone, above 0 and below 1, that becomes 0.5.

    Returns:
        `Prediction`.
    """
    if bone_threshold == 0.5:
        return prediction
    changed = np.empty_like(prediction.probabilities)
    factors = np.full(NUM_CLASSES, 1 - bone_threshold, np.float32)
    factors[0] = bone_threshold
    for plane, before in zip(changed, prediction.probabilities, strict=True):
        weighted = before * factors
        plane[:] = weighted / np.maximum(weighted.sum(axis=-1, keepdims=True), 1e-6)
    return dataclasses.replace(prediction, probabilities=changed)


def labels_on_scan(prediction, labels, scan):
    """Bring labels from the grid of a prediction to the scan's own voxels, with smooth borders.

    A voxel is bone where the probability, interpolated between the centres of the prediction's
    voxels, is over one half. Its label is that which most of the voxels around have.

    Args:
        prediction: `Prediction`.
        labels: uint8 ``[x, y, z]`` on its grid, any numbers; 0 is background. Bone that has
            no label there gets none, and a labelled voxel is bone.
        scan: `Scan`.

    Returns:
        uint8 ``[x, y, z]`` of the shape of ``scan.hu``.
    """
    found = np.zeros_like(scan.hu, np.uint8)
    kept = scipy.ndimage.find_objects((labels > 0).astype(np.uint8))
    if not kept:
        return found
    # With a rim of background.
    low = np.maximum([part.start - 1 for part in kept[0]], 0)
    high = np.minimum([part.stop + 1 for part in kept[0]], labels.shape)
    box = tuple(map(slice, low, high))
    labels = labels[box]
    bone = 1 - prediction.probabilities[box][..., 0].astype(np.float32)
    bone = np.where(labels > 0, np.maximum(bone, _KEPT), np.minimum(bone, _LEFT))
    # From the indices of the scan to those of the box.
    matrix = scan.grid.direction * scan.grid.spacing_mm / prediction.spacing_mm
    offset = (scan.grid.origin_mm - prediction.origin_mm) / prediction.spacing_mm - low
    first, last = _reach(matrix, offset, labels.shape, found.shape)
    step = max(1, int(_PART_VOXELS / np.prod((last - first)[:2], dtype=float)))
    for start in range(first[2], last[2], step):
        corner = np.array([first[0], first[1], start])
        shape = np.minimum(last - corner, (*found.shape[:2], step))
        # scipy takes the numbers of an upright grid as a line, and needs less time then.
        upright = not np.any(matrix - np.diag(np.diag(matrix)))
        inside = scipy.ndimage.affine_transform(
            bone,
            np.diag(matrix) if upright else matrix,
            offset + matrix @ corner,
            tuple(shape),
            order=1,
            mode="nearest",
        )
        places = np.argwhere(inside > 0.5) + corner
        found[tuple(places.T)] = _most_around(labels, places @ matrix.T + offset)
    return found


def _reach(matrix, offset, shape, scan_shape):
    """Return the first and last index of the scan's voxels that a box holds."""
    corners = np.array(list(np.ndindex(2, 2, 2))) * np.array(shape) - 0.5
    indices = np.linalg.solve(matrix, (corners - offset).T).T
    low = np.maximum(np.floor(indices.min(axis=0)), 0).astype(int)
    return low, np.minimum(np.ceil(indices.max(axis=0)) + 1, scan_shape).astype(int)


def _most_around(labels, positions):
    """Return the label with the largest share of the eight voxels around each position.

    Args:
        labels: uint8 array.
        positions: ``(number, 3)`` indices that may be fractions.

    Returns:
        uint8 ``(number,)``.
    """
    last = np.array(labels.shape) - 1
    positions = np.clip(positions, 0, last)
    below = np.floor(positions).astype(int)
    corners = list(np.ndindex(2, 2, 2))
    around = np.array([labels[tuple(np.minimum(below + each, last).T)] for each in corners])
    best = around.max(axis=0)
    # Where they all agree, there is no need to count.
    several = np.where(around > 0, around, best).min(axis=0) < best
    around, share = around[:, several], (positions - below)[several]
    shares = [np.prod(np.where(each, share, 1 - share), axis=1) for each in corners]
    numbers = np.unique(around[around > 0])
    totals = [np.where(around == number, shares, 0).sum(axis=0) for number in numbers]
    if len(numbers):
        best[several] = numbers[np.argmax(totals, axis=0)]
    return best


class _Layers:
    """Weighted mean of the windows' probabilities, finished layer by layer from the bottom.

    Args:
        shape: of the volume.
        size: voxels a side of a window.
    """

    def __init__(self, shape, size):
        self._size, self._start = size, 0
        self._weights = window_weights(size)
        self._sums = np.zeros((*shape[:2], size, NUM_CLASSES), np.float32)
        self._totals = np.zeros((*shape[:2], size), np.float32)
        self._done = np.zeros((*shape, NUM_CLASSES), np.float16)
        # What no window shows is background.
        self._done[..., 0] = 1

    def add(self, window, probabilities):
        """Add the probabilities of a window; none may begin below an earlier one."""
        x, y, z = window
        if z > self._start:
            self._move(z)
        place = slice(x, x + self._size), slice(y, y + self._size)
        self._sums[place] += self._weights[..., np.newaxis] * probabilities
        self._totals[place] += self._weights

    def finish(self):
        """Return the probabilities of the whole volume, float16."""
        self._move(self._start + self._size)
        return self._done

    def _move(self, start):
        """Finish the layers below ``start``."""
        count = min(start - self._start, self._size)
        sums, totals = self._sums[:, :, :count], self._totals[:, :, :count]
        shown = totals > 0
        self._done[:, :, self._start : self._start + count][shown] = (
            sums[shown] / totals[shown][:, np.newaxis]
        )
        for array in (self._sums, self._totals):
            array[:, :, : self._size - count] = array[:, :, count:].copy()
            array[:, :, self._size - count :] = 0
        self._start = start


def pad_to_window(hu, size):
    """Surround a volume with air where it is smaller than a window.

    Args:
        hu: ``[x, y, z]`` in HU.
        size: voxels a side of a window.

    Returns:
        The padded volume, and a tuple of the slices of the volume in it.
    """
    missing = np.maximum(size - np.array(hu.shape), 0)
    before = missing // 2
    inside = tuple(slice(b, b + length) for b, length in zip(before, hu.shape, strict=True))
    if not missing.any():
        return hu, inside
    widths = list(zip(before, missing - before, strict=True))
    return np.pad(hu, widths, constant_values=AIR_HU), inside


def _starts(length, size):
    """Return the first voxels of the windows along an axis, evenly spaced from end to end."""
    count = 1 + int(np.ceil((length - size) / (size * (1 - OVERLAP))))
    return np.rint(np.linspace(0, length - size, count)).astype(int).tolist()


def _box(start, size):
    return tuple(slice(first, first + size) for first in start)


def window_weights(size):
    """Return the weight of each voxel of a window, a Gaussian: the middle is known best.

    Args:
        size: voxels a side of a window.

    Returns:
        float32 ``(size, size, size)``, the largest near 1.
    """
    line = np.exp(-0.5 * ((np.arange(size) - (size - 1) / 2) / (_SIGMA * size)) ** 2)
    weights = line[:, np.newaxis, np.newaxis] * line[:, np.newaxis] * line
    return np.maximum(weights, _LEAST_WEIGHT).astype(np.float32)
