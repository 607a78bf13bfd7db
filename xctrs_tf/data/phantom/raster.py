"""Bones on a grid: signed distances and CT numbers by partial volume."""

import dataclasses

import numpy as np

from xctrs_tf.data.phantom import shapes

# Distances are computed up to this far outside a surface.
_MARGIN_MM = 3.0


@dataclasses.dataclass(frozen=True)
class Grid:
    """Grid of voxel centres in world mm.

    Attributes:
        shape: three voxel counts.
        spacing_mm: edge of a voxel.
        origin_mm: world position of voxel [0, 0, 0].
    """

    shape: tuple
    spacing_mm: float
    origin_mm: tuple

    def axis(self, index):
        """Return the world coordinates of the voxel centres along one axis."""
        steps = np.arange(self.shape[index])
        return (self.origin_mm[index] + self.spacing_mm * steps).astype(np.float32)

    def window(self, low, high, margin_mm=0.0):
        """Return the voxels inside a world box.

        Args:
            low: lower corner in mm.
            high: upper corner in mm.
            margin_mm: enlarges the box on all sides.

        Returns:
            Three slices, empty where the box lies outside the grid.
        """
        slices = []
        for axis in range(3):
            first = (low[axis] - margin_mm - self.origin_mm[axis]) / self.spacing_mm
            last = (high[axis] + margin_mm - self.origin_mm[axis]) / self.spacing_mm
            start = int(np.clip(np.ceil(first), 0, self.shape[axis]))
            stop = int(np.clip(np.floor(last) + 1, start, self.shape[axis]))
            slices.append(slice(start, stop))
        return tuple(slices)

    def coordinates(self, window):
        """Return broadcastable x, y, z of the voxels in a window."""
        x, y, z = (self.axis(i)[window[i]] for i in range(3))
        return x[:, None, None], y[None, :, None], z[None, None, :]


@dataclasses.dataclass(frozen=True)
class Part:
    """A shape of a bone, added with a fillet of ``blend`` mm or carved out."""

    shape: object
    blend: float = 2.0
    carve: bool = False


@dataclasses.dataclass(frozen=True)
class Bone:
    """A bone: its parts, and the CT numbers of its shell and core.

    Attributes:
        name: for example ``"C4"``.
        frame: `shapes.BoneFrame`, the axes of the parts.
        parts: tuple of `Part`, added and carved in this order.
        cortex_mm: thickness of the compact shell.
        cortex_hu: CT number of the shell.
        core_hu: CT number of the cancellous core.
        sclerosis: rise of the core's CT number at the lower and at the upper end
            plate, and their distance from the frame's origin in mm; None without.
    """

    name: str
    frame: shapes.BoneFrame
    parts: tuple
    cortex_mm: float
    cortex_hu: float
    core_hu: float
    sclerosis: tuple | None = None


def _box(shape, frame):
    """Return the world box of a shape."""
    into = np.asarray(frame.rotation)
    high = np.array([shape.support(into[i]) for i in range(3)])
    low = -np.array([shape.support(-into[i]) for i in range(3)])
    return low + frame.origin, high + frame.origin


def extent(bone):
    """Return the world box of a bone as two arrays, low and high."""
    boxes = [_box(part.shape, bone.frame) for part in bone.parts if not part.carve]
    return np.min([b[0] for b in boxes], axis=0), np.max([b[1] for b in boxes], axis=0)


@dataclasses.dataclass
class Field:
    """Signed distance of a bone on a window of the grid."""

    bone: Bone
    window: tuple
    distance: np.ndarray


def _clip(inner, outer):
    """Return the part of a window that lies in another one."""
    clipped = []
    for i, o in zip(inner, outer, strict=True):
        start = min(max(i.start, o.start), o.stop)
        clipped.append(slice(start, max(start, min(i.stop, o.stop))))
    return tuple(clipped)


def _inside(inner, outer):
    """Return a window relative to the one that contains it."""
    return tuple(
        slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True)
    )


def rasterise(bone, grid):
    """Compute the signed distance of a bone on its window of the grid.

    Each part is evaluated only in its own box, enlarged by its blend: a fillet
    reaches no further, so the rest of the window cannot change.

    Args:
        bone: `Bone`.
        grid: `Grid`.

    Returns:
        `Field`.
    """
    # A further voxel, for the partial volume ramp and the gap to a neighbour.
    margin = _MARGIN_MM + grid.spacing_mm
    window = grid.window(*extent(bone), margin)
    distance = np.full([s.stop - s.start for s in window], 10.0 + margin, np.float32)
    for part in bone.parts:
        inner = grid.window(*_box(part.shape, bone.frame), margin + part.blend)
        inner = _clip(inner, window)
        here = _inside(inner, window)
        if distance[here].size == 0:
            continue
        local = bone.frame.to_local(*grid.coordinates(inner))
        found = part.shape.distance(*local)
        if part.carve:
            distance[here] = shapes.smooth_max(distance[here], -found, part.blend)
        else:
            distance[here] = shapes.smooth_min(distance[here], found, part.blend)
    return Field(bone, window, distance)


def _common(a, b):
    """Return the window in which two fields overlap, and the slices of either array."""
    window = _clip(a.window, b.window)
    if any(s.stop == s.start for s in window):
        nothing = (slice(0, 0),) * 3
        return nothing, nothing, nothing
    return window, _inside(window, a.window), _inside(window, b.window)


def separate(a, b, gap_mm):
    """Keep two bones apart by a joint space, halfway between them.

    Args:
        a: `Field`, changed in place.
        b: `Field`, changed in place.
        gap_mm: width of the joint space.
    """
    _, in_a, in_b = _common(a, b)
    da, db = a.distance[in_a], b.distance[in_b]
    towards = (da - db) / 2
    half = np.float32(gap_mm / 2)
    a.distance[in_a], b.distance[in_b] = (
        np.maximum(da, towards + half),
        np.maximum(db, half - towards),
    )


def joint(a, b, reach_mm):
    """Return the joint space of two bones.

    Args:
        a: `Field`.
        b: `Field`.
        reach_mm: the space lies within this distance of both.

    Returns:
        The window of the grid and the signed distance to that space.
    """
    window, in_a, in_b = _common(a, b)
    return window, np.maximum(a.distance[in_a], b.distance[in_b]) - np.float32(reach_mm)


def coverage(distance, spacing_mm):
    """Return the fractions of voxels inside a surface.

    Args:
        distance: signed distances of the voxel centres in mm.
        spacing_mm: edge of a voxel.

    Returns:
        Array of the same shape in [0, 1]: a linear ramp one voxel wide, at least 0.6 mm.
    """
    width = np.float32(max(spacing_mm, 0.6))
    return np.clip(0.5 - distance / width, 0.0, 1.0)


def blend(hu, inside, value):
    """Mix a tissue into CT numbers, in place.

    Args:
        hu: CT numbers.
        inside: fraction of each voxel in the tissue (`coverage`).
        value: CT number of the tissue, or an array.
    """
    hu += inside * (value - hu)
