"""Vertebrae below C2: C3 to C7, and T1 and T2 in outline.

Axes of a vertebra: origin at the middle of the back wall of its body, x to the left,
y to the back, z up, perpendicular to the body's mid plane. Lengths in mm.
"""

import dataclasses

import numpy as np

from xctrs_tf.data.phantom.anatomy import ABOVE
from xctrs_tf.data.phantom.raster import Part
from xctrs_tf.data.phantom.shapes import Rod, smooth_max, smoothstep, tube

# Sign of x and index into `Anatomy.asymmetry`, left and right.
SIDES = ((1, 0), (-1, 1))
# Width of the facet joints.
FACET_GAP_MM = 1.6


@dataclasses.dataclass(frozen=True)
class Body:
    """A vertebral body: waisted, flat behind, end plates concave, uncinate ridges.

    Attributes:
        upper: half width and depth of the upper end plate.
        lower: half width and depth of the lower end plate.
        height: height at the middle of the side.
        uncus: height of the uncinate ridges at the sides of the upper end plate.
        lip: height by which the front of the lower end plate hangs down.
        osteophyte: outward growth of the rims.
    """

    upper: tuple
    lower: tuple
    height: float
    uncus: float
    lip: float
    osteophyte: float

    def distance(self, x, y, z):
        """Return the approximate distance, good to a few per cent near the surface."""
        t = np.clip(z / np.float32(self.height) + 0.5, 0.0, 1.0)
        rim = np.abs(2 * t - 1)
        bulge = np.float32(self.osteophyte) * rim**4 - np.float32(0.8) * (1 - rim * rim)
        half_width = self.lower[0] + t * np.float32(self.upper[0] - self.lower[0]) + bulge
        depth = self.lower[1] + t * np.float32(self.upper[1] - self.lower[1])
        half_depth = depth / 2 + bulge * np.float32(0.7)
        u = x / half_width
        v = (y + depth / 2) / half_depth
        u2 = u * u
        # Kidney-shaped: the back wall is flat to hollow, the front round.
        v = v + np.where(v > 0, 0.16 * (1 - np.minimum(u2, 1)) - 0.05, 0.0)
        radial = (np.abs(u) ** 2.6 + np.abs(v) ** 2.6) ** np.float32(1 / 2.6)
        side = (radial - 1) * half_depth
        behind = np.clip(0.5 + 0.5 * v, 0.0, 1.0)
        lateral = smoothstep(0.55, 1.0, np.abs(u))
        top = self.height / 2 - 0.9 * (1 - u2) + self.uncus * lateral * (0.35 + 0.65 * behind)
        top = top - 0.9 * np.clip(-v, 0, 1) ** 2
        bottom = 1.3 * (1 - np.minimum(v * v, 1)) - self.height / 2
        bottom = bottom - self.lip * np.clip(-v, 0, 1.1) ** 2 + 1.6 * lateral
        ends = np.maximum((z - top) * np.float32(0.85), (bottom - z) * np.float32(0.9))
        return smooth_max(side, ends, 1.6)

    def support(self, direction):
        """Return the largest extent along ``direction``, from the enclosing box."""
        half_width = max(self.upper[0], self.lower[0]) + self.osteophyte
        depth = max(self.upper[1], self.lower[1])
        x, y, z = direction
        front = max(0.0, -y) * (depth + self.osteophyte)
        above = max(0.0, z) * (self.height / 2 + self.uncus * 0.6)
        below = max(0.0, -z) * (self.height / 2 + self.lip)
        return float(abs(x) * half_width + front + above + below)


@dataclasses.dataclass(frozen=True)
class Canal:
    """The spinal canal: a vertical prism over a triangle with well-rounded corners."""

    width: float
    depth: float
    height: float

    def distance(self, x, y, z):
        """Return the distance to the prism."""
        v = y / np.float32(self.depth)
        # Widest a third of the way back, narrowing to the spinous process.
        profile = 1.0 - 0.62 * np.clip(v - 0.3, 0, 1) - 0.35 * np.clip(0.3 - v, 0, 1)
        u = x / (np.float32(self.width / 2) * profile)
        w = (v - 0.5) * 2
        radial = (np.abs(u) ** 2.4 + np.abs(w) ** 2.4) ** np.float32(1 / 2.4)
        inside = (radial - 1) * np.float32(self.depth / 2)
        return np.maximum(inside, np.abs(z) - np.float32(self.height))

    def support(self, direction):
        """Return the largest extent along ``direction``, from the enclosing box."""
        x, _, z = np.abs(direction)
        return float(x * self.width / 2 + max(0.0, direction[1]) * self.depth + z * self.height)


@dataclasses.dataclass(frozen=True)
class Pillar:
    """An articular pillar: a rhomboid whose top and bottom are the tilted facets."""

    centre: tuple
    half_width: float
    half_depth: float
    thickness: float
    facet_angle: float

    def distance(self, x, y, z):
        """Return the distance to the sheared box with rounded edges."""
        cx, cy, cz = np.asarray(self.centre, np.float32)
        x, y, z = x - cx, y - cy, z - cz
        angle = np.deg2rad(self.facet_angle)
        along = np.float32(np.sin(angle)) * y + np.float32(np.cos(angle)) * z
        facets = np.abs(along) - np.float32(self.thickness / 2)
        # Narrower at the facets, so that the stacked pillars look wavy from behind.
        waist = 1.1 * np.minimum((along / np.float32(self.thickness / 2)) ** 2, 1.5)
        across = smooth_max(
            np.abs(x) - (np.float32(self.half_width) - waist),
            np.abs(y) - np.float32(self.half_depth),
            4.5,
        )
        return smooth_max(facets, across, 1.6)

    def support(self, direction):
        """Return the largest extent along ``direction``, from the enclosing box."""
        angle = np.deg2rad(self.facet_angle)
        x, y, z = np.abs(direction)
        reach = self.thickness / 2 / np.cos(angle) + self.half_depth * np.tan(angle)
        return float(
            np.dot(self.centre, direction)
            + x * self.half_width
            + y * self.half_depth
            + z * reach * 0.9
        )


def _body(measures, degeneration_above, degeneration_below, cervical=True):
    """Make the body with its end plates, and with rims where the discs are worn."""
    worn = max(degeneration_above, degeneration_below)
    return Part(
        Body(
            upper=(measures.upper_width / 2 + 1.9, measures.upper_depth),
            lower=(measures.lower_width / 2 + 0.8, measures.lower_depth),
            height=measures.height,
            uncus=4.0 * measures.height / 12 if cervical else 0.4,
            lip=1.6 if cervical else 0.3,
            osteophyte=0.4 + 2.0 * worn,
        )
    )


def _pillar(measures, side, size, pitch_mm):
    """Make an articular pillar with a joint space to its neighbours."""
    thickness = pitch_mm * np.cos(np.deg2rad(measures.facet_angle)) - FACET_GAP_MM
    half_width = 6.0 * size
    x = side * (measures.canal_width / 2 + half_width - 0.6)
    centre = (x, 6.0, -0.5)
    return Part(Pillar(centre, half_width, 5.5 * size, thickness, measures.facet_angle), 2.0)


def _arch(measures, side, size):
    """Make the pedicle and lamina of one side."""
    x_body = side * (measures.upper_width / 2 - 1.0)
    x_pillar = side * (measures.canal_width / 2 + 2.5)
    back = measures.canal_depth
    pedicle = Rod(
        (x_body, -3.5, 1.5), (x_pillar, 4.5, 1.0), 3.5 * size, 3.6 * size, (1.0, -1.0, 0.0), 0.78
    )
    # Laminae are taller than thick and lean forward at the top.
    lamina = Rod(
        (side * (measures.canal_width / 2 + 1.5), 8.0, -1.5),
        (side * 1.2, back + 2.4, -4.0),
        6.0 * size,
        6.8 * size,
        (side * 0.6, 1.0, 0.45),
        0.43,
    )
    return [Part(pedicle, 2.0), Part(lamina, 2.0)]


def foramen_centre(measures, side):
    """Return the centre of the foramen transversarium of C3 to C6, for ``side`` 1 or -1."""
    return (side * (measures.upper_width / 2 + 5.4), -3.6, -1.5)


def _transverse(measures, side, size):
    """Make a transverse process: two roots, two tubercles and the foramen between them."""
    tip = side * measures.transverse_width / 2 * (0.5 + 0.5 * size)
    foramen = foramen_centre(measures, side)[0]
    lateral = foramen + side * 4.2
    anterior = [
        Rod(
            (side * (measures.upper_width / 2 - 1.5), -8.2, 1.5),
            (foramen, -8.0, -0.2),
            3.6,
            2.7,
            (0.0, 1.0, 0.0),
            0.62,
        ),
        Rod((foramen, -8.0, -0.2), (tip - side * 3.5, -7.0, -1.8), 2.6, 2.5),
        Rod((tip - side * 3.8, -7.0, -1.5), (tip - side * 3.2, -7.6, 0.8), 2.3, 1.5),
    ]
    posterior = [
        Rod(
            (side * (measures.canal_width / 2 + 4.0), 3.0, -0.5),
            (lateral, 0.6, -2.0),
            3.6,
            2.8,
            (0.0, 1.0, 0.0),
            0.75,
        ),
        Rod((lateral, 0.6, -2.0), (tip, -1.0, -4.8), 2.8, 1.8),
    ]
    # The floor of the nerve's sulcus closes the foramen to the side.
    floor = Rod((lateral, -7.2, -1.4), (lateral, 0.0, -2.2), 2.9, 2.9, (0.35 * side, 0.0, 1.0), 0.7)
    hole = Rod((foramen, -3.8, -12.0), (foramen, -3.4, 12.0), 2.9, 2.9)
    solids = (*anterior, *posterior, floor)
    return [Part(s, 1.6) for s in solids], [Part(hole, 0.8, carve=True)]


def _spinous(measures, bend_mm, bifid):
    """Make the spinous process, forked at the end if ``bifid``."""
    back, length, drop = measures.canal_depth, measures.spinous_length, measures.spinous_drop
    root = (0.0, back + 1.5, -3.5)
    fork = 7.0 if bifid else 3.0
    knee = (0.7 * bend_mm, length - fork, -drop + 1.5)
    parts = [Rod(root, knee, 5.2, 4.0, (1.0, 0.0, 0.0), 0.6)]
    if bifid:
        for side in (1, -1):
            tip = (bend_mm + side * 4.3, length - 2.6, -drop)
            parts.append(Rod((knee[0], knee[1], knee[2] - 0.8), tip, 2.7, 2.5))
    else:
        parts.append(Rod(knee, (bend_mm, length - 4.2, -drop), 4.4, 4.2, (1.0, 0.0, 0.0), 0.85))
    return [Part(shape, 2.0) for shape in parts]


def _long_transverse(measures, side, size, foramen_radius):
    """Make a transverse process of C7, T1 or T2: long, stout and directed backwards."""
    tip = side * measures.transverse_width / 2 * (0.5 + 0.5 * size)
    pillar = side * (measures.canal_width / 2 + 3.0)
    parts = [Rod((pillar, 3.0, 0.0), (tip - side * 3.2, 5.0, 0.5), 4.6, 3.2, (0.0, 1.0, 0.0), 0.75)]
    holes = []
    if foramen_radius:
        x = side * (measures.upper_width / 2 + 4.2)
        parts += tube(
            [
                (side * (measures.upper_width / 2 - 2), -6.5, 1.0),
                (x, -6.0, 0.0),
                (x + side * 6.0, -0.5, -0.5),
                (x + side * 8.0, 2.5, 0.0),
            ],
            [2.4, 1.7, 1.8, 2.6],
        )
        holes.append(
            Part(
                Rod((x, -2.2, -12.0), (x, -2.2, 12.0), foramen_radius, foramen_radius),
                0.6,
                carve=True,
            )
        )
    return [Part(shape, 1.8) for shape in parts], holes


def subaxial_parts(level, patient, pitch_mm):
    """Make the parts of C3 to C7, T1 or T2.

    Args:
        level: for example ``"C4"``.
        patient: `anatomy.Anatomy`.
        pitch_mm: mean distance to the neighbouring vertebrae, which the facets share.

    Returns:
        Tuple of `raster.Part` in the vertebra's axes.
    """
    measures = patient.subaxial[level]
    wear = patient.degeneration
    cervical = level.startswith("C")
    parts = [_body(measures, wear[ABOVE[level]], wear.get(level, 0.0), cervical)]
    holes = []
    for side, index in SIDES:
        size = patient.asymmetry[level][index] * patient.scale
        parts.append(_pillar(measures, side, size, pitch_mm))
        parts += _arch(measures, side, size)
        if level in ("C3", "C4", "C5", "C6"):
            solid, hollow = _transverse(measures, side, size)
        else:
            solid, hollow = _long_transverse(measures, side, size, 2.0 if level == "C7" else 0)
        parts += solid
        holes += hollow
    parts += _spinous(measures, patient.spinous_bend_mm[level], level in ("C3", "C4", "C5", "C6"))
    canal = Canal(measures.canal_width, measures.canal_depth, 2.5 * measures.height)
    return (*parts, Part(canal, 1.0, carve=True), *holes)
