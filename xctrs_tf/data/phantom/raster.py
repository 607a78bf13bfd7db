"""Bones on a grid: distances where a bone can be, CT numbers by partial volume."""

import dataclasses

import numpy as np

from xctrs_tf.data.phantom import shapes

# Distances are only asked for this close to a surface, in mm.
MARGIN_MM = 3.0


@dataclasses.dataclass(frozen=True)
class Grid:
    """Voxel centres in world mm.

    Attributes:
        shape: three voxel counts.
        spacing_mm: edge of a voxel.
        origin_mm: world position of voxel [0, 0, 0].
    """

    shape: tuple
    spacing_mm: float
    origin_mm: tuple

    def axis(self, index):
        """World coordinates of the voxel centres along one axis."""
        steps = np.arange(self.shape[index])
        return (self.origin_mm[index] + self.spacing_mm * steps).astype(np.float32)

    def window(self, low, high, margin_mm=0.0):
        """Slices of the voxels inside a world box; empty ones if it lies outside."""
        slices = []
        for axis in range(3):
            first = (low[axis] - margin_mm - self.origin_mm[axis]) / self.spacing_mm
            last = (high[axis] + margin_mm - self.origin_mm[axis]) / self.spacing_mm
            start = int(np.clip(np.ceil(first), 0, self.shape[axis]))
            stop = int(np.clip(np.floor(last) + 1, start, self.shape[axis]))
            slices.append(slice(start, stop))
        return tuple(slices)

    def coordinates(self, window):
        """Broadcastable x, y, z of the voxels in a window."""
        x, y, z = (self.axis(i)[window[i]] for i in range(3))
        return x[:, None, None], y[None, :, None], z[None, None, :]


@dataclasses.dataclass(frozen=True)
class Part:
    """One shape of a bone, added with a fillet of ``blend`` mm or carved out."""

    shape: object
    blend: float = 2.0
    carve: bool = False


@dataclasses.dataclass(frozen=True)
class Bone:
    """A bone: parts in its own frame, and how thick and dense its cortex is.

    Attributes:
        name: for example ``"C4"``.
        frame: `shapes.BoneFrame` that places it.
        parts: tuple of `Part`, added and carved in this order.
        cortex_mm: thickness of the compact shell.
        cortex_hu: CT number of the shell.
        core_hu: CT number of the cancellous core.
        sclerosis: rise of the core's CT number at the lower and upper end plate,
            and how far from the frame's origin these lie, in mm; None without.
    """

    name: str
    frame: shapes.BoneFrame
    parts: tuple
    cortex_mm: float
    cortex_hu: float
    core_hu: float
    sclerosis: tuple | None = None


def _box(shape, frame):
    """World box of one shape."""
    into = np.asarray(frame.rotation)
    high = np.array([shape.support(into[i]) for i in range(3)])
    low = -np.array([shape.support(-into[i]) for i in range(3)])
    return low + frame.origin, high + frame.origin


def extent(bone):
    """World box of a bone as two arrays, low and high."""
    boxes = [_box(part.shape, bone.frame) for part in bone.parts if not part.carve]
    return np.min([b[0] for b in boxes], axis=0), np.max([b[1] for b in boxes], axis=0)


@dataclasses.dataclass
class Field:
    """Signed distance of one bone on a window of the grid."""

    bone: Bone
    window: tuple
    distance: np.ndarray


def _clip(inner, outer):
    """The part of a window that lies in another one."""
    clipped = []
    for i, o in zip(inner, outer, strict=True):
        start = min(max(i.start, o.start), o.stop)
        clipped.append(slice(start, max(start, min(i.stop, o.stop))))
    return tuple(clipped)


def _inside(inner, outer):
    """A window relative to the one that contains it."""
    return tuple(
        slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True)
    )


def rasterise(bone, grid):
    """Signed distance of a bone on the part of the grid that it can reach.

    Each part is evaluated only in its own box: a fillet reaches no further than
    its blend, so the rest of the window cannot change.

    Args:
        bone: `Bone`.
        grid: `Grid`.

    Returns:
        `Field`.
    """
    # Half a voxel of ramp and the neighbour that a gap is measured from.
    margin = MARGIN_MM + grid.spacing_mm
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
    """Where two fields overlap: the window, and the slices of either array."""
    window = _clip(a.window, b.window)
    if any(s.stop == s.start for s in window):
        nothing = (slice(0, 0),) * 3
        return nothing, nothing, nothing
    return window, _inside(window, a.window), _inside(window, b.window)


def separate(a, b, gap_mm):
    """Keep two bones apart: where both claim the room, a joint space stays free.

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
    """The joint space of two bones: what lies within ``reach_mm`` of both.

    Returns:
        The window of the grid and the signed distance to that space.
    """
    window, in_a, in_b = _common(a, b)
    return window, np.maximum(a.distance[in_a], b.distance[in_b]) - np.float32(reach_mm)


def coverage(distance, spacing_mm):
    """Fraction of a voxel inside a surface at this signed distance."""
    width = np.float32(max(spacing_mm, 0.6))
    return np.clip(0.5 - distance / width, 0.0, 1.0)


def blend(hu, inside, value):
    """Mix ``value`` into CT numbers by coverage, in place."""
    hu += inside * (value - hu)
