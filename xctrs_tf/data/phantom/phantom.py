"""A phantom on a grid: CT numbers and the labels of C1 to C7."""

import dataclasses
import itertools

import numpy as np

from xctrs_tf.data.phantom import anatomy, raster, shapes
from xctrs_tf.data.phantom.bones import head, thorax
from xctrs_tf.data.phantom.bones.spine import pose
from xctrs_tf.data.phantom.bones.vertebra import FACET_GAP_MM
from xctrs_tf.data.phantom.noise import add_scanner_noise, mottle
from xctrs_tf.data.phantom.tissues import soft_tissue
from xctrs_tf.data.volumes.intensity import AIR_HU
from xctrs_tf.geometry import VERTEBRAE

# Size of the mottle in cancellous bone.
MARROW_MM = 2.2
# Range of a 12-bit scanner.
CT_RANGE_HU = (-1024, 3071)


@dataclasses.dataclass(frozen=True)
class Phantom:
    """A phantom.

    Attributes:
        ct: int16 CT numbers in HU, ``[x, y, z]``, LPS.
        segmentation: uint8 labels, 0 background, 1..7 = C1..C7.
        spacing_mm: edge of a voxel.
        origin_mm: world position of the centre of voxel [0, 0, 0]; the world's
            origin is the centre of the bounding box of C1..C7.
        anatomy: the sampled `anatomy.Anatomy`.
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
    """Return the CT numbers of cancellous bone: mottled, denser at worn end plates."""
    core = np.float32(bone.core_hu) * (1 + np.float32(0.25) * marrow)
    if bone.sclerosis:
        below, above, half = bone.sclerosis
        core = core + np.float32(below) * shapes.smoothstep(0.25 * half, half, -z)
        core = core + np.float32(above) * shapes.smoothstep(0.25 * half, half, z)
    return core


def _paint_bone(hu, field, grid, marrow):
    """Paint a bone by partial volume: a compact shell, thicker at the arches, and a core."""
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
    """Label C1 to C7 by the voxels' centres; where bones overlap, the deepest one wins."""
    segmentation = np.zeros(shape, np.uint8)
    nearest = np.zeros(shape, np.float32)
    for label, name in enumerate(VERTEBRAE, start=1):
        field = fields[name]
        view = nearest[field.window]
        inside = field.distance < view
        segmentation[field.window][inside] = label
        view[inside] = field.distance[inside]
    return segmentation


def _rasterise(patient, spine, grid):
    """Return the fields of the vertebrae and of the other bones by name, joints kept open."""
    vertebrae = {name: raster.rasterise(bone, grid) for name, bone in spine.bones.items()}
    for upper, lower in itertools.pairwise(vertebrae.values()):
        raster.separate(upper, lower, FACET_GAP_MM)
    others = [
        *head.head_bones(patient, spine.skull, spine.hyoid),
        *thorax.thorax_bones(patient, spine),
    ]
    others = {bone.name: raster.rasterise(bone, grid) for bone in others}
    for name in ("C1", "C2"):
        raster.separate(others["skull"], vertebrae[name], FACET_GAP_MM)
    return vertebrae, others


def _paint(patient, spine, vertebrae, others, grid):
    """Return float32 CT numbers: soft tissue painted first, bone over it."""
    hu = np.full(grid.shape, AIR_HU, np.float32)
    soft_tissue.paint_all(hu, grid, patient, spine)
    for upper, lower in itertools.pairwise(vertebrae.values()):
        soft_tissue.cartilage(hu, grid, upper, lower)
    marrow = mottle(np.random.default_rng([patient.seed, 3]), grid, MARROW_MM)
    for field in (*others.values(), *vertebrae.values()):
        _paint_bone(hu, field, grid, marrow)
    return hu


def make_phantom(seed, size=128, spacing_mm=1.0, noise=True):
    """Make a phantom and sample it on a grid centred on C1..C7.

    The anatomy is defined in world mm: the same seed on another grid is the same
    phantom, with different noise.

    Args:
        seed: non-negative integer.
        size: voxels per side, or three counts (x, y, z).
        spacing_mm: edge of a voxel.
        noise: True to add the scanner's blur and noise.

    Returns:
        `Phantom`.
    """
    grid = _grid(size, spacing_mm)
    patient, spine = pose(anatomy.sample(seed))
    vertebrae, others = _rasterise(patient, spine, grid)
    hu = _paint(patient, spine, vertebrae, others, grid)
    if noise:
        hu = add_scanner_noise(hu, grid.spacing_mm, np.random.default_rng([int(seed), 1]))
    ct = np.round(np.clip(hu, *CT_RANGE_HU)).astype(np.int16)
    segmentation = _labels(vertebrae, grid.shape)
    return Phantom(ct, segmentation, grid.spacing_mm, grid.origin_mm, patient)
