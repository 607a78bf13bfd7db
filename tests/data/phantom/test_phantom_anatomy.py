"""Anatomy of phantoms: landmarks, tissues, holes and ranges."""

import functools
import itertools

import numpy as np
import pytest
from scipy import ndimage

from tests.data.phantom.phantoms import SEEDS, phantom
from xctrs_tf.data.phantom import anatomy, measurements
from xctrs_tf.data.phantom.bones import atlas_axis, spine, vertebra

LEVELS = ("C2", "C3", "C4", "C5", "C6", "C7")
BONE_HU = 250


@functools.cache
def patient(seed):
    """Return a phantom without noise, its sampled parameters and its posed spine."""
    return (phantom(seed), *spine.pose(anatomy.sample(seed)))


def voxel(made, point):
    return tuple(np.round((point - np.array(made.origin_mm)) / made.spacing_mm).astype(int))


def mean_hu(made, point, radius=1):
    return np.mean(made.ct[tuple(slice(i - radius, i + radius + 1) for i in voxel(made, point))])


@pytest.mark.parametrize("seed", SEEDS)
def test_dens_stands_inside_the_ring_of_c1(seed):
    made, _, column = patient(seed)
    frame = column.bones["C1"].frame
    assert made.segmentation[voxel(made, frame.origin)] == 2
    reach = np.arange(0, 40, 0.5)
    for direction in ((0, -1, 0), (0, 1, 0), (1, 0, 0), (-1, 0, 0)):
        ray = [frame.to_world(np.array(direction) * r) for r in reach]
        met = {made.segmentation[voxel(made, point)] for point in ray}
        assert 1 in met, direction


def canal_centres(values, column):
    """Return the centre of the canal at every level, C1 to C7."""
    centres = [column.bones["C1"].frame.to_world((0, 14, 0))]
    centres.append(column.bones["C2"].frame.to_world((0, values.axis.canal_depth / 2, 0)))
    for level in LEVELS[1:]:
        depth = values.subaxial[level].canal_depth
        centres.append(column.bones[level].frame.to_world((0, depth / 2, 0)))
    return np.array(centres)


@pytest.mark.parametrize("seed", SEEDS)
def test_canal_is_free_of_bone_from_end_to_end(seed):
    made, values, column = patient(seed)
    centres = canal_centres(values, column)
    stations = np.linspace(0, len(centres) - 1, 120)
    path = np.stack([np.interp(stations, range(len(centres)), centres[:, i]) for i in range(3)], 1)
    bone = (made.segmentation > 0) | (made.ct > BONE_HU)
    free = ndimage.distance_transform_edt(~bone)
    room = np.array([free[voxel(made, point)] for point in path])
    # The cord is 7 to 8 mm deep and lies in a canal of at least 12.
    assert room.min() > 5


def cut(made, frame, centre, half_mm, step_mm=0.5):
    """Return the labels in a plane across a vertebra, around a local point."""
    offsets = np.arange(-half_mm, half_mm + step_mm, step_mm)
    points = [
        frame.to_world((centre[0] + u, centre[1] + v, centre[2])) for u in offsets for v in offsets
    ]
    labels = [made.segmentation[voxel(made, point)] for point in points]
    return np.reshape(labels, (offsets.size, offsets.size))


@pytest.mark.parametrize("level", ["C3", "C4", "C5", "C6"])
@pytest.mark.parametrize("seed", SEEDS)
def test_foramina_transversaria_are_closed_holes(seed, level):
    made, values, column = patient(seed)
    frame = column.bones[level].frame
    for side in (1, -1):
        x, y, _ = vertebra.foramen_centre(values.subaxial[level], side)
        rings = 0
        for z in np.arange(-4.0, 2.0, 0.5):
            bone = cut(made, frame, (x, y, z), 12.0) == int(level[1])
            middle = bone.shape[0] // 2
            assert not bone[middle, middle]
            rings += bool(ndimage.binary_fill_holes(bone)[middle, middle])
        assert rings >= 2, side
        assert mean_hu(made, frame.to_world((x, y, -1.5))) < BONE_HU


@pytest.mark.parametrize("seed", SEEDS)
def test_tissues_have_their_ct_numbers(seed):
    made, values, column = patient(seed)
    for level in LEVELS[1:]:
        body = column.bones[level].frame.to_world((0, -values.subaxial[level].upper_depth / 2, 0))
        assert 180 < mean_hu(made, body) < 550, level
    for upper, lower in itertools.pairwise(LEVELS):
        size = values.subaxial[lower]
        top = size.height / 2 + values.disc_height_mm[upper] / 2
        disc = column.bones[lower].frame.to_world((0, -size.upper_depth / 2, top))
        assert 70 < made.ct[voxel(made, disc)] < 160, upper
    cord = canal_centres(values, column)[3:]
    assert all(25 < mean_hu(made, point) < 60 for point in cord)
    assert made.ct[made.segmentation > 0].max() > 900
    assert made.ct.min() == -1000


@pytest.mark.parametrize("seed", SEEDS)
def test_soft_tissue_fills_the_neck(seed):
    made, _, _ = patient(seed)
    slab = made.ct[:, :, 50:70]
    share = {
        "fat": np.mean((slab > -140) & (slab < -60)),
        "muscle": np.mean((slab > 20) & (slab < 90)),
        "air": np.mean(slab < -900),
    }
    assert share["muscle"] > 0.2
    assert share["fat"] > 0.03
    # The airway, and the air beside most necks.
    assert share["air"] > 0.005


@pytest.mark.parametrize("seed", SEEDS)
def test_posed_lordosis_is_the_sampled_one(seed):
    _, values, column = patient(seed)
    # Undo the turn and bend of C2: only the tilt in its own sagittal plane counts.
    up = [column.bones[level].frame.rotation[:, 2] for level in ("C2", "C7")]
    tilt = [np.rad2deg(np.arctan2(-axis[1], axis[2])) for axis in up]
    assert tilt[1] - tilt[0] == pytest.approx(values.lordosis_deg, abs=0.5)


def test_phantoms_differ_as_people_do():
    people = [anatomy.sample(seed) for seed in range(120)]
    scale = {sex: [p.scale for p in people if p.sex == sex] for sex in ("female", "male")}
    assert np.mean(scale["male"]) - np.mean(scale["female"]) > 0.03
    lordosis = np.array([p.lordosis_deg for p in people])
    assert lordosis.min() < 0 < 35 < lordosis.max()
    assert np.mean(lordosis) == pytest.approx(measurements.LORDOSIS_DEG[0], abs=3)
    worn = [max(p.degeneration.values()) for p in people]
    assert min(worn) == 0
    assert max(worn) > 0.7


def test_every_phantom_fits_the_cube():
    for seed in range(40):
        _, column = spine.pose(anatomy.sample(seed))
        size = column.high_mm - column.low_mm
        assert 98 < size[2] <= spine.MAX_SPAN_MM + 0.5
        np.testing.assert_allclose(column.high_mm, -column.low_mm)


def test_dens_centre_is_above_the_body():
    x, y, z = atlas_axis.dens_centre(measurements.AXIS)
    # 0.72 of 36 mm less 0.52 of a dens of 15.5 mm.
    assert (x, y, z) == pytest.approx((0, -7.8, 17.86))
