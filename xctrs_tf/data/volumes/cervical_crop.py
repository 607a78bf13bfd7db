"""Checks of a scan's labels, and the crop to the cube around C1..C7 that the networks take."""

import dataclasses

import numpy as np
import scipy

from xctrs_tf.data.volumes.intensity import AIR_HU
from xctrs_tf.data.volumes.volume import resample
from xctrs_tf.geometry import VERTEBRAE

_MARGIN_MM = 4.0
# A cube counts as centred on C1..C7 within this share of its edge.
CENTRED = 0.05
# A vertebra whose largest piece has less than this share of its voxels is a labelling
# error; a thin arch cut by the voxel grid leaves more.
MAIN_COMPONENT = 0.9
# A voxel is bone from this share on. One half would thin the arches where voxels grow;
# a little less keeps the vertebrae's volumes.
BONE_SHARE = 0.45
# How far `scan_around` reaches beyond the crop along x, y and z, in edges of the crop.
_REACH = (1.0, 1.0, 0.25)
# The same of `upright_scan`: no bore of a scanner is wider, and no film of a neck is taller.
_FILM_REACH = (3.0, 3.0, 1.0)
# Denser voxels belong to the patient, or to what lies on them.
_BODY_HU = -700
# Full width at half maximum of a Gaussian, as a multiple of its standard deviation.
FWHM = 2.3548


def check_labels(labels):
    """Return why a segmentation cannot be used.

    C1..C7 may follow each other upwards; `sanity.check_direction` says how to correct that.

    Args:
        labels: `Volume` of integers; 1..7 = C1..C7, others are ignored.

    Returns:
        The reason in a few words, or None if it can be used.
    """
    array = labels.array
    boxes = scipy.ndimage.find_objects(array, max_label=len(VERTEBRAE))
    missing = [name for name, box in zip(VERTEBRAE, boxes, strict=True) if box is None]
    if missing:
        return f"label {', '.join(missing)} missing"
    heights = []
    for number, (name, box) in enumerate(zip(VERTEBRAE, boxes, strict=True), start=1):
        mask = array[box] == number
        edges = zip(box, array.shape, strict=True)
        if any(part.start == 0 or part.stop == length for part, length in edges):
            return f"{name} is cut by the border of the scan"
        pieces, _ = scipy.ndimage.label(mask, structure=np.ones((3, 3, 3)))
        if np.bincount(pieces[mask]).max() < MAIN_COMPONENT * mask.sum():
            return f"{name} is in several pieces"
        heights.append(box[2].start + np.nonzero(mask)[2].mean())
    steps = np.diff(heights)
    if not (np.all(steps < 0) or np.all(steps > 0)):
        return "C1 to C7 are not in order from top to bottom"
    return None


def check_place(ct, labels):
    """Return why labels on a grid of their own do not belong to a scan.

    Args:
        ct: `Volume` of the scan.
        labels: `Volume` in the same space, with C1..C7.

    Returns:
        The reason in a few words, or None if they do.
    """
    grid = ct.grid
    low, high = _box_along(labels, grid.direction)
    first = grid.origin_mm @ grid.direction - grid.spacing_mm / 2
    last = first + grid.shape * grid.spacing_mm
    # Rounding may put the box slightly beyond the outer faces.
    if np.any(low < first - 1e-3) or np.any(high > last + 1e-3):
        return "C1 to C7 reach beyond the scan"
    return None


def crop_to_frame(ct, labels, size, spacing_mm):
    """Resample a scan and its labels to a cube centred on C1..C7.

    Where the box of C1..C7 and a margin of 4 mm do not fit, the spacing grows
    until they do. Interpolation is avoided where possible: a scan that already is
    such a cube keeps its position, and a frame of the scan's own spacing lies on
    the scan's voxels.

    Args:
        ct: `Volume` in HU.
        labels: `Volume` in the same space, 1..7 = C1..C7.
        size: voxels a side.
        spacing_mm: the wanted voxel size in mm.

    Returns:
        int16 CT ``(size, size, size)`` in HU, -1000 outside the scan; uint8
        labels of the same shape; the spacing and the origin in mm.
    """
    low, high = cervical_box_mm(labels)
    needed = float(np.max(high - low)) + 2 * _MARGIN_MM
    spacing_mm = max(float(spacing_mm), needed / size)
    frame = (size, spacing_mm, _frame_origin(ct, low, high, size, spacing_mm))
    hu = _as_int16(_averaged(ct, *frame).array)
    return hu, _resample_labels(_near(labels, *frame), *frame), *frame[1:]


def scan_around(ct, crop):
    """Resample what films can show of a scan to the grid that continues a crop's.

    It reaches a frame's edge beyond the crop to the left, right, front and back, and a quarter of
    it above and below, but not beyond the scan, and is cut to the patient's body.

    Args:
        ct: `Volume` of the scan in HU.
        crop: `Volume` of the cube of `crop_to_frame`, int16.

    Returns:
        int16 array ``[x, y, z]`` in HU, which holds the crop, and the index of its first voxel
        counted from the crop's, three whole numbers of 0 or less.
    """
    size = len(crop.array)
    grid, start = _continued_grid(ct, size, crop.spacing_mm[0], crop.origin_mm, _REACH)
    hu = _as_int16(_averaged(ct, *grid).array)
    inside = tuple(slice(-before, size - before) for before in start)
    hu[inside] = crop.array
    low, high = np.zeros(3, int), np.array(hu.shape)
    body = scipy.ndimage.find_objects((hu > _BODY_HU).astype(np.uint8))
    if body:
        # The borders above and below stay: the patient goes on there.
        for axis in (0, 1):
            low[axis] = min(body[0][axis].start, inside[axis].start)
            high[axis] = max(body[0][axis].stop, inside[axis].stop)
    part = hu[tuple(map(slice, low, high))]
    return np.ascontiguousarray(part), tuple(int(index) for index in start + low)


def upright_scan(ct, size, spacing_mm, origin_mm):
    """Resample an oblique scan to upright voxels, as far as films of a frame can show it.

    No voxel is coarser than the scan's, so that its films are as sharp as those of other scans.

    Args:
        ct: `Volume` in HU.
        size: voxels a side of the frame.
        spacing_mm: its voxel size in mm.
        origin_mm: LPS position of its voxel ``[0, 0, 0]`` in mm.

    Returns:
        `Volume` along LPS; an upright scan stays as it is.
    """
    if ct.direction is None:
        return ct
    # No step passes more than one voxel of the scan, along whichever axis of the scan.
    passed = np.abs(ct.grid.direction) / ct.grid.spacing_mm
    steps = np.minimum(1 / passed.max(axis=1), np.minimum(ct.grid.spacing_mm, spacing_mm))
    # The first of them begins where the first of the frame begins.
    first_mm = np.array(origin_mm) + (steps - spacing_mm) / 2
    counts = np.ceil(size * spacing_mm / steps - 1e-3).astype(int)
    grid, _ = _continued_grid(ct, counts, steps, first_mm, _FILM_REACH)
    # The steps are nowhere wider than the scan's, so nothing is to be averaged. The scan's own
    # dtype saves memory.
    return resample(_near(ct, *grid), *grid, fill=AIR_HU)


def _continued_grid(ct, size, spacing_mm, origin_mm, reach):
    """Return the grid that continues a frame's over a scan, up to some edges beyond the frame.

    ``size`` and ``spacing_mm`` are one number, or one for each axis.

    Returns:
        Size, spacing and origin of the grid, and the index of its first voxel counted from
        the frame's.
    """
    corners = (ct.grid.corners_mm() - origin_mm) / spacing_mm
    reach = np.round(size * np.array(reach)).astype(int)
    start = np.clip(np.ceil(corners.min(0) - 1e-3).astype(int), -reach, 0)
    stop = np.clip(np.floor(corners.max(0) + 1e-3).astype(int) + 1, size, size + reach)
    first_mm = np.array(origin_mm) + start * spacing_mm
    return (stop - start, spacing_mm, tuple(first_mm.tolist())), start


def _averaged(ct, size, spacing_mm, origin_mm):
    """Blur a scan along its own axes, and interpolate it at the voxels of an upright grid."""
    frame = (size, spacing_mm, origin_mm)
    return resample(_widen(_near(ct, *frame), spacing_mm), *frame, fill=AIR_HU)


def _as_int16(hu):
    limits = np.iinfo(np.int16)
    return np.clip(np.round(hu), limits.min, limits.max).astype(np.int16)


def cervical_box_mm(labels):
    """Return the lowest and highest corner of the box of C1..C7, as LPS positions in mm."""
    return _box_along(labels, np.eye(3))


def _box_along(labels, axes):
    """Return the lowest and highest corner of the box of C1..C7 along the columns of ``axes``."""
    inside = (labels.array >= 1) & (labels.array <= len(VERTEBRAE))
    (box,) = scipy.ndimage.find_objects(inside.astype(np.uint8))
    low = np.array([part.start for part in box]) - 0.5
    high = np.array([part.stop for part in box]) - 0.5
    grid = labels.grid
    origin_mm = grid.origin_mm @ axes
    if np.array_equal(grid.direction, axes):
        return origin_mm + low * grid.spacing_mm, origin_mm + high * grid.spacing_mm
    turn = grid.direction.T @ axes
    indices = np.argwhere(inside[box]) + [part.start for part in box]
    places_mm = origin_mm + (indices * grid.spacing_mm) @ turn
    half_mm = grid.spacing_mm @ np.abs(turn) / 2
    return places_mm.min(axis=0) - half_mm, places_mm.max(axis=0) + half_mm


def _frame_origin(ct, low, high, size, spacing_mm):
    """Return the position of the frame's first voxel for a box between two corners."""
    origin_mm, scan_spacing_mm = np.array(ct.origin_mm), np.array(ct.spacing_mm)
    field_mm = size * spacing_mm
    scan_low = origin_mm - scan_spacing_mm / 2
    scan_high = scan_low + ct.array.shape * scan_spacing_mm
    corner = (low + high - field_mm) / 2
    if ct.direction is not None:
        return tuple((corner + spacing_mm / 2).tolist())
    if (
        np.allclose(scan_high - scan_low, field_mm, rtol=1e-4)
        and np.all(np.abs(corner - scan_low) <= CENTRED * field_mm)
        and np.all(low - _MARGIN_MM >= scan_low)
        and np.all(high + _MARGIN_MM <= scan_high)
    ):
        corner = scan_low
    first = corner + spacing_mm / 2
    if np.allclose(scan_spacing_mm, spacing_mm, rtol=1e-4):
        first = origin_mm + np.round((first - origin_mm) / spacing_mm) * spacing_mm
    return tuple(first.tolist())


def _near(volume, size, spacing_mm, origin_mm):
    """Cut out the part of a scan that contributes to a frame, to save time on large scans."""
    grid = volume.grid
    edges = grid.spacing_mm
    # `_widen` reaches four standard deviations, interpolation one voxel.
    margin = np.ceil(4 * _sigma_mm(volume, spacing_mm) / edges) + 2
    first = (np.array(origin_mm) - grid.origin_mm) @ grid.direction / edges
    # How far each edge of the frame goes along the scan's own axes.
    reach_mm = (np.broadcast_to(size, 3) - 1) * spacing_mm
    steps = reach_mm[:, np.newaxis] * grid.direction / edges
    low, high = first + np.minimum(steps, 0).sum(0), first + np.maximum(steps, 0).sum(0)
    start = np.maximum(np.floor(low - margin), 0).astype(int)
    stop = np.minimum(np.ceil(high + margin) + 1, grid.shape).astype(int)
    part = tuple(map(slice, start, stop))
    origin_mm = grid.origin_mm + grid.direction @ (start * edges)
    return dataclasses.replace(
        volume, array=volume.array[part], origin_mm=tuple(origin_mm.tolist())
    )


def _sigma_mm(volume, spacing_mm):
    """Return the standard deviation of the blur that `_widen` applies, for each axis in mm."""
    return np.sqrt(np.maximum(spacing_mm**2 - np.array(volume.spacing_mm) ** 2, 0.0)) / FWHM


def _widen(volume, spacing_mm):
    """Blur the axes that will be sampled more coarsely, so that nothing aliases.

    The variances of the old voxel and of the Gaussian add up to that of the new voxel.
    """
    old = np.array(volume.spacing_mm)
    sigma_mm = _sigma_mm(volume, spacing_mm)
    array = volume.array.astype(np.float32)
    if np.any(sigma_mm > 1e-3 * old):
        array = scipy.ndimage.gaussian_filter(array, sigma_mm / old, mode="nearest")
    return dataclasses.replace(volume, array=array)


def _resample_labels(labels, size, spacing_mm, origin_mm):
    """Resample each vertebra alone; a voxel above `BONE_SHARE` gets the largest one's label."""
    total, best, label = (np.zeros((size,) * 3, np.float32) for _ in range(3))
    for number in range(1, len(VERTEBRAE) + 1):
        mask = dataclasses.replace(labels, array=labels.array == number)
        share = resample(_widen(mask, spacing_mm), size, spacing_mm, origin_mm).array
        label[share > best] = number
        best = np.maximum(best, share)
        total += share
    return np.where(total > BONE_SHARE, label, 0).astype(np.uint8)
