"""Planes through a scan in mm: where the spine lies, and what a plane shows of it."""

import dataclasses

import numpy as np
import scipy

from xctrs_tf.report.meshes import label_boxes

# Share of a vertebra's length from front to back, from its middle forwards, at which its body
# lies.
_BODY = 0.25
# Planes follow the spine up to this slope.
_STEEPEST = np.tan(np.deg2rad(40.0))


@dataclasses.dataclass(frozen=True)
class Plane:
    """A rectangle in space, with a direction to the right and one down on a screen.

    Attributes:
        name: ``"sagittal"``, ``"coronal"`` or ``"axial"``.
        centre_mm: LPS position ``(3,)`` that has the coordinates 0, 0.
        right: unit vector ``(3,)``.
        down: unit vector ``(3,)``.
        extent_mm: ``(left, right, top, bottom)``, the coordinates of its edges.
    """

    name: str
    centre_mm: np.ndarray
    right: np.ndarray
    down: np.ndarray
    extent_mm: tuple

    def coordinates(self, points_mm):
        """Return the coordinates to the right and down of LPS positions ``(n, 3)``."""
        return (np.asarray(points_mm) - self.centre_mm) @ np.column_stack([self.right, self.down])

    def sample(self, array, grid, pixel_mm, low=(0, 0, 0), mode="nearest"):
        """Interpolate an array at the pixels of the plane.

        Args:
            array: ``[x, y, z]``: a part of the grid.
            grid: `data.volumes.grid.Grid` of the scan.
            pixel_mm: edge of a pixel.
            low: index in the grid of the array's voxel ``[0, 0, 0]``.
            mode: outside of the array, of `scipy.ndimage.map_coordinates`.

        Returns:
            float32 ``[row, column]``.
        """
        places = np.moveaxis(self._indices(grid, pixel_mm) - low, -1, 0)
        return scipy.ndimage.map_coordinates(array, places, np.float32, order=1, mode=mode)

    def outside(self, grid, pixel_mm):
        """Return where the pixels of `sample` lie beyond the scan, bool ``[row, column]``."""
        indices = self._indices(grid, pixel_mm)
        # A voxel reaches half its edge beyond its centre.
        return ((indices < -0.5) | (indices > np.array(grid.shape) - 0.5)).any(axis=-1)

    def pixels_mm(self, pixel_mm):
        """Return the coordinates of the columns and of the rows of `sample`."""
        left, right, top, bottom = self.extent_mm
        counts = (max(2, round((end - start) / pixel_mm)) for start, end in self._sides())
        columns, rows = counts
        half = np.array([(right - left) / columns, (bottom - top) / rows]) / 2
        return (
            np.linspace(left + half[0], right - half[0], columns),
            np.linspace(top + half[1], bottom - half[1], rows),
        )

    def _indices(self, grid, pixel_mm):
        across, downwards = self.pixels_mm(pixel_mm)
        places_mm = (
            self.centre_mm
            + downwards[:, np.newaxis, np.newaxis] * self.down
            + across[:, np.newaxis] * self.right
        )
        return (places_mm - grid.origin_mm) @ grid.direction / grid.spacing_mm

    def _sides(self):
        left, right, top, bottom = self.extent_mm
        return (left, right), (top, bottom)


def spine_planes(scan, findings):
    """Return the planes of the picture: along the spine, and across one vertebra.

    The sagittal and the coronal plane are tilted so that they follow the line of the bodies.
    The axial plane is that of the vertebra's own axes.

    Args:
        scan: `Scan`.
        findings: `Findings` with a vertebra.

    Returns:
        ``(planes, vertebra)``: tuple of the sagittal, the coronal and the axial `Plane`, and the
        `Vertebra` that the axial one shows.
    """
    bodies_mm = np.array([_body_mm(vertebra) for vertebra in findings.vertebrae])
    corners_mm = np.concatenate([vertebra.box.corners_mm for vertebra in findings.vertebrae])
    middle_mm, slopes = _line(bodies_mm)
    x, y, _ = np.eye(3)
    planes = []
    for name, right, down, margins_mm in (
        ("sagittal", y, -_unit((slopes[0], 0, 1)), (40, 25, 30, 30)),
        ("coronal", x, -_unit((0, slopes[1], 1)), (25, 25, 30, 30)),
    ):
        plane = Plane(name, middle_mm, right, down, ())
        planes.append(_cut_out(plane, corners_mm, margins_mm, scan.grid))
    shown = findings.vertebrae[len(findings.vertebrae) // 2]
    axes = shown.box.axes
    plane = Plane("axial", np.array(shown.box.centre_mm), axes[:, 0], axes[:, 1], ())
    planes.append(_cut_out(plane, shown.box.corners_mm, (25, 25, 30, 20), scan.grid))
    return tuple(planes), shown


def outlines(labels, grid, plane, pixel_mm):
    """Yield how much of each pixel of a plane every label covers.

    Args:
        labels: uint8 ``[x, y, z]`` of the scan.
        grid: `data.volumes.grid.Grid` of the scan.
        plane: `Plane`.
        pixel_mm: edge of a pixel.

    Yields:
        ``(label, cover)``: the label and float32 ``[row, column]``, for labels on the plane.
    """
    smoothing = 0.4 * np.max(grid.spacing_mm) / pixel_mm
    for label, box in label_boxes(labels).items():
        low = np.array([part.start for part in box]) - 1
        mask = np.pad(labels[box] == label, 1).astype(np.float32)
        cover = plane.sample(mask, grid, pixel_mm, low, "constant")
        if cover.max() > 0.5:
            yield label, scipy.ndimage.gaussian_filter(cover, smoothing)


def _body_mm(vertebra):
    """Return about where the body of a vertebra is: before its middle."""
    box = vertebra.box
    return np.array(box.centre_mm) - _BODY * box.size_mm[1] * box.axes[:, 1]


def _line(points_mm):
    """Return a point of the line through points, and its slopes of x and y along z."""
    middle_mm = points_mm.mean(axis=0)
    height = points_mm[:, 2] - middle_mm[2]
    if len(points_mm) < 3 or np.ptp(height) < 1e-3:
        return middle_mm, np.zeros(2)
    slopes = height @ (points_mm[:, :2] - middle_mm[:2]) / (height @ height)
    return middle_mm, np.clip(slopes, -_STEEPEST, _STEEPEST)


def _cut_out(plane, corners_mm, margins_mm, grid):
    """Return a plane that shows the vertebrae with a margin, as far as the scan goes."""
    places = plane.coordinates(corners_mm)
    extent_mm = []
    for axis, direction in enumerate((plane.right, plane.down)):
        before, after = margins_mm[2 * axis : 2 * axis + 2]
        first, last = _inside(plane.centre_mm, direction, grid)
        start = max(places[:, axis].min() - before, first)
        extent_mm += [float(start), float(min(places[:, axis].max() + after, last))]
    return dataclasses.replace(plane, extent_mm=tuple(extent_mm))


def _inside(centre_mm, direction, grid):
    """Return from where to where a line through a point lies in a scan, in mm."""
    index = grid.direction.T @ (centre_mm - grid.origin_mm) / grid.spacing_mm
    step = grid.direction.T @ direction / grid.spacing_mm
    step = np.where(np.abs(step) < 1e-9, 1e-9, step)
    # A voxel reaches half its edge beyond its centre.
    ends = (np.array([[-0.5], [0.5]]) + [[0], [1]] * (np.array(grid.shape) - 1) - index) / step
    return ends.min(axis=0).max(), ends.max(axis=0).min()


def _unit(vector):
    return np.array(vector) / np.linalg.norm(vector)
