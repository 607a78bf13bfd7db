"""A synthetic patient on a grid: CT numbers and the labels of C1 to C7."""

import dataclasses
import itertools

import numpy as np

from xctrs_tf.data.phantom import anatomy, raster, scanner, shapes, texture
from xctrs_tf.data.phantom.bones import head, spine, thorax
from xctrs_tf.data.phantom.tissues import soft_tissue
from xctrs_tf.geometry import VERTEBRAE

# Size of the mottle in cancellous bone.
MARROW_MM = 2.2
# What twelve bits hold.
CT_RANGE_HU = (-1024, 3071)


@dataclasses.dataclass(frozen=True)
class Phantom:
    """One synthetic patient.

    Attributes:
        ct: int16 CT numbers in HU, ``[x, y, z]``, LPS.
        segmentation: uint8 labels, 0 background, 1..7 = C1..C7.
        spacing_mm: edge of a voxel.
        origin_mm: world position of the centre of voxel [0, 0, 0]; the world's
            origin is the centre of the bounding box of C1..C7.
        anatomy: `anatomy.Anatomy` that was drawn.
    """

    ct: np.ndarray
    segmentation: np.ndarray
    spacing_mm: float
    origin_mm: tuple
    anatomy: anatomy.Anatomy


def _grid(size, spacing_mm):
    shape = (size,) * 3 if np.isscalar(size) else tuple(int(n) for n in size)
    origin = tuple(-(n - 1) / 2 * spacing_mm for n in shape)
    return raster.Grid(shape, float(spacing_mm), origin)


def _core(bone, z, marrow):
    """CT numbers of the cancellous core: trabecular mottle, denser at worn end plates."""
    core = np.float32(bone.core_hu) * (1 + np.float32(0.25) * marrow)
    if bone.sclerosis:
        below, above, half = bone.sclerosis
        core = core + np.float32(below) * shapes.smoothstep(0.25 * half, half, -z)
        core = core + np.float32(above) * shapes.smoothstep(0.25 * half, half, z)
    return core


def _paint_bone(hu, field, grid, marrow):
    """Compact shell and cancellous core by partial volume; arches have thick shells."""
    bone, distance = field.bone, field.distance
    if distance.size == 0:
        return
    view = hu[field.window]
    _, y, z = bone.frame.to_local(*grid.coordinates(field.window))
    posterior = shapes.smoothstep(-2.0, 4.0, y)
    thickness = np.float32(bone.cortex_mm) * (1 + 0.7 * posterior)
    inside = raster.coverage(distance + thickness, grid.spacing_mm)
    shell = np.float32(bone.cortex_hu)
    core = _core(bone, z, marrow[field.window]) * (1 + 0.5 * posterior)
    value = shell + inside * (core - shell)
    raster.blend(view, raster.coverage(distance, grid.spacing_mm), value)


def _labels(fields, shape):
    """Labels of C1 to C7: the voxel's centre decides, the deepest bone wins."""
    segmentation = np.zeros(shape, np.uint8)
    nearest = np.zeros(shape, np.float32)
    for label, name in enumerate(VERTEBRAE, start=1):
        field = fields[name]
        view = nearest[field.window]
        inside = field.distance < view
        segmentation[field.window][inside] = label
        view[inside] = field.distance[inside]
    return segmentation


def _rasterise(patient, column, grid):
    """Distances to the vertebrae by name and to the other bones, joints kept open."""
    vertebrae = {name: raster.rasterise(bone, grid) for name, bone in column.bones.items()}
    for upper, lower in itertools.pairwise(vertebrae.values()):
        raster.separate(upper, lower, spine.FACET_GAP_MM)
    others = [*head.bones(patient, column.skull, column.hyoid), *thorax.bones(patient, column)]
    others = {bone.name: raster.rasterise(bone, grid) for bone in others}
    for name in ("C1", "C2"):
        raster.separate(others["skull"], vertebrae[name], spine.FACET_GAP_MM)
    return vertebrae, others


def _paint(patient, column, vertebrae, others, grid):
    """CT numbers as float32: soft tissue first, bone over it."""
    hu = np.full(grid.shape, soft_tissue.AIR_HU, np.float32)
    soft_tissue.paint_all(hu, grid, patient, column)
    for upper, lower in itertools.pairwise(vertebrae.values()):
        soft_tissue.cartilage(hu, grid, upper, lower)
    marrow = texture.mottle(np.random.default_rng([patient.seed, 3]), grid, MARROW_MM)
    for field in (*others.values(), *vertebrae.values()):
        _paint_bone(hu, field, grid, marrow)
    return hu


def make_phantom(seed, size=128, spacing_mm=1.0, noise=True):
    """Draw a patient and sample it on a grid centred on C1..C7.

    The patient lives in world mm: the same seed on another grid is the same
    person; only the noise is drawn anew.

    Args:
        seed: non-negative integer.
        size: voxels per side, or three counts (x, y, z).
        spacing_mm: edge of a voxel.
        noise: whether to add the scanner's blur and noise.

    Returns:
        `Phantom`.
    """
    grid = _grid(size, spacing_mm)
    patient, column = spine.pose(anatomy.sample(seed))
    vertebrae, others = _rasterise(patient, column, grid)
    hu = _paint(patient, column, vertebrae, others, grid)
    if noise:
        hu = scanner.scan(hu, grid.spacing_mm, np.random.default_rng([int(seed), 1]))
    ct = np.round(np.clip(hu, *CT_RANGE_HU)).astype(np.int16)
    segmentation = _labels(vertebrae, grid.shape)
    return Phantom(ct, segmentation, grid.spacing_mm, grid.origin_mm, patient)
