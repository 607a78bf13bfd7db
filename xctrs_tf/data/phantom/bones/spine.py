"""Pose of the spine: one frame per bone, stacked from C7 up to the skull and down to T2.

Discs keep the posterior walls of the bodies in line, as the posterior longitudinal
ligament does; half of a disc's angle lies at either end plate. The world's origin
is the centre of the C1..C7 bounding box.
"""

import dataclasses
import itertools

import numpy as np
import scipy

from xctrs_tf.data.phantom import raster
from xctrs_tf.data.phantom.anatomy import ABOVE, COLUMN
from xctrs_tf.data.phantom.bones import atlas_axis, vertebra
from xctrs_tf.data.phantom.shapes import BoneFrame, rotation

# Largest span of C1..C7: the 128 mm cube less about 4 mm on every side.
MAX_SPAN_MM = 119.0


@dataclasses.dataclass(frozen=True)
class Spine:
    """A posed spine.

    Attributes:
        bones: name to `raster.Bone`, C1 to C7, T1, T2.
        skull: `shapes.BoneFrame` of the skull; its origin is that of C1.
        hyoid: upright `shapes.BoneFrame` between C3 and C4.
        low_mm: lower corner of the C1..C7 box.
        high_mm: upper corner of the C1..C7 box.
    """

    bones: dict
    skull: BoneFrame
    hyoid: BoneFrame
    low_mm: np.ndarray
    high_mm: np.ndarray


def _tilts(patient):
    """Return the rotation matrix of every level from C2 to T2."""
    share = np.concatenate([[0.0], np.cumsum(patient.lordosis_share)])
    tilt = {}
    for level, part in zip(("C2", "C3", "C4", "C5", "C6", "C7"), share, strict=True):
        tilt[level] = (
            patient.c7_slope_deg - patient.lordosis_deg * (1 - part),
            patient.lateral_bend_deg * (1 - part),
            patient.axial_rotation_deg * (1 - part),
        )
    slope = patient.c7_slope_deg
    tilt["T1"], tilt["T2"] = (slope + 5.0, 0.0, 0.0), (slope + 9.0, 0.0, 0.0)
    return {level: rotation(*angles) for level, angles in tilt.items()}


def _half_heights(patient, level):
    """Return the distances from a level's origin to its upper and lower end plate."""
    if level == "C2":
        return None, patient.axis.total_height * atlas_axis.AXIS_BELOW
    half = patient.subaxial[level].height / 2
    return half, half


def _halfway(a, b):
    """Return the rotation halfway between two."""
    return scipy.spatial.transform.Rotation.from_matrix([a, b]).mean().as_matrix()


def _column_frames(patient):
    """Return the frames of C2 to T2, with C7 at the origin.

    Args:
        patient: `anatomy.Anatomy`.

    Returns:
        Level to `shapes.BoneFrame`.
    """
    tilts = _tilts(patient)
    frames = {"C7": BoneFrame(tilts["C7"], np.zeros(3))}
    pairs = list(itertools.pairwise(COLUMN))
    for upper, lower in pairs[4::-1] + pairs[5:]:
        _, below = _half_heights(patient, upper)
        above, _ = _half_heights(patient, lower)
        disc = patient.disc_height_mm[upper]
        step = (
            tilts[lower] @ np.array([0.0, 0.0, above])
            + _halfway(tilts[upper], tilts[lower]) @ np.array([0.0, 0.0, disc])
            + tilts[upper] @ np.array([0.0, 0.0, below])
        )
        step[:2] += patient.jitter_mm[upper]
        if lower in frames:
            frames[upper] = BoneFrame(tilts[upper], frames[lower].origin + step)
        else:
            frames[lower] = BoneFrame(tilts[lower], frames[upper].origin - step)
    return frames


def _head_frames(patient, axis):
    """Return the frames of C1 and of the skull above C2."""
    turn = rotation(0, 0, patient.atlas_rotation_deg)
    level = rotation(-patient.head_extension_deg, 0, patient.axial_rotation_deg) @ turn
    centre = axis.to_world(atlas_axis.dens_centre(patient.axis))
    atlas = BoneFrame(_halfway(axis.rotation @ turn, level), centre)
    return atlas, BoneFrame(level, centre)


def _pitch(frames, level):
    """Return the distance from a level to its neighbours along its axis, at the facets."""
    at_facets = [f.to_world((0.0, 6.0, 0.0)) for f in frames.values()]
    index = COLUMN.index(level)
    heights = []
    for neighbour in (index - 1, index + 1):
        if 0 <= neighbour < len(COLUMN) and COLUMN[neighbour] != "C2":
            step = at_facets[neighbour] - at_facets[index]
            heights.append(abs(float(step @ frames[level].rotation[:, 2])))
    return float(np.mean(heights))


def _shrink(measures, factor):
    """Return the measures with every length times ``factor``."""
    lengths = {
        field.name: getattr(measures, field.name) * factor
        for field in dataclasses.fields(measures)
        if field.name != "facet_angle"
    }
    return dataclasses.replace(measures, **lengths)


def _scaled(patient, factor):
    """Return the anatomy with every length of the skeleton times ``factor``."""
    return dataclasses.replace(
        patient,
        scale=patient.scale * factor,
        atlas=_shrink(patient.atlas, factor),
        axis=_shrink(patient.axis, factor),
        subaxial={level: _shrink(m, factor) for level, m in patient.subaxial.items()},
        disc_height_mm={disc: h * factor for disc, h in patient.disc_height_mm.items()},
    )


def _assemble(patient):
    """Return the bones by name and the skull's frame, not yet centred."""
    frames = _column_frames(patient)
    frames = {level: frames[level] for level in COLUMN}
    atlas, skull = _head_frames(patient, frames["C2"])
    cortex = 0.75 * patient.scale
    tissue = (cortex, patient.cortex_hu, patient.core_hu)
    bones = {"C1": raster.Bone("C1", atlas, atlas_axis.atlas_parts(patient), *tissue)}
    pitch = _pitch(frames, "C3")
    parts = atlas_axis.axis_parts(patient, pitch)
    bones["C2"] = raster.Bone("C2", frames["C2"], parts, *tissue)
    for level in COLUMN[1:]:
        parts = vertebra.subaxial_parts(level, patient, _pitch(frames, level))
        worn = [patient.degeneration.get(disc, 0.0) for disc in (level, ABOVE[level])]
        sclerosis = (450 * worn[0] ** 2, 450 * worn[1] ** 2, patient.subaxial[level].height / 2)
        bones[level] = raster.Bone(level, frames[level], parts, *tissue, sclerosis)
    return bones, skull


def _cervical_box(bones):
    """Return the bounding box of C1..C7 as two arrays, low and high."""
    boxes = [raster.extent(bone) for name, bone in bones.items() if name.startswith("C")]
    return np.min([b[0] for b in boxes], axis=0), np.max([b[1] for b in boxes], axis=0)


def pose(patient):
    """Stack the vertebrae and centre them.

    A spine too tall for the 128 mm cube is scaled down to fit it.

    Args:
        patient: `anatomy.Anatomy`.

    Returns:
        The `Anatomy`, scaled where needed, and the `Spine`.
    """
    bones, skull = _assemble(patient)
    low, high = _cervical_box(bones)
    span = float(np.max(high - low))
    if span > MAX_SPAN_MM:
        patient = _scaled(patient, MAX_SPAN_MM / span)
        bones, skull = _assemble(patient)
        low, high = _cervical_box(bones)
    centre = (low + high) / 2
    bones = {
        name: dataclasses.replace(
            bone, frame=BoneFrame(bone.frame.rotation, bone.frame.origin - centre)
        )
        for name, bone in bones.items()
    }
    skull = BoneFrame(skull.rotation, skull.origin - centre)
    throat = (bones["C3"].frame.origin + bones["C4"].frame.origin) / 2
    hyoid = BoneFrame(np.eye(3), throat)
    return patient, Spine(bones, skull, hyoid, low - centre, high - centre)
