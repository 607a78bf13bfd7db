"""Skull base, mandible, teeth and hyoid: unlabelled bones around the upper spine.

Axes of the head: origin at the centre of the dens, about 14 mm below the rim of the
foramen magnum; x left, y back, z up, in mm for a head of average size.
"""

from xctrs_tf.data.phantom.raster import Bone, Part
from xctrs_tf.data.phantom.shapes import Ellipsoid, Rod, RoundedBox, Scaled, rotation, tube

VAULT_CENTRE = (0.0, 44.0, 58.0)
VAULT_RADII = (68.0, 80.0, 46.0)
# The squama rises behind the foramen magnum.
VAULT_TILT_DEG = 16.0
VAULT_THICKNESS_MM = 6.0
FORAMEN_MAGNUM = (15.0, 18.0)
# Centre (left) and radius.
MASTOID_CELLS = (
    (55.0, 14.0, 24.0, 5.5),
    (52.0, 8.0, 17.0, 4.0),
    (57.0, 10.0, 15.0, 3.4),
    (53.0, 12.0, 9.0, 3.0),
    (46.0, 1.0, 26.0, 4.5),
    (62.0, 20.0, 26.0, 4.0),
)


def _vault(inset_mm):
    """Make the cranial vault, or with an inset its cavity."""
    radii = tuple(radius - inset_mm for radius in VAULT_RADII)
    return Ellipsoid(VAULT_CENTRE, radii, rotation(VAULT_TILT_DEG))


def _before_the_clivus():
    """Make the part that cuts vault and brain off below, in front of the clivus."""
    return Part(RoundedBox((0.0, -52.0, -5.0), (75.0, 50.0, 24.0), 4.0), 2.0, carve=True)


def _air_cells():
    """Make the air cells of both mastoids."""
    return [
        Ellipsoid((side * x, y, z), (radius, radius * 1.2, radius))
        for side in (1, -1)
        for x, y, z, radius in MASTOID_CELLS
    ]


def air_cells(patient, skull):
    """Return the air cells of the mastoids as a `raster.Bone`."""
    parts = [Part(shape, 0.0) for shape in _air_cells()]
    return Bone("air cells", skull, _scaled(parts, patient.scale), 0.0, 0.0, 0.0)


def brain(patient, skull):
    """Return the brain as a `raster.Bone`."""
    parts = [Part(_vault(VAULT_THICKNESS_MM), 0.0), _before_the_clivus()]
    return Bone("brain", skull, _scaled(parts, patient.scale), 0.0, 0.0, 0.0)


def _skull_parts():
    vault = [
        Part(_vault(0.0), 0.0),
        _before_the_clivus(),
        Part(_vault(VAULT_THICKNESS_MM), 1.5, carve=True),
    ]
    # External occipital crest and protuberance.
    crest = [
        Part(Rod((0.0, 44.0, 12.5), (0.0, 92.0, 34.0), 3.0, 4.5), 4.0),
        Part(Ellipsoid((0.0, 99.0, 41.0), (9.0, 7.0, 7.0)), 5.0),
    ]
    base = [
        Part(Rod((0.0, -3.0, 17.5), (0.0, -25.0, 44.0), 11.0, 12.0, (0.0, 0.75, 0.65), 0.4), 3.0),
        Part(RoundedBox((0.0, -42.0, 40.0), (24.0, 20.0, 5.0), 4.0), 4.0),
    ]
    for side in (1, -1):
        base += [
            Part(Rod((side * 26.0, -4.0, 24.0), (side * 55.0, 4.0, 26.0), 8.0, 9.0), 4.0),
            Part(
                Rod(
                    (side * 55.0, 13.0, 24.0),
                    (side * 51.0, 9.0, 1.0),
                    13.0,
                    7.5,
                    (side, 0.0, 0.3),
                    0.72,
                ),
                4.0,
            ),
            Part(RoundedBox((side * 42.0, -22.0, 33.0), (20.0, 18.0, 4.0), 3.0), 4.0),
            Part(Rod((side * 36.0, -9.0, 18.0), (side * 32.0, -20.0, -8.0), 2.0, 1.0), 1.0),
            Part(
                Rod(
                    (side * 13.0, -32.0, 34.0),
                    (side * 14.0, -40.0, 8.0),
                    5.0,
                    4.0,
                    (1.0, 0.0, 0.0),
                    0.4,
                ),
                2.0,
            ),
        ]
    hole = Rod(
        (0.0, 14.5, -10.0),
        (0.0, 14.5, 26.0),
        *(FORAMEN_MAGNUM[1],) * 2,
        (1.0, 0.0, 0.0),
        FORAMEN_MAGNUM[0] / FORAMEN_MAGNUM[1],
    )
    condyles = [
        Part(
            Ellipsoid(
                (side * 17.0, -1.0, 14.5), (6.6, 11.5, 7.0), rotation(0, side * -18, side * -25)
            ),
            3.0,
        )
        for side in (1, -1)
    ]
    cells = [Part(shape, 1.0, carve=True) for shape in _air_cells()]
    return (*vault, *crest, *base, Part(hole, 2.0, carve=True), *condyles, *cells)


def _mandible_parts():
    parts = []
    for side in (1, -1):
        angle = (side * 47.0, -25.0, -20.0)
        parts += [
            Part(s, 3.0)
            for s in (
                *tube(
                    [(side * 50.0, -10.0, 33.0), (side * 49.0, -19.0, 12.0), angle],
                    [4.5, 6.0, 7.0],
                    (1.0, 0.0, 0.0),
                    0.6,
                ),
                *tube(
                    [(side * 49.0, -30.0, 18.0), (side * 48.0, -38.0, -12.0)],
                    [9.0, 12.0],
                    (1.0, 0.0, 0.0),
                    0.38,
                ),
                *tube(
                    [
                        angle,
                        (side * 42.0, -48.0, -26.0),
                        (side * 31.0, -72.0, -31.0),
                        (side * 12.0, -90.0, -34.0),
                        (0.0, -92.0, -34.0),
                    ],
                    [9.0, 13.0, 13.5, 14.0, 14.0],
                    (1.0, 0.25 * side, 0.0),
                    0.5,
                ),
            )
        ]
    return tuple(parts)


def _teeth_parts():
    parts = []
    for side in (1, -1):
        for y, x in ((-50, 30), (-60, 28), (-69, 25), (-77, 20), (-84, 13), (-88, 5)):
            for z in (-11.0, 3.0):
                parts.append(Part(RoundedBox((side * x, float(y), z), (4.2, 4.2, 6.5), 2.5), 0.5))
        parts += [
            Part(Rod((side * 29.0, -48.0, 14.0), (side * 12.0, -86.0, 12.0), 6.0, 6.0), 3.0),
            Part(RoundedBox((side * 14.0, -64.0, 9.0), (15.0, 22.0, 2.0), 1.5), 2.0),
        ]
    return tuple(parts)


def _scaled(parts, scale):
    """Return the parts enlarged by the factor ``scale``."""
    return tuple(Part(Scaled(part.shape, scale), part.blend, part.carve) for part in parts)


def _hyoid_parts():
    parts = []
    for side in (1, -1):
        horn = [(side * 20.0, -23.0, 4.0), (side * 17.0, -38.0, 0.0), (side * 10.0, -49.0, -2.0)]
        parts += tube(horn, [2.2, 2.0, 3.2], (0.0, 0.0, 1.0), 0.8)
        parts.append(Rod(horn[-1], (0.0, -52.0, -2.0), 4.6, 5.2, (0.0, 1.0, 0.0), 0.55))
    return tuple(Part(shape, 1.5) for shape in parts)


def head_bones(patient, skull, hyoid):
    """Return skull, mandible, teeth and hyoid.

    Args:
        patient: `anatomy.Anatomy`.
        skull: `shapes.BoneFrame` of the head.
        hyoid: `shapes.BoneFrame` at the front of the spinal canal, level with the hyoid.

    Returns:
        List of `raster.Bone`.
    """
    cortex, core = patient.cortex_hu, patient.core_hu
    kinds = (
        ("skull", _skull_parts(), 1.8, cortex + 60, core + 230),
        ("mandible", _mandible_parts(), 2.2, cortex + 150, core + 130),
        ("teeth", _teeth_parts(), 1.6, 1900.0, 1300.0),
    )
    made = [
        Bone(name, skull, _scaled(parts, patient.scale), thickness, shell, inner)
        for name, parts, thickness, shell, inner in kinds
    ]
    parts = _scaled(_hyoid_parts(), patient.scale)
    return [*made, Bone("hyoid", hyoid, parts, 1.2, 0.75 * cortex, core)]
