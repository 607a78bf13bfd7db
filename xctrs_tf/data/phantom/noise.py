"""Mottle of the tissues, and blur and noise of the scanner."""

import numpy as np
import scipy

# The mottle's lattice covers this many nodes about the world's origin, then repeats.
LATTICE_NODES = 64

# Blur of a neck protocol with a medium kernel, and noise at 1 mm voxels.
BLUR_MM = 0.45
NOISE_HU = 14.0
# In-plane correlation of the noise; unit energy preserves its strength.
KERNEL = np.float32([0.25, 0.9354, 0.25])


def mottle(rng, grid, pitch_mm):
    """Draw a smooth random field that is fixed in the world, the same on every grid.

    Its values at the nodes of a lattice are normal with unit variance; between them
    it is interpolated linearly.

    Args:
        rng: `numpy.random.Generator`; the number of draws is the same for every grid.
        grid: `raster.Grid`.
        pitch_mm: distance between the nodes, which is the size of the blobs.

    Returns:
        float32 array of the grid's shape.
    """
    nodes = rng.standard_normal((LATTICE_NODES,) * 3, dtype=np.float32)
    # Blobs smaller than a voxel would alias; fade them, as averaging does.
    nodes *= np.float32(min(1.0, (2 * pitch_mm / grid.spacing_mm) ** 1.5))
    for axis in range(3):
        weights = _weights(grid.axis(axis), pitch_mm)
        nodes = np.moveaxis(np.tensordot(weights, nodes, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(nodes)


def add_scanner_noise(hu, spacing_mm, rng):
    """Add the scanner's blur and noise.

    The noise falls with the voxel's size, as averaging makes it do.

    Args:
        hu: float32 CT numbers, changed in place.
        spacing_mm: edge of a voxel.
        rng: `numpy.random.Generator`.

    Returns:
        float32 CT numbers.
    """
    sigma = BLUR_MM / spacing_mm
    if sigma > 0.2:
        hu = scipy.ndimage.gaussian_filter(hu, sigma, truncate=3.0)
    noise = rng.standard_normal(hu.shape, dtype=np.float32)
    for axis in (0, 1):
        noise = scipy.ndimage.correlate1d(noise, KERNEL, axis)
    hu += noise * np.float32(NOISE_HU * min(1.6, spacing_mm**-0.75))
    return hu


def _weights(coordinates, pitch_mm):
    """Return linear interpolation weights from lattice nodes to coordinates."""
    position = coordinates / pitch_mm + LATTICE_NODES / 2
    left = np.floor(position).astype(int)
    fraction = (position - left).astype(np.float32)
    matrix = np.zeros((coordinates.size, LATTICE_NODES), np.float32)
    rows = np.arange(coordinates.size)
    matrix[rows, left % LATTICE_NODES] = 1 - fraction
    matrix[rows, (left + 1) % LATTICE_NODES] += fraction
    return matrix
