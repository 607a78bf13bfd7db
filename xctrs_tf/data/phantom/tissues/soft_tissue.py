"""Soft tissue: skin, fat, muscles, vessels, airways, discs and cord."""

import numpy as np

from xctrs_tf.data.phantom import raster, shapes
from xctrs_tf.data.phantom.anatomy import ABOVE
from xctrs_tf.data.phantom.bones import head
from xctrs_tf.data.phantom.noise import mottle
from xctrs_tf.data.phantom.tissues import airway, columns, muscles
from xctrs_tf.data.phantom.tissues.columns import CentreLine, Column, paint
from xctrs_tf.data.volumes.intensity import AIR_HU

# CT numbers from radiology textbooks.
LUNG_HU = -830.0
FAT_HU = -100.0
CSF_HU = 12.0
SKIN_HU = 15.0
BRAIN_HU = 36.0
CORD_HU = 42.0
MUSCLE_HU = 56.0
LIGAMENT_HU = 65.0
DISC_HU = 90.0
CARTILAGE_HU = 110.0

SKIN_MM = 1.8
# Joint cartilage lies within this distance of both bones.
CAPSULE_MM = 1.8
# Fat between muscle bellies.
FAT_PLANE_MM = 0.5
# Thickness of the fat under the skin of the mean outline.
MEAN_FAT_MM = 5.0

# Skin from head to shoulders: level, half width, reach forward and backward of
# the canal's front wall, for a person of average girth.
OUTLINE = (
    (-2, 70, 90, 105),
    (-1, 80, 98, 112),
    (0, 76, 96, 94),
    (1, 70, 92, 80),
    (2, 65, 88, 75),
    (3, 62, 76, 71),
    (4, 62, 63, 69),
    (5, 67, 59, 69),
    (6, 82, 57, 70),
    (7, 110, 57, 71),
    (8, 146, 62, 72),
    (9, 170, 72, 76),
    (10, 190, 82, 80),
    (13, 200, 105, 90),
)


def _outline(extra_mm=0.0):
    """Return the skin as a column, ``extra_mm`` wider on all sides."""
    knots = tuple(
        (level, 0.0, (back - front) / 2, width + extra_mm, (front + back) / 2 + extra_mm)
        for level, width, front, back in OUTLINE
    )
    return Column(knots, power=2.3, taper_mm=20.0)


def _bellies(grid, line, patient):
    """Return the muscle bellies as `columns.Cells`."""
    cells = columns.Cells(grid, line)
    for column in muscles.MUSCLES.values():
        for side in (1, -1):
            cells.add(column, side, patient.muscle)
    cells.add(muscles.TONGUE, 1, patient.muscle)
    return cells


def _skin_and_muscles(hu, grid, line, patient, fat, muscle):
    """Paint skin, the fat under it, and the muscles inside the fascia."""
    # Most of the additional fat widens the neck, the rest replaces muscle.
    column = _outline((patient.fat_mm - MEAN_FAT_MM) * 0.8)
    found = column.distance(grid, line, 1, patient.muscle, margin_mm=grid.spacing_mm)
    if found is None:
        return
    window, distance = found
    view = hu[window]
    raster.blend(view, raster.coverage(distance, grid.spacing_mm), SKIN_HU)
    raster.blend(view, raster.coverage(distance + SKIN_MM, grid.spacing_mm), fat[window])
    # Muscles stay inside the fascia; the width of the fat planes varies with the fat's mottle.
    depth = distance + np.float32(SKIN_MM + patient.fat_mm)
    gap = FAT_PLANE_MM * (1 + 0.06 * (fat - FAT_HU))
    inside = _bellies(grid, line, patient).coverage(gap)[window]
    inside *= raster.coverage(depth, grid.spacing_mm)
    raster.blend(view, inside, muscle[window])
    paint(hu, grid, line, muscles.NUCHAL_FAT, FAT_HU + 60, (1,))
    paint(hu, grid, line, muscles.INTERSPINOUS, MUSCLE_HU - 12, (1,))


def _glands_and_vessels(hu, grid, line, patient):
    for column, value in muscles.GLANDS.values():
        paint(hu, grid, line, column, value)
    paint(hu, grid, line, muscles.OESOPHAGUS, 38.0, (1,))
    for column in (muscles.CAROTID, muscles.JUGULAR, muscles.VERTEBRAL):
        paint(hu, grid, line, column, patient.blood_hu)


def _airway(hu, grid, line, patient):
    """Paint walls and cartilages of the airways, then the air inside them."""
    cartilage = 0.35 * patient.core_hu + 40
    paint(hu, grid, line, airway.CRICOID, cartilage, (1,))
    for column in airway.AIRWAYS:
        paint(hu, grid, line, column, MUSCLE_HU, (1,), girth=1.24)
    paint(hu, grid, line, airway.THYROID_CARTILAGE, cartilage)
    for column in airway.AIRWAYS:
        paint(hu, grid, line, column, AIR_HU, (1,), girth=patient.airway)
    paint(hu, grid, line, airway.PIRIFORM, AIR_HU, girth=patient.airway)
    paint(hu, grid, line, airway.EPIGLOTTIS, MUSCLE_HU, (1,))


def _canal(hu, grid, line):
    """Paint the content of the spinal canal, from the outside inwards."""
    for column, value in (
        (muscles.LIGAMENT, LIGAMENT_HU),
        (muscles.EPIDURAL, FAT_HU + 70),
        (muscles.THECAL_SAC, CSF_HU),
        (muscles.CORD, CORD_HU),
    ):
        paint(hu, grid, line, column, value, (1,))


def _fill(hu, grid, solid, value):
    """Blend a solid of one CT number in, in place."""
    field = raster.rasterise(solid, grid)
    inside = raster.coverage(field.distance, grid.spacing_mm)
    raster.blend(hu[field.window], inside, np.float32(value))


def _ellipsoid(frame, centre, radii):
    part = raster.Part(shapes.Ellipsoid(centre, radii), 0.0)
    return raster.Bone("", frame, (part,), 0.0, 0.0, 0.0)


def _discs(hu, grid, patient, spine):
    """Paint the discs, worn ones bulging; the bodies are painted over them later."""
    for lower, upper in ABOVE.items():
        measures = patient.subaxial[lower]
        height = patient.disc_height_mm[upper]
        bulge = 0.3 + 1.2 * patient.degeneration[upper]
        centre = (0.0, -measures.upper_depth / 2, (measures.height + height) / 2)
        radii = (measures.upper_width / 2 + 1.5 + bulge, measures.upper_depth / 2 + bulge, height)
        _fill(hu, grid, _ellipsoid(spine.bones[lower].frame, centre, radii), DISC_HU)


def cartilage(hu, grid, upper, lower):
    """Paint cartilage and capsule between two neighbouring bones, in place.

    Args:
        hu: float32 CT numbers of the whole grid.
        grid: `raster.Grid`.
        upper: `raster.Field`.
        lower: `raster.Field`.
    """
    window, distance = raster.joint(upper, lower, CAPSULE_MM)
    raster.blend(hu[window], raster.coverage(distance, grid.spacing_mm), np.float32(CARTILAGE_HU))


def _lungs(hu, grid, spine):
    """Paint the tops of the lungs beside T2, for fields that reach so low."""
    upright = shapes.BoneFrame(np.eye(3), spine.bones["T2"].frame.origin)
    for side in (1, -1):
        apex = _ellipsoid(upright, (side * 38.0, -22.0, -28.0), (24.0, 34.0, 42.0))
        _fill(hu, grid, apex, LUNG_HU)


def paint_all(hu, grid, patient, spine):
    """Paint everything but bone, in place.

    Args:
        hu: float32 CT numbers of the whole grid, air everywhere.
        grid: `raster.Grid`.
        patient: `anatomy.Anatomy`.
        spine: `spine.Spine`.
    """
    line = CentreLine(patient, spine)
    rng = np.random.default_rng([patient.seed, 2])
    coarse, fine = mottle(rng, grid, 9.0), mottle(rng, grid, 3.5)
    fat = np.float32(FAT_HU) + 8 * coarse + 5 * fine
    muscle = np.float32(MUSCLE_HU) + 4 * coarse + 9 * fine
    _skin_and_muscles(hu, grid, line, patient, fat, muscle)
    _lungs(hu, grid, spine)
    _glands_and_vessels(hu, grid, line, patient)
    _airway(hu, grid, line, patient)
    _fill(hu, grid, head.brain(patient, spine.skull), BRAIN_HU)
    _fill(hu, grid, head.air_cells(patient, spine.skull), LUNG_HU)
    _canal(hu, grid, line)
    _discs(hu, grid, patient, spine)
