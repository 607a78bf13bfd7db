"""First two ribs, clavicles and scapulae, for fields that reach so low."""

import numpy as np

from xctrs_tf.data.phantom.raster import Bone, Part
from xctrs_tf.data.phantom.shapes import BoneFrame, Rod, tube

# The left ribs in the axes of their vertebra, in mm: points from head to sternal end,
# radii, thin direction and thinness as in `shapes.tube`.
RIBS = {
    "T1": (
        [
            (13, -4, 5),
            (27, 4, 4),
            (41, 6, 2),
            (54, -8, -3),
            (55, -32, -12),
            (38, -56, -24),
            (22, -66, -30),
        ],
        [3.6, 3.0, 4.2, 5.6, 6.4, 6.4, 5.0],
        (0.0, 0.3, 1.0),
        0.45,
    ),
    "T2": (
        [
            (13, -4, 7),
            (28, 6, 4),
            (46, 13, 0),
            (66, 0, -8),
            (74, -28, -20),
            (62, -60, -36),
            (30, -84, -50),
        ],
        [3.8, 3.2, 4.4, 5.0, 5.2, 5.2, 5.0],
        (0.6, 0.3, 0.7),
        0.6,
    ),
}
CLAVICLE = [(12, -66, -22), (40, -66, -12), (80, -44, 0), (118, -22, 8), (142, -10, 8)]
SPINE_OF_SCAPULA = [(76, 52, -28), (105, 40, -8), (140, 8, 6)]
BLADE = ((80, 46, -14), (92, 44, -70))


def thorax_bones(patient, spine):
    """Return ribs and shoulder girdle.

    Args:
        patient: `anatomy.Anatomy`.
        spine: `spine.Spine`.

    Returns:
        List of `raster.Bone`.
    """
    made = []
    scale = patient.scale

    def mirrored(points, side):
        return [tuple(scale * np.array([side * x, y, z], float)) for x, y, z in points]

    for level, (course, radii, thin, thinness) in RIBS.items():
        parts = [
            Part(rod, 1.5)
            for side in (1, -1)
            for rod in tube(
                mirrored(course, side),
                [scale * r for r in radii],
                (side * thin[0], *thin[1:]),
                thinness,
            )
        ]
        made.append(_bone(patient, level + " ribs", spine.bones[level].frame, parts, 0.9))
    parts = []
    for side in (1, -1):
        parts += tube(mirrored(CLAVICLE, side), [8.0, 6.0, 5.0, 5.5, 7.0])
        parts += tube(mirrored(SPINE_OF_SCAPULA, side), [4.0, 7.0, 8.0], (0.0, 0.4, 1.0), 0.6)
        start, end = mirrored(BLADE, side)
        parts.append(Rod(start, end, 26.0, 20.0, (side * -0.45, 1.0, 0.0), 0.12))
    # The girdle stays upright and does not follow the tilt of T1.
    girdle = BoneFrame(np.eye(3), spine.bones["T1"].frame.origin)
    made.append(_bone(patient, "shoulders", girdle, [Part(s, 2.0) for s in parts], 1.2))
    return made


def _bone(patient, name, frame, parts, cortex_mm):
    return Bone(name, frame, tuple(parts), cortex_mm, patient.cortex_hu, patient.core_hu - 110)
