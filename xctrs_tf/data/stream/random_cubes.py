"""Training cubes like those of any CT: random place, field of view, resolution, noise and metal.

Every change is a function of its arguments and a random generator alone.
"""

import numpy as np
import scipy

from xctrs_tf.data.volumes.intensity import AIR_HU, normalise_hu
from xctrs_tf.geometry import rotation_matrix

# Rotation of the patient about each axis, and size of the patient beside the true one.
ROTATION_DEG = 12.0
SCALE = (0.88, 1.14)
# Shares of the cubes that lie anywhere in the scan, and anywhere along C1 to C7. The others hold
# all of C1 to C7, since the segmenter puts its last windows so.
ANYWHERE = 0.2
ALONG = 0.3
# Largest distance between the middles of a cube and of C1 to C7, in edges of the cube: along x, y
# and z. Along the spine, z has half the length of C1 to C7 in addition.
CENTRED_BY = (0.12, 0.12, 0.12)
ALONG_BY = (0.2, 0.2, 0.3)
# Share of the cubes in which a scan ends, and the smallest part of an edge that is left.
CUT = 0.25
SMALLEST_PART = 0.4
# Share of the cubes that are made of coarser voxels, and their largest edge in voxels.
COARSE = 0.4
COARSEST = 2.0
# Largest standard deviation of the noise, and largest error of the CT numbers.
NOISE_HU = 60.0
OFFSET_HU = 30.0
GAIN = 0.06
# Share of the cubes with metal; its CT number is above the window of the networks.
METAL = 0.15
METAL_HU = 3000.0
METAL_RADIUS = (0.6, 2.5)  # voxels
STREAK_HU = 500.0


def random_cube(case, rng):
    """Cut a random cube out of a patient's scan.

    The patient is turned and scaled, the cube lies near the neck or anywhere in the scan, and
    the scan may end within it, in air. CT numbers get noise and sometimes metal with
    streaks. Vertebrae that the cube or the end of the scan cuts keep the labels of what is left.

    Args:
        case: a `Case`; its scan where it has one, else its crop.
        rng: `numpy.random.Generator`.

    Returns:
        Dict of ``ct`` float32 ``(size, size, size, 1)`` in [0, 1] and ``segmentation`` uint8
        ``(size, size, size)``.
    """
    size = case.ct.shape[0]
    hu = case.ct if case.scan is None else case.scan
    start = np.asarray(case.scan_start, float)
    matrix = rotation_matrix(rng.uniform(-ROTATION_DEG, ROTATION_DEG, 3)) / rng.uniform(*SCALE)
    offset = _centre(case.segmentation, start, hu.shape, rng) - matrix @ np.full(3, (size - 1) / 2)
    ct = scipy.ndimage.affine_transform(
        hu, matrix, offset - start, (size,) * 3, output=np.float32, order=1, cval=AIR_HU
    )
    labels = scipy.ndimage.affine_transform(
        case.segmentation, matrix, offset, (size,) * 3, order=0, cval=0
    )
    if rng.random() < COARSE:
        ct = _coarse(ct, rng.uniform(1, COARSEST, 3))
    ct = (ct - AIR_HU) * rng.uniform(1 - GAIN, 1 + GAIN) + AIR_HU
    ct += rng.uniform(-OFFSET_HU, OFFSET_HU)
    if rng.random() < METAL:
        ct = add_metal(ct, rng)
    ct += np.float32(rng.uniform(0, NOISE_HU)) * rng.standard_normal(ct.shape, np.float32)
    if rng.random() < CUT:
        outside = _outside_of_a_box(size, rng)
        ct[outside], labels[outside] = AIR_HU, 0
    return {"ct": normalise_hu(ct)[..., np.newaxis], "segmentation": labels}


def add_metal(ct, rng):
    """Put some pieces of metal, with streaks in their axial planes, into a cube.

    Args:
        ct: float32 CT numbers ``[x, y, z]`` in HU.
        rng: `numpy.random.Generator`.

    Returns:
        float32 array of the same shape, in HU.
    """
    ct = ct.copy()
    inside = np.argwhere(ct > -200)
    if not len(inside):
        return ct
    x, y, z = np.ogrid[tuple(map(slice, ct.shape))]
    near = inside[rng.integers(len(inside))]
    for _ in range(rng.integers(1, 4, endpoint=True)):
        centre = near + rng.normal(0, 4, 3)
        radius = rng.uniform(*METAL_RADIUS)
        across, along = np.hypot(x - centre[0], y - centre[1]), np.abs(z - centre[2])
        angle = np.arctan2(y - centre[1], x - centre[0])
        waves = np.cos(rng.integers(2, 6) * angle + rng.uniform(0, 2 * np.pi))
        fall = radius / (radius + across) * np.exp(-((along / radius) ** 2))
        ct += (rng.uniform(0, STREAK_HU) * waves * fall).astype(np.float32)
        ct[np.hypot(across, along) < radius] = METAL_HU
    return ct


def _centre(labels, start, shape, rng):
    """Draw the centre of a cube, in voxels of the crop."""
    kind = rng.random()
    if kind < ANYWHERE:
        return start + rng.uniform(0, 1, 3) * (np.asarray(shape) - 1)
    places = np.argwhere(labels)
    low, high = places.min(0), places.max(0)
    edges = np.asarray(labels.shape)
    if kind < ANYWHERE + ALONG:
        reach = edges * ALONG_BY + (0, 0, (high - low)[2] / 2)
    else:
        reach = edges * CENTRED_BY
    return (low + high) / 2 + rng.uniform(-1, 1, 3) * reach


def _coarse(ct, edges):
    """Return a cube as voxels of longer edges, or thicker slices, would show it."""
    blurred = scipy.ndimage.gaussian_filter(ct, (edges - 1) / 2)
    few = scipy.ndimage.zoom(blurred, 1 / edges, order=1, grid_mode=True, mode="nearest")
    back = np.asarray(ct.shape) / few.shape
    return scipy.ndimage.zoom(few, back, order=1, grid_mode=True, mode="nearest")


def _outside_of_a_box(size, rng):
    """Draw where a cube shows nothing, since the scan ends at a box."""
    outside = np.ones((size,) * 3, bool)
    edges = np.where(rng.random(3) < 0.5, 1.0, rng.uniform(SMALLEST_PART, 1, 3))
    first = rng.uniform(0, 1 - edges)
    low, high = np.round(first * size).astype(int), np.round((first + edges) * size).astype(int)
    outside[tuple(map(slice, low, high))] = False
    return outside
