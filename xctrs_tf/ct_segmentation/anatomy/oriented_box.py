"""Oriented box of a vertebra: its place, size and rotation in nine parameters."""

import dataclasses

import numpy as np

from xctrs_tf.ct_segmentation.anatomy.neck_shape import FRONT_MM, MIDLINE_MM
from xctrs_tf.data.stream.rigid_motion import euler_degrees
from xctrs_tf.geometry import rotation_matrix

# Points of which the mirror images are looked at, and a distance beyond which all are as bad.
_MIRRORED_POINTS = 250
_FAR_MM = 10.0
_MOST_TURN_DEG = 44.0
_FEWEST_POINTS = 20
# Height of the front at the midline from which it is body and dens of C2: 32 mm or more in C2 and
# up to 30 mm in the others, along z, in the 93 necks of OpenKBP and 100 phantoms.
_DENS_MM = 29.0
_ROUNDS = 3
# A larger tilt is that of a piece which is no whole vertebra.
_MOST_TILT_DEG = 70.0


@dataclasses.dataclass(frozen=True)
class OrientedBox:
    """A box along the axes of a vertebra.

    Attributes:
        centre_mm: LPS position of the middle of the box, ``(x, y, z)``.
        size_mm: lengths from left to right, front to back, and bottom to top of the
            vertebra.
        rotation_deg: rotation from the LPS axes to those of the vertebra, about x, then y,
            then z (`geometry.rotation_matrix`).
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


def oriented_box(mask_points_mm, voxel_mm):
    """Return the box of a vertebra along its own axes.

    The axis from left to right is the normal of the plane in which the vertebra is most like its
    mirror image. In that plane, the axes are the principal ones: the longest leads to the back,
    along the spinous process; in C2, whose dens stands upright, that of its front leads to the top.

    Args:
        mask_points_mm: LPS positions of the centres of its voxels, ``(n, 3)``.
        voxel_mm: edge of a voxel, by which the box is longer than between centres.

    Returns:
        `OrientedBox`.
    """
    points = np.asarray(mask_points_mm, np.float64)
    axes = _axes(points) if len(points) >= _FEWEST_POINTS else np.eye(3)
    inside = points @ axes
    low, high = inside.min(axis=0), inside.max(axis=0)
    return OrientedBox(
        tuple((axes @ ((low + high) / 2)).tolist()),
        tuple((high - low + voxel_mm).tolist()),
        tuple(euler_degrees(axes).tolist()),
    )


def _axes(points):
    """Return unit vectors to the left, back and top of a vertebra, as columns."""
    left, middle = _mirror_plane(points)
    back = np.array([0.0, 1.0, 0.0]) - left[1] * left
    back /= np.linalg.norm(back)
    across = points @ np.stack([back, np.cross(left, back)], axis=1)
    turn = _tilt(across, np.abs(points @ left - middle) <= MIDLINE_MM)
    return np.stack([left, back, np.cross(left, back)], axis=1) @ rotation_matrix((turn, 0, 0))


def _mirror_plane(points):
    """Return normal and place along it of the plane of the best mirror symmetry."""
    from scipy.optimize import minimize
    from scipy.spatial import KDTree

    tree = KDTree(points)
    some = points[:: max(1, len(points) // _MIRRORED_POINTS)]
    centre = points.mean(axis=0)

    def unlike(parameters):
        turns, offset = parameters[:2], parameters[2]
        normal = rotation_matrix((0.0, *turns))[:, 0]
        beyond = (some - centre) @ normal - offset
        distances, _ = tree.query(some - 2 * beyond[:, np.newaxis] * normal)
        return float(np.mean(np.minimum(distances, _FAR_MM) ** 2))

    # From an upright plane through the middle; one degree and half a millimetre are near enough.
    start = np.array([0.0, 0.0, 0.0])
    simplex = np.vstack([start, start + np.diag([8.0, 8.0, 2.0])])
    options = {"initial_simplex": simplex, "xatol": 0.2, "fatol": 1e-3, "maxfev": 90}
    best = minimize(unlike, start, method="Nelder-Mead", options=options).x
    best[:2] = np.clip(best[:2], -_MOST_TURN_DEG, _MOST_TURN_DEG)
    normal = rotation_matrix((0.0, *best[:2]))[:, 0]
    return normal, float(centre @ normal + best[2])


def _tilt(across, is_midline):
    """Return the rotation from the given axes to the principal ones, in degrees.

    Args:
        across: positions along the axes to the back and to the top, ``(n, 2)``.
        is_midline: bool ``(n,)``, whether a point lies near the plane of symmetry.

    Returns:
        float, positive where the back is higher than the front.
    """
    middle = across[is_midline]
    dens_tilt = 0.0
    for _ in range(_ROUNDS):
        # What is the front depends on the tilt.
        turned = _turned(middle, -dens_tilt)
        front = middle[turned[:, 0] <= turned[:, 0].min() + FRONT_MM] if len(middle) else middle
        if len(front) < _FEWEST_POINTS or np.ptp(_turned(front, -dens_tilt)[:, 1]) < _DENS_MM:
            break
        dens_tilt = (_principal(front) + 180.0) % 180.0 - 90.0
    else:
        return dens_tilt
    # All but C2 are longer from front to back than from bottom to top.
    tilt = (_principal(across) + 90.0) % 180.0 - 90.0
    return tilt if abs(tilt) <= _MOST_TILT_DEG else (tilt + 45.0) % 90.0 - 45.0


def _turned(points, degrees):
    return points @ rotation_matrix((0, 0, degrees))[:2, :2].T


def _principal(points):
    """Return the direction of the longest principal axis in the plane, in degrees."""
    values, vectors = np.linalg.eigh(np.cov(points.T))
    longest = vectors[:, int(values.argmax())]
    return float(np.degrees(np.arctan2(longest[1], longest[0])))
