"""Rotation and translation of a voxel array about a point."""

import numpy as np
import scipy


def rotation_matrix(degrees):
    """Return the matrix of the rotation about x, then y, then z.

    Args:
        degrees: three angles.

    Returns:
        float64 ``(3, 3)``.
    """
    return scipy.spatial.transform.Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()


def euler_degrees(matrix):
    """Return the angles of `rotation_matrix` for a matrix."""
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
