"""Oriented box of a vertebra: its place, size and rotation in nine parameters."""

import dataclasses

import numpy as np

from xctrs_tf.data.stream.rigid_motion import euler_degrees, rotation_matrix


@dataclasses.dataclass(frozen=True)
class OrientedBox:
    """A box along the axes of a vertebra.

    Attributes:
        centre_mm: LPS position of the middle of the box, ``(x, y, z)``.
        size_mm: lengths from left to right, front to back, and bottom to top of the
            vertebra.
        rotation_deg: rotation from the LPS axes to those of the vertebra, about x, then y,
            then z (`rigid_motion.rotation_matrix`).
    """

    centre_mm: tuple
    size_mm: tuple
    rotation_deg: tuple

    @property
    def axes(self):
        """Unit vectors of the vertebra as columns ``(3, 3)``: to its left, back and top."""
        return rotation_matrix(self.rotation_deg)

    @property
    def corners_mm(self):
        """LPS positions of the eight corners, ``(8, 3)``."""
        signs = np.array(np.meshgrid(*[(-0.5, 0.5)] * 3, indexing="ij")).reshape(3, 8).T
        return np.array(self.centre_mm) + (signs * self.size_mm) @ self.axes.T


def oriented_box(mask_points_mm, voxel_mm=0.0):
    """Return the box of a vertebra along its own axes.

    Args:
        mask_points_mm: LPS positions of the centres of its voxels, ``(n, 3)``.
        voxel_mm: edge of a voxel, by which the box is longer than between centres.

    Returns:
        `OrientedBox`.
    """
    points = np.asarray(mask_points_mm, np.float64)
    axes = np.eye(3)
    inside = points @ axes
    low, high = inside.min(axis=0), inside.max(axis=0)
    return OrientedBox(
        tuple((axes @ ((low + high) / 2)).tolist()),
        tuple((high - low + voxel_mm).tolist()),
        tuple(euler_degrees(axes).tolist()),
    )
