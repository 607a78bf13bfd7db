"""Soft tissue along the neck: columns of elliptical sections that follow the spine.

Heights are given in levels, so that the tissue bends and scales with the spine:
1 is the middle of C1, 7 of C7, 8 of T1; 0 lies 22 mm above C1, -1 lies 60 mm and
-2 lies 130 mm above it.
"""

import dataclasses

import numpy as np
import scipy

from xctrs_tf.data.phantom import raster

# Muscle bellies grow this far beyond their columns.
_REACH_MM = 5.0


class CentreLine:
    """The front wall of the spinal canal as a curve over z."""

    def __init__(self, patient, spine):
        self.scale = patient.scale
        up = spine.skull.rotation[:, 2] * patient.scale
        atlas = spine.bones["C1"].frame.to_world((0.0, 6.5 * patient.scale, 0.0))
        points = [atlas + 130 * up, atlas + 60 * up, atlas + 22 * up, atlas]
        points += [
            spine.bones[n].frame.origin for n in ("C2", "C3", "C4", "C5", "C6", "C7", "T1", "T2")
        ]
        step = points[-1] - points[-2]
        points += [points[-1] + step, points[-1] + 4 * step]
        levels = [-2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13]
        points = np.array(points)
        self._height = scipy.interpolate.PchipInterpolator(levels, points[:, 2])
        order = np.argsort(points[:, 2])
        self._x = scipy.interpolate.PchipInterpolator(points[order, 2], points[order, 0])
        self._y = scipy.interpolate.PchipInterpolator(points[order, 2], points[order, 1])
        self._ends = points[order[0], 2], points[order[-1], 2]

    def height(self, level):
        """Return the world z in mm of a (fractional) level."""
        return self._height(np.asarray(level, float))

    def at(self, z):
        """Return the world x and y in mm of the line at heights z."""
        z = np.clip(z, *self._ends)
        return self._x(z), self._y(z)


@dataclasses.dataclass(frozen=True)
class Column:
    """A muscle, vessel or tube.

    Attributes:
        knots: rows of level, x, y, half width, half depth; x and y in mm from the
            centre line, x away from the midline.
        turn_deg: rotation of the section about z, positive from x towards y.
        power: exponent of the section: 2 is an ellipse, more is closer to a rectangle.
        taper_mm: length over which either end is rounded off.
    """

    knots: tuple
    turn_deg: float = 0.0
    power: float = 2.0
    taper_mm: float = 5.0

    def sections(self, line, z, side, girth):
        """Return centre and half axes at heights z, as float32 arrays."""
        rows = np.array(sorted(self.knots, key=lambda row: -row[0]), float)
        heights = line.height(rows[:, 0])
        x, y, a, b = scipy.interpolate.PchipInterpolator(heights, rows[:, 1:])(
            np.clip(z, heights[0], heights[-1])
        ).T
        x0, y0 = line.at(z)
        scale = line.scale
        inside = np.minimum(z - heights[0], heights[-1] - z) / max(self.taper_mm, 1e-3)
        girth = girth * np.sqrt(np.clip(1 - (1 - np.clip(inside, 0, 1)) ** 2, 0.01, 1))
        return tuple(
            np.asarray(v, np.float32)
            for v in (x0 + side * x * scale, y0 + y * scale, a * scale * girth, b * scale * girth)
        )

    def distance(self, grid, line, side=1, girth=1.0, margin_mm=2.0):
        """Compute the distance on the part of the grid that the column can reach.

        Args:
            grid: `raster.Grid`.
            line: `CentreLine`.
            side: 1 for left, -1 for right.
            girth: factor on the half axes.
            margin_mm: distances are computed up to this far outside the surface.

        Returns:
            The window and float32 distances, or None if the column is outside the grid.
        """
        levels = [row[0] for row in self.knots]
        low, high = line.height(max(levels)), line.height(min(levels))
        margin = margin_mm + grid.spacing_mm
        slab = grid.window((-1e4, -1e4, low), (1e4, 1e4, high), grid.spacing_mm)
        z = grid.axis(2)[slab[2]]
        if z.size == 0:
            return None
        cx, cy, a, b = self.sections(line, z, side, girth)
        reach = np.maximum(a, b) + margin
        window = grid.window(
            ((cx - reach).min(), (cy - reach).min(), low),
            ((cx + reach).max(), (cy + reach).max(), high),
            grid.spacing_mm,
        )
        x, y, z3 = grid.coordinates(window)
        if x.size == 0 or y.size == 0:
            return None
        turn = np.deg2rad(side * self.turn_deg)
        c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        x, y = x - cx, y - cy
        u, v = np.abs(x * c + y * s) / a, np.abs(y * c - x * s) / b
        ends = np.maximum(np.float32(low) - z3, z3 - np.float32(high))
        return window, np.maximum(_ellipse_distance(u, v, a, b, self.power), ends)


def _ellipse_distance(u, v, a, b, power):
    """Return the first-order distance to u^power + v^power = 1 with u = x/a and v = y/b."""
    tiny = np.float32(1e-6)
    if power == 2.0:
        radial = np.sqrt(u * u + v * v)
        slope = np.sqrt((u / a) ** 2 + (v / b) ** 2) / np.maximum(radial, tiny)
    else:
        u_power, v_power = u**power, v**power
        radial = (u_power + v_power) ** np.float32(1 / power)
        across = u_power / (np.maximum(u, tiny) * a)
        along = v_power / (np.maximum(v, tiny) * b)
        slope = np.sqrt(across * across + along * along)
        slope = slope * radial / np.maximum(u_power + v_power, tiny)
    return (radial - 1) / np.maximum(slope, 1 / np.maximum(a, b))


class Cells:
    """Columns grown until they meet: muscle bellies with fat planes between them.

    For each voxel it holds the distance to the nearest and second nearest column.
    """

    def __init__(self, grid, line):
        self.grid, self.line = grid, line
        self.nearest = np.full(grid.shape, 2 * _REACH_MM, np.float32)
        self.second = np.full(grid.shape, 2 * _REACH_MM, np.float32)

    def add(self, column, side, girth):
        """Add one column."""
        found = column.distance(self.grid, self.line, side, girth, _REACH_MM)
        if found is None:
            return
        window, distance = found
        nearest, second = self.nearest[window], self.second[window]
        np.minimum(second, np.maximum(nearest, distance), out=second)
        np.minimum(nearest, distance, out=nearest)

    def coverage(self, gap_mm):
        """Return the fraction of muscle in each voxel, with ``gap_mm`` between bellies."""
        apart = (gap_mm - (self.second - self.nearest)) / 2
        depth = np.maximum(self.nearest - np.float32(_REACH_MM), apart)
        return raster.coverage(depth, self.grid.spacing_mm)


def paint(hu, grid, line, column, value, sides=(1, -1), girth=1.0):
    """Blend a column's CT number in, in place.

    Args:
        hu: CT numbers of the whole grid.
        grid: `raster.Grid`.
        line: `CentreLine`.
        column: `Column`.
        value: CT number in HU, or an array on the whole grid.
        sides: which sides to paint; ``(1,)`` for a midline structure.
        girth: factor on the half axes.
    """
    for side in sides:
        found = column.distance(grid, line, side, girth)
        if found is None:
            continue
        window, distance = found
        here = value if np.isscalar(value) else value[window]
        raster.blend(hu[window], raster.coverage(distance, grid.spacing_mm), here)
