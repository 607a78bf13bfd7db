"""Atlas (C1) and axis (C2).

Axes, x left, y back, z up, in mm: the origin of C1 is the centre of the dens, between
the lateral masses; that of C2 is at the back of its body, `AXIS_BELOW` of the bone's
height above its lower end plate.
"""

from xctrs_tf.data.phantom.bones.vertebra import FACET_GAP_MM, SIDES, Body, Canal, Pillar
from xctrs_tf.data.phantom.raster import Part
from xctrs_tf.data.phantom.shapes import Ellipsoid, Rod, RoundedBox, rotation, tube

# Joint space between the dens and the anterior arch.
ATLANTODENTAL_GAP_MM = 1.4
# Share of C2's height below its origin.
AXIS_BELOW = 0.28


def _arch_middles(m, dens_depth):
    """Return y of the middle of C1's anterior and posterior arch."""
    front = -(dens_depth / 2 + ATLANTODENTAL_GAP_MM + m.anterior_arch_thickness / 2)
    inside = front + m.anterior_arch_thickness / 2 + m.canal_depth
    return front, inside + m.posterior_arch_thickness / 2


def _atlas_arches(m, side, front, back):
    """Make the anterior and posterior half arch of one side."""
    half = m.anterior_arch_height / 2
    anterior = tube(
        [
            (side * (m.inner_width / 2 + 2.5), -5.5, -1.0),
            (side * 8.0, front + 2.2, 0.0),
            (0.0, front, 0.0),
        ],
        [half * 0.95, half * 0.8, half],
        (0.0, 1.0, 0.0),
        m.anterior_arch_thickness / m.anterior_arch_height,
    )
    half = m.posterior_arch_height / 2
    posterior = tube(
        [
            (side * (m.inner_width / 2 + 3.5), 8.0, 0.5),
            (side * (m.inner_width / 2 + 1.5), 14.0, 1.0),
            (side * (m.inner_width / 2 - 4.5), back - 4.5, -0.5),
            (0.0, back, -1.0),
        ],
        # Thinnest behind the lateral mass, where the vertebral artery crosses.
        [half * 0.95, half * 0.72, half * 0.95, half * 1.05],
        (side * 0.6, 1.0, 0.0),
        m.posterior_arch_thickness / m.posterior_arch_height,
    )
    return [*anterior, *posterior]


def _atlas_side(m, side, size):
    """Make lateral mass and transverse process of one side, and the parts to carve."""
    x = side * (m.inner_width / 2 + 5.0)
    hole_x = side * m.foramen_distance / 2
    tip = (side * (m.width / 2 * (0.5 + 0.5 * size) - 4.0), 5.5, -2.5)
    # A wedge, tall at the side and low towards the dens.
    mass = RoundedBox(
        (x, 0.8, -0.8),
        (7.5 * size, 9.8 * size, m.mass_height / 2),
        4.6,
        rotation(0, side * 12, side * -22),
    )
    # The roots of the transverse process are wider than high.
    flat = ((0.0, 0.0, 1.0), 0.72)
    front_root = tube(
        [(x, -2.5, -1.0), (hole_x, -3.6, -1.0), (tip[0] - side * 2, 1.5, -2.0)],
        [4.8, 3.1, 3.8],
        *flat,
    )
    back_root = tube([(x, 7.0, -1.0), (hole_x, 8.6, -0.5), tip], [4.4, 3.1, 4.2], *flat)
    foramen = Rod((hole_x, 2.6, -15.0), (hole_x, 2.6, 15.0), 3.3, 3.3)
    cup = Ellipsoid(
        (side * 16.5, -1.0, 16.4), (9.5, 13.5, 11.0), rotation(0, side * -18, side * -25)
    )
    return [mass, *front_root, *back_root], [
        Part(foramen, 0.8, carve=True),
        Part(cup, 1.0, carve=True),
    ]


def atlas_parts(patient):
    """Make the parts of C1.

    Args:
        patient: `anatomy.Anatomy`.

    Returns:
        Tuple of `raster.Part`.
    """
    m = patient.atlas
    front, back = _arch_middles(m, patient.axis.dens_depth)
    parts, holes = [], []
    for side, index in SIDES:
        solid, hollow = _atlas_side(m, side, patient.asymmetry["C1"][index] * patient.scale)
        parts += solid + _atlas_arches(m, side, front, back)
        holes += hollow
    parts.append(Ellipsoid((0.0, front - 2.0, -1.5), (3.2, 3.0, 3.6)))
    parts.append(Ellipsoid((0.0, back + 1.0, -0.5), (3.2, 3.4, 4.0)))
    # Room for dens, transverse ligament and cord.
    cord = Ellipsoid((0.0, 10.0, 0.0), (m.inner_width / 2, m.canal_depth / 2 - 2.0, 30.0))
    dens = Rod((0.0, 0.0, -20.0), (0.0, 0.0, 20.0), 6.6 * patient.scale, 6.6 * patient.scale)
    holes += [Part(shape, 1.0, carve=True) for shape in (cord, dens)]
    return (*(Part(shape, 2.0) for shape in parts), *holes)


def dens_centre(measures):
    """Return the middle of the dens in C2's axes, which is the origin of C1."""
    top = measures.total_height * (1 - AXIS_BELOW)
    return (0.0, -measures.lower_depth * 0.5, top - measures.dens_height * 0.52)


def _axis_core(patient):
    """Make the body and dens of C2."""
    m = patient.axis
    bottom = -m.total_height * AXIS_BELOW
    top = m.total_height * (1 - AXIS_BELOW)
    y = dens_centre(m)[1]
    radius = m.dens_width / 2
    base = top - m.dens_height
    body = Body(
        upper=(8.0 * patient.scale, m.lower_depth * 0.84),
        lower=(m.lower_width / 2 + 0.8, m.lower_depth),
        height=2 * -bottom,
        uncus=0.0,
        lip=2.2,
        osteophyte=0.3 + 1.5 * patient.degeneration["C2"],
    )
    dens = tube(
        [
            (0.0, y, 4.0),
            (0.0, y, base + 1.5),
            (0.0, y + 0.3, base + 7.0),
            (0.0, y + 1.0, top - radius),
        ],
        [radius * 1.25, radius * 0.9, radius * 1.08, radius * 0.9],
        (1.0, 0.0, 0.0),
        m.dens_width / m.dens_depth,
    )
    return [Part(body), *(Part(shape, 3.5) for shape in dens)]


def _axis_side(m, side, size, pitch_mm):
    """Make one side of C2: upper facet, pillar, lamina, transverse process; and its hole."""
    shoulder = RoundedBox(
        (side * m.facet_width / 2 * 0.64, -5.0, 5.4),
        (7.8 * size, 7.8 * size, 4.2 * size),
        3.8 * size,
        rotation(0, side * 26, 0),
    )
    buttress = Rod((side * 11.0, -7.0, 3.0), (side * 4.5, -8.0, -7.0), 4.5 * size, 4.0 * size)
    # The lower half of C2 has an articular pillar like its neighbours, without an upper facet.
    x = side * (m.canal_width / 2 + 4.6 * size)
    pillar = Pillar((x, 7.6, -3.4), 5.6 * size, 5.2 * size, pitch_mm * 0.70 - FACET_GAP_MM, 46.0)
    neck = Rod((side * 13.0, -3.0, 2.5), (x, 7.0, -2.0), 5.4 * size, 4.8 * size)
    lamina = Rod(
        (x - side * 1.5, 9.0, -3.0),
        (side * 1.2, m.canal_depth + 3.0, -5.5),
        6.8 * size,
        7.6 * size,
        (side * 0.6, 1.0, 0.35),
        0.36,
    )
    tip = side * (m.transverse_width / 2 - 2.5)
    hole_x = side * m.foramen_distance / 2
    process = [
        Rod((side * 12.0, -5.5, 0.0), (tip, -1.5, -3.0), 3.2, 2.6),
        Rod((x, 5.0, -2.0), (tip, -0.5, -3.5), 3.2, 2.6),
    ]
    hole = Rod((hole_x, -0.8, -9.0), (hole_x + side * 4.5, -1.0, 8.0), 2.6, 2.6)
    rest = (pillar, neck, lamina, *process)
    return [Part(shoulder, 6.0), Part(buttress, 5.0), *(Part(s, 2.6) for s in rest)], [
        Part(hole, 0.8, carve=True)
    ]


def _axis_spinous(patient):
    """Make the stout, forked spinous process of C2."""
    m = patient.axis
    bend = patient.spinous_bend_mm["C2"]
    root = (0.0, m.canal_depth + 3.0, -6.0)
    knee = (0.6 * bend, m.spinous_length - 7.0, -11.0)
    parts = [Part(Rod(root, knee, 7.2, 5.8, (1.0, 0.0, 0.0), 0.55), 2.5)]
    for side in (1, -1):
        tip = (bend + side * 5.2, m.spinous_length - 2.8, -14.5)
        parts.append(Part(Rod((knee[0], knee[1], knee[2] - 1.5), tip, 4.0, 3.0), 2.0))
    return parts


def axis_parts(patient, pitch_mm):
    """Make the parts of C2.

    Args:
        patient: `anatomy.Anatomy`.
        pitch_mm: distance to C3, which the facets share.

    Returns:
        Tuple of `raster.Part`.
    """
    m = patient.axis
    parts, holes = _axis_core(patient), []
    for side, index in SIDES:
        size = patient.asymmetry["C2"][index] * patient.scale
        solid, hollow = _axis_side(m, side, size, pitch_mm)
        parts += solid
        holes += hollow
    parts += _axis_spinous(patient)
    canal = Part(Canal(m.canal_width, m.canal_depth, 30.0), 1.0, carve=True)
    return (*parts, canal, *holes)
