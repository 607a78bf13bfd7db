"""Necks of seven boxes whose CT numbers tell the vertebra, and a network that reads them."""

import dataclasses

import numpy as np
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from xctrs_tf.ct_segmentation.anatomy.oriented_box import oriented_box
from xctrs_tf.ct_segmentation.findings import (
    TOP_ANCHOR,
    UNCERTAIN,
    Findings,
    NoCervicalSpine,
    Vertebra,
)
from xctrs_tf.ct_segmentation.segmenter import CTSegmentation
from xctrs_tf.data.volumes.grid import Grid, to_lps

SPACING_MM = 2.5
SHAPE = (34, 38, 52)
ORIGIN_MM = (-40.0, 15.0, 300.0)
# Left to right, front to back: a body and its arch.
BOX = (slice(9, 25), slice(10, 28))
RECORD = {"name": "painted", "weights_sha256": "5" * 64}
DATE = "2024-05-06T07:08:09+00:00"
OBLIQUE = Rotation.from_euler("xyz", (12, -20, 25), degrees=True).as_matrix()


def painted_labels():
    """Return labels ``[x, y, z]``: C1 on top, each vertebra 4 voxels high, 2 apart."""
    labels = np.zeros(SHAPE, np.uint8)
    for number in range(1, 8):
        bottom = 5 + 6 * (7 - number)
        labels[(*BOX, slice(bottom, bottom + 4))] = number
    return labels


def paint(labels):
    """Return CT numbers that tell the label, in soft tissue with air at one edge."""
    hu = np.where(labels > 0, 300 + 100 * labels.astype(np.int16), 40).astype(np.int16)
    hu[0, 0] = -1000
    return hu


def read_paint(hu):
    """Return the labels of painted CT numbers."""
    labels = np.rint((np.asarray(hu, np.float32) - 300) / 100)
    return np.where((labels >= 1) & (labels <= 7), labels, 0).astype(np.uint8)


class PaintedNetwork:
    """Network that is certain of the label that the CT numbers tell."""

    size, spacing_mm, record = 64, SPACING_MM, RECORD

    def __call__(self, batch):
        hu = np.asarray(batch)[..., 0] * 2500.0 - 1000.0
        return (read_paint(hu)[..., np.newaxis] == np.arange(8)).astype(np.float32)


def write_neck(path, hu=None, direction=None, spacing_mm=(SPACING_MM,) * 3, origin_mm=ORIGIN_MM):
    """Write CT numbers ``[i, j, k]``, by default those of the painted neck, to a file."""
    image = sitk.GetImageFromArray((paint(painted_labels()) if hu is None else hu).T)
    image.SetSpacing(spacing_mm)
    image.SetOrigin(origin_mm)
    if direction is not None:
        image.SetDirection(np.asarray(direction, float).ravel().tolist())
    sitk.WriteImage(image, str(path))
    return path


@dataclasses.dataclass(frozen=True)
class PlainScan:
    """The fields of a `Scan`."""

    name: str
    hu: np.ndarray
    grid: Grid
    stored: Grid


def painted_scan(direction=None):
    """Return a scan of the painted neck, and its labels on ``hu``."""
    direction = np.eye(3) if direction is None else direction
    labels = painted_labels()
    stored = Grid(SHAPE, direction, np.full(3, SPACING_MM), np.array(ORIGIN_MM))
    hu, grid = to_lps(paint(labels), stored)
    return PlainScan("neck.nii.gz", hu, grid, stored), to_lps(labels, stored)[0]


def findings_of(labels, grid, levels=TOP_ANCHOR, **fields):
    """Return what the labels 1..7 on a grid show; with uncertain levels they are V1, V2, ..."""
    vertebrae, written = [], np.zeros_like(labels)
    numbers = [int(number) for number in np.unique(labels[labels > 0])]
    for place, number in enumerate(numbers, start=1):
        name, label = f"C{number}", number
        if levels == UNCERTAIN:
            name, label = f"V{place}", 100 + place
        written[labels == number] = label
        indices = np.argwhere(labels == number)
        points_mm = grid.origin_mm + (indices * grid.spacing_mm) @ grid.direction.T
        vertebrae.append(
            Vertebra(
                name=name,
                label=label,
                likely_level=f"C{number}",
                centroid_mm=tuple(points_mm.mean(axis=0)),
                box=oriented_box(points_mm, SPACING_MM),
                volume_mm3=float(len(indices) * np.prod(grid.spacing_mm)),
                confidence=0.9,
            )
        )
    return Findings(tuple(vertebrae), levels, **{"problems": (), "labels": written, **fields})


def painted_segmentation(levels=TOP_ANCHOR, direction=None, **fields):
    """Return a `CTSegmentation` of the painted neck."""
    scan, labels = painted_scan(direction)
    findings = findings_of(labels, scan.grid, levels, **fields)
    return CTSegmentation(scan, findings, findings.labels, RECORD, DATE)


def find_painted(prediction, scan_name, levels=TOP_ANCHOR, **fields):
    """Stand in for `find_vertebrae`: take every label of the prediction for a vertebra."""
    labels = prediction.probabilities.argmax(axis=-1).astype(np.uint8)
    if not labels.any():
        raise NoCervicalSpine(f"{scan_name}: no cervical spine found; give a CT of the neck")
    grid = Grid(
        labels.shape, np.eye(3), np.full(3, prediction.spacing_mm), np.array(prediction.origin_mm)
    )
    return findings_of(labels, grid, levels, **fields)
