"""Surfaces of the labels of a scan, whose voxels may be oblique and of unequal edges."""

import itertools

import numpy as np
import scipy

from xctrs_tf.report.meshes import SMOOTHING_VOXELS, Mesh, isosurface

# Edge in mm of the voxels of which surfaces are made. Finer scans would give files of tens of
# megabytes that show no more, since the network sees voxels of 2.5 mm.
MESH_MM = 1.0
# Voxels around a box, wide enough for the smoothing.
_PADDING_VOXELS = 4


def label_boxes(labels):
    """Return the box of each label that is present.

    Args:
        labels: uint8 ``[x, y, z]``.

    Returns:
        Dict from label to a tuple of three slices.
    """
    found = scipy.ndimage.find_objects(labels)
    return {label: box for label, box in enumerate(found, start=1) if box is not None}


def scan_mesh(mask, grid, low=(0, 0, 0), spacing_mm=MESH_MM):
    """Return the surface of one vertebra: watertight, smooth, and of the mask's volume.

    The mask is brought to voxels of equal edges along the LPS axes. Smoothing shrinks thin
    bone; therefore the level is not 0.5 but the one that encloses the mask's volume.

    Args:
        mask: bool ``[x, y, z]``, not empty: a part of the grid.
        grid: `data.volumes.grid.Grid` of the scan.
        low: index in the grid of the mask's voxel ``[0, 0, 0]``.
        spacing_mm: edge of the voxels that the surface is made of.

    Returns:
        `report.meshes.Mesh` in LPS.
    """
    edges_mm = np.asarray(grid.spacing_mm, float)
    # Of the coarser voxels of the two, so that neither leaves steps.
    sigma = SMOOTHING_VOXELS * np.maximum(1.0, spacing_mm / edges_mm)
    padding = np.ceil(_PADDING_VOXELS * sigma / SMOOTHING_VOXELS).astype(int)
    box = np.pad(mask, [(each, each) for each in padding]).astype(np.float32)
    smooth = scipy.ndimage.gaussian_filter(box, sigma)
    start = np.asarray(low) - padding
    ends = zip(start, start + box.shape, strict=True)
    corners = np.array(list(itertools.product(*((first, last - 1) for first, last in ends))))
    corners_mm = grid.origin_mm + corners * edges_mm @ grid.direction.T
    first_mm, last_mm = corners_mm.min(axis=0), corners_mm.max(axis=0)
    shape = np.ceil((last_mm - first_mm) / spacing_mm).astype(int) + 1
    # From an index of the upright voxels to one of the box.
    matrix = grid.direction.T * spacing_mm / edges_mm[:, np.newaxis]
    offset = grid.direction.T @ (first_mm - grid.origin_mm) / edges_mm - start
    field = scipy.ndimage.affine_transform(
        smooth, matrix, offset, output_shape=tuple(shape), order=1, output=np.float64
    )
    volume_mm3 = np.count_nonzero(mask) * np.prod(edges_mm)
    vertices, faces = isosurface(field, _level(field, volume_mm3 / spacing_mm**3))
    return Mesh(first_mm + vertices * spacing_mm, faces)


def _level(field, count):
    """Return the value that this many voxels of a field exceed."""
    ordered = np.sort(field.ravel())[::-1]
    place = min(max(round(count), 1), np.count_nonzero(ordered > 0) - 1)
    return (ordered[place - 1] + ordered[place]) / 2
