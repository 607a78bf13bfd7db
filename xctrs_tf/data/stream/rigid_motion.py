"""Rotation and translation of a voxel array about a point."""

import numpy as np
import scipy


def euler_degrees(matrix):
    """Return the angles of `geometry.rotation_matrix` for a matrix."""
    return scipy.spatial.transform.Rotation.from_matrix(matrix).as_euler("xyz", degrees=True)


def moved_grid(size, rotation, shift):
    """Return where the voxels of a cube come from, once what it shows has moved.

    Args:
        size: voxels a side.
        rotation: matrix of the motion, about the cube's middle.
        shift: translation after it, in voxels.

    Returns:
        Matrix and offset that take a voxel's indices to those before the motion, as
        `scipy.ndimage.affine_transform` wants them.
    """
    middle = (size - 1) / 2
    return rotation.T, middle - rotation.T @ (middle + np.asarray(shift))


def move_labels(labels, matrix, offset):
    """Return labels after a motion, by the nearest voxel.

    Only the box in which the labels can lie afterwards is computed, since most of a cube has
    none.

    Args:
        labels: ``[x, y, z]`` of whole numbers, 0 for none.
        matrix: of `moved_grid`, a rotation.
        offset: of `moved_grid`.

    Returns:
        Array of the same shape and type.
    """
    moved = np.zeros_like(labels)
    lines = [np.flatnonzero(labels.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    if not len(lines[0]):
        return moved
    corners = np.array(np.meshgrid(*((line[0] - 1, line[-1] + 1) for line in lines)))
    places = matrix.T @ (corners.reshape(3, -1) - np.reshape(offset, (3, 1)))
    low = np.clip(np.floor(places.min(1)).astype(int), 0, labels.shape)
    high = np.clip(np.ceil(places.max(1)).astype(int) + 1, low, labels.shape)
    part = tuple(map(slice, low, high))
    moved[part] = scipy.ndimage.affine_transform(
        labels, matrix, offset + matrix @ low, high - low, order=0
    )
    return moved
