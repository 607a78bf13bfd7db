"""Smooth random mottling fixed in the world, the same on every grid."""

import numpy as np

# Lattices cover this far from the world's origin; beyond it they repeat.
LATTICE_NODES = 64


def _weights(coordinates, pitch_mm):
    """Linear interpolation weights from lattice nodes to coordinates."""
    position = coordinates / pitch_mm + LATTICE_NODES / 2
    left = np.floor(position).astype(int)
    fraction = (position - left).astype(np.float32)
    matrix = np.zeros((coordinates.size, LATTICE_NODES), np.float32)
    rows = np.arange(coordinates.size)
    matrix[rows, left % LATTICE_NODES] = 1 - fraction
    matrix[rows, (left + 1) % LATTICE_NODES] += fraction
    return matrix


def mottle(rng, grid, pitch_mm):
    """Random field of unit variance at its nodes, interpolated linearly.

    Args:
        rng: `numpy.random.Generator`; draws the same number of values for any grid.
        grid: `raster.Grid`.
        pitch_mm: distance between nodes: the size of the blobs.

    Returns:
        float32 array of the grid's shape.
    """
    nodes = rng.standard_normal((LATTICE_NODES,) * 3, dtype=np.float32)
    # Blobs below the voxel would alias; averaging makes them fade instead.
    nodes *= np.float32(min(1.0, (2 * pitch_mm / grid.spacing_mm) ** 1.5))
    for axis in range(3):
        weights = _weights(grid.axis(axis), pitch_mm)
        nodes = np.moveaxis(np.tensordot(weights, nodes, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(nodes)
