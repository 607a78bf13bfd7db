"""Surface distances of two segmentations: HD95, ASSD and NSD.

The surface of a mask is the set of its voxels that share a face with a voxel
outside the mask; everything beyond the volume is outside. Distances are measured
between voxel centres, from every surface voxel of one mask to the nearest of the
other. All surface voxels have the same weight.
"""

import dataclasses

import numpy as np
import scipy

NSD_TOLERANCE_MM = 1.5
# Rounding of the centres must not exclude a surface exactly at the tolerance.
_ROUNDING_MM = 1e-9


@dataclasses.dataclass(frozen=True)
class SurfaceFigures:
    """HD95, ASSD and NSD of one mask, or arrays of them for several classes.

    Attributes:
        hd95: 95th percentile of the distances, mm, the larger of both directions.
        assd: mean of the distances of both directions together, mm.
        nsd: share of both surfaces that lies within the tolerance of the other.
    """

    hd95: np.ndarray | float
    assd: np.ndarray | float
    nsd: np.ndarray | float


def surface_per_class(y_true, y_pred, num_classes, spacing_mm, tolerance_mm=NSD_TOLERANCE_MM):
    """Return HD95, ASSD and NSD of every class but the background.

    A class that is absent from `y_true` has none, predicted or not: its values are
    NaN, like its Dice. A class that is present but not predicted gets NSD 0 and the
    diagonal of the volume as both distances, an upper bound for any prediction.

    Args:
        y_true: integer labels `[x, y, z]`, 0 = background.
        y_pred: integer labels, same shape.
        num_classes: number of classes, background included.
        spacing_mm: voxel size, one number or three.
        tolerance_mm: largest distance at which NSD counts surfaces as equal.

    Returns:
        `SurfaceFigures` of float64 arrays of `num_classes - 1` values, that of
        class 1 first.
    """
    y_true, y_pred = np.asarray(y_true), np.asarray(y_pred)
    spacing_mm = np.broadcast_to(np.asarray(spacing_mm, np.float64), 3)
    diagonal_mm = float(np.linalg.norm(np.multiply(y_true.shape, spacing_mm)))
    rows = []
    for label in range(1, num_classes):
        true = surface_points(y_true == label, spacing_mm)
        pred = surface_points(y_pred == label, spacing_mm)
        if len(true) == 0:
            rows.append((np.nan, np.nan, np.nan))
        elif len(pred) == 0:
            rows.append((diagonal_mm, diagonal_mm, 0.0))
        else:
            rows.append(dataclasses.astuple(surface_figures(true, pred, tolerance_mm)))
    return SurfaceFigures(*np.array(rows, np.float64).T)


def surface_points(mask, spacing_mm):
    """Return the centres of the surface voxels of a mask.

    Args:
        mask: boolean `[x, y, z]`.
        spacing_mm: voxel size along each axis.

    Returns:
        float64 `(points, 3)`, mm from the centre of voxel `[0, 0, 0]`.
    """
    (box,) = scipy.ndimage.find_objects(mask.astype(np.uint8), max_label=1)
    if box is None:
        return np.empty((0, 3))
    body = mask[box]
    surface = body & ~scipy.ndimage.binary_erosion(body)
    corner = [side.start for side in box]
    return (np.argwhere(surface) + corner) * np.asarray(spacing_mm, np.float64)


def surface_figures(true_points, pred_points, tolerance_mm=NSD_TOLERANCE_MM):
    """Return HD95, ASSD and NSD of two surfaces.

    Args:
        true_points: points of `surface_points`, at least one.
        pred_points: points of `surface_points`, at least one.
        tolerance_mm: largest distance at which NSD counts surfaces as equal.

    Returns:
        `SurfaceFigures` of floats.
    """
    to_pred = scipy.spatial.cKDTree(pred_points).query(true_points)[0]
    to_true = scipy.spatial.cKDTree(true_points).query(pred_points)[0]
    both = np.concatenate([to_pred, to_true])
    return SurfaceFigures(
        hd95=float(max(np.percentile(to_pred, 95), np.percentile(to_true, 95))),
        assd=float(both.mean()),
        nsd=float(np.mean(both <= tolerance_mm + _ROUNDING_MM)),
    )
