"""Solid shapes as signed distances in mm (negative inside), and their blends.

Every shape has ``distance(x, y, z)`` on broadcastable float32 coordinates and
``support(direction)``, the largest ``point . direction`` over the shape, which gives
its bounding box in any frame. Distances are exact only near the surface, which is
enough for partial volume and cortical shells.
"""

import dataclasses

import numpy as np

from xctrs_tf.geometry import rotation_matrix

IDENTITY = np.eye(3)


def smooth_min(a, b, blend):
    """Return the minimum of two distances, its crease filleted over ``blend`` mm."""
    if blend <= 0:
        return np.minimum(a, b)
    h = np.maximum(blend - np.abs(a - b), 0.0) / np.float32(blend)
    return np.minimum(a, b) - h * h * np.float32(blend / 4)


def smooth_max(a, b, blend):
    """Return the maximum of two distances, its edge rounded over ``blend`` mm."""
    return -smooth_min(-a, -b, blend)


def smoothstep(low, high, value):
    """Return the cubic step from 0 at ``low`` to 1 at ``high``."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)


def rotation(x_deg=0.0, y_deg=0.0, z_deg=0.0):
    """Return the 3x3 matrix of a right-handed rotation about x, then y, then z.

    In LPS axes a positive ``x_deg`` tips the upward axis forward, a positive
    ``y_deg`` tips it to the left, a positive ``z_deg`` turns the face to the left.
    """
    return rotation_matrix((x_deg, y_deg, z_deg))


def rotate_into(axes, x, y, z):
    """Return coordinates along the three columns of ``axes``."""
    axes = np.asarray(axes, np.float32)
    return tuple(x * axes[0, i] + y * axes[1, i] + z * axes[2, i] for i in range(3))


@dataclasses.dataclass(frozen=True)
class BoneFrame:
    """Axes of a bone in the world: ``world = rotation @ local + origin``."""

    rotation: np.ndarray
    origin: np.ndarray

    def to_world(self, point):
        """Return the world position of a local point."""
        return self.rotation @ np.asarray(point, float) + self.origin

    def to_local(self, x, y, z):
        """Return the local coordinates of broadcastable world coordinates."""
        x0, y0, z0 = np.asarray(self.origin, np.float32)
        return rotate_into(self.rotation, x - x0, y - y0, z - z0)


@dataclasses.dataclass(frozen=True)
class Ellipsoid:
    """Ellipsoid with its own axes (the columns of ``axes``)."""

    centre: tuple
    radii: tuple
    axes: np.ndarray = dataclasses.field(default_factory=lambda: IDENTITY)

    def distance(self, x, y, z):
        """Return the distance to first order: exact at the surface, elsewhere of right sign."""
        cx, cy, cz = np.asarray(self.centre, np.float32)
        u, v, w = rotate_into(self.axes, x - cx, y - cy, z - cz)
        a, b, c = np.asarray(self.radii, np.float32)
        u, v, w = u / a, v / b, w / c
        level = np.sqrt(u * u + v * v + w * w)
        slope = np.sqrt((u / a) ** 2 + (v / b) ** 2 + (w / c) ** 2)
        return level * (level - 1) / np.maximum(slope, 1e-3)

    def support(self, direction):
        """Return the largest extent along ``direction``."""
        along = np.asarray(self.axes).T @ direction
        return float(np.dot(self.centre, direction) + np.linalg.norm(along * self.radii))


@dataclasses.dataclass(frozen=True)
class RoundedBox:
    """Box with its own axes; ``radius`` rounds the edges inside the half lengths."""

    centre: tuple
    half: tuple
    radius: float
    axes: np.ndarray = dataclasses.field(default_factory=lambda: IDENTITY)

    def distance(self, x, y, z):
        """Return the exact distance."""
        cx, cy, cz = np.asarray(self.centre, np.float32)
        local = rotate_into(self.axes, x - cx, y - cy, z - cz)
        beyond = [
            np.abs(u) - np.float32(half - self.radius)
            for u, half in zip(local, self.half, strict=True)
        ]
        outside = np.sqrt(sum(np.maximum(q, 0.0) ** 2 for q in beyond))
        inside = np.minimum(np.maximum(np.maximum(beyond[0], beyond[1]), beyond[2]), 0.0)
        return outside + inside - np.float32(self.radius)

    def support(self, direction):
        """Return the largest extent along ``direction``."""
        along = np.abs(np.asarray(self.axes).T @ direction)
        core = np.asarray(self.half) - self.radius
        return float(np.dot(self.centre, direction) + along @ core + self.radius)


@dataclasses.dataclass(frozen=True)
class Rod:
    """Round cone from ``start`` to ``end``, optionally flattened.

    In the direction ``thin`` the cross-section is narrower by the factor
    ``thinness``, as in the plates of laminae and arches.
    """

    start: tuple
    end: tuple
    start_radius: float
    end_radius: float
    thin: tuple = (0.0, 0.0, 1.0)
    thinness: float = 1.0

    def _stretch(self, x, y, z):
        if self.thinness == 1.0:
            return x, y, z
        n = np.asarray(self.thin, np.float32) / np.float32(np.linalg.norm(self.thin))
        along = (x * n[0] + y * n[1] + z * n[2]) * np.float32(1 / self.thinness - 1)
        return x + along * n[0], y + along * n[1], z + along * n[2]

    def distance(self, x, y, z):
        """Return the distance, scaled to the thin direction where the rod is flat."""
        a = np.asarray(self.start, np.float32)
        axis = np.asarray(self.end, np.float32) - a
        x, y, z = x - a[0], y - a[1], z - a[2]
        t = (x * axis[0] + y * axis[1] + z * axis[2]) / np.float32(max(axis @ axis, 1e-6))
        t = np.clip(t, 0.0, 1.0)
        x, y, z = self._stretch(x - t * axis[0], y - t * axis[1], z - t * axis[2])
        radius = self.start_radius + t * np.float32(self.end_radius - self.start_radius)
        level = np.sqrt(x * x + y * y + z * z)
        if self.thinness == 1.0:
            return level - radius
        nx, ny, nz = np.asarray(self.thin, np.float32) / np.float32(np.linalg.norm(self.thin))
        along = np.abs(x * nx + y * ny + z * nz) / np.maximum(level, 1e-3)
        return (level - radius) * (1 - along * np.float32(1 - self.thinness))

    def support(self, direction):
        """Return an upper bound of the extent along ``direction``."""
        n = np.asarray(self.thin) / np.linalg.norm(self.thin)
        across = direction - (1 - self.thinness) * np.dot(direction, n) * n
        reach = np.linalg.norm(across)
        return float(
            max(
                np.dot(self.start, direction) + self.start_radius * reach,
                np.dot(self.end, direction) + self.end_radius * reach,
            )
        )


@dataclasses.dataclass(frozen=True)
class Scaled:
    """A shape enlarged about the origin of its frame."""

    shape: object
    scale: float

    def distance(self, x, y, z):
        """Return the distance to the enlarged shape."""
        scale = np.float32(self.scale)
        return self.shape.distance(x / scale, y / scale, z / scale) * scale

    def support(self, direction):
        """Return the largest extent along ``direction``."""
        return self.shape.support(direction) * self.scale


def tube(points, radii, thin=(0.0, 0.0, 1.0), thinness=1.0):
    """Make a bent tube of rods from point to point.

    Args:
        points: positions in mm, three numbers each.
        radii: radius in mm at each point.
        thin: direction in which the section is narrower.
        thinness: factor by which it is narrower.

    Returns:
        List of `Rod`.
    """
    return [
        Rod(tuple(a), tuple(b), ra, rb, thin, thinness)
        for a, b, ra, rb in zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True)
    ]
