"""Bones on a grid: windows, joint spaces, partial volume."""

import numpy as np
import pytest

from xctrs_tf.data.phantom import noise, raster, shapes

UPRIGHT = shapes.BoneFrame(np.eye(3), np.zeros(3))
GRID = raster.Grid((40, 50, 60), 0.5, (-9.75, -12.25, -14.75))


def ball(centre, radius, *more):
    part = raster.Part(shapes.Ellipsoid(centre, (radius,) * 3), 0.0)
    return raster.Bone("ball", UPRIGHT, (part, *more), 1.0, 1000.0, 300.0)


def test_window_holds_the_voxel_centres_of_a_box():
    grid = raster.Grid((10, 20, 30), 2.0, (0.0, 0.0, 0.0))
    window = grid.window((3.0, -5.0, 50.0), (8.0, 4.0, 90.0))
    assert window == (slice(2, 5), slice(0, 3), slice(25, 30))
    x, y, z = grid.coordinates(window)
    assert (x.shape, y.shape, z.shape) == ((3, 1, 1), (1, 3, 1), (1, 1, 5))
    assert (x.min(), y.max(), z.min()) == (4.0, 4.0, 50.0)


def test_window_outside_the_grid_is_empty():
    window = GRID.window((100, 0, 0), (110, 1, 1))
    assert window[0].start == window[0].stop


def test_rasterised_volume_is_the_balls():
    field = raster.rasterise(ball((0.5, -1.0, 2.0), 6.0), GRID)
    volume = np.sum(raster.coverage(field.distance, 0.5)) * 0.5**3
    # The linear ramp of a curved surface overshoots by a little.
    assert volume == pytest.approx(4 / 3 * np.pi * 6**3, rel=0.01)


def test_carved_part_is_gone():
    hole = raster.Part(shapes.Ellipsoid((0.0, 0.0, 0.0), (3.0,) * 3), 0.0, carve=True)
    field = raster.rasterise(ball((0.0, 0.0, 0.0), 6.0, hole), GRID)
    volume = np.sum(raster.coverage(field.distance, 0.5)) * 0.5**3
    assert volume == pytest.approx(4 / 3 * np.pi * (6**3 - 3**3), rel=0.01)


def test_extent_is_the_box_of_the_added_parts():
    low, high = raster.extent(ball((1.0, 2.0, 3.0), 4.0))
    np.testing.assert_allclose(low, (-3, -2, -1))
    np.testing.assert_allclose(high, (5, 6, 7))


def test_separate_leaves_a_joint_space_half_from_either_bone():
    upper, lower = (raster.rasterise(ball((0.0, 0.0, z), 6.0), GRID) for z in (5.0, -5.0))
    raster.separate(upper, lower, 2.0)
    index = [np.argmin(np.abs(GRID.axis(i))) for i in range(3)]
    heights = {}
    for name, field in (("upper", upper), ("lower", lower)):
        here = field.distance[index[0] - field.window[0].start, index[1] - field.window[1].start]
        heights[name] = GRID.axis(2)[field.window[2]][here < 0]
    # The balls touched at z = 0: the joint space reaches 1 mm to either side.
    assert heights["upper"].min() == pytest.approx(1.0, abs=0.5)
    assert heights["lower"].max() == pytest.approx(-1.0, abs=0.5)


def test_separate_leaves_distant_bones_alone():
    grid = raster.Grid((40, 50, 160), 0.5, (-9.75, -12.25, -39.75))
    upper, lower = (raster.rasterise(ball((0.0, 0.0, z), 4.0), grid) for z in (20.0, -20.0))
    before = upper.distance.copy()
    raster.separate(upper, lower, 2.0)
    np.testing.assert_array_equal(upper.distance, before)


def test_coverage_is_a_ramp_one_voxel_wide():
    distance = np.float32([-2.0, -0.5, 0.0, 1.0, 3.0])
    np.testing.assert_allclose(raster.coverage(distance, 2.0), [1.0, 0.75, 0.5, 0.0, 0.0])


def test_mottle_is_fixed_in_the_world():
    fine = raster.Grid((20, 24, 28), 1.0, (-9.5, -11.5, -13.5))
    part = raster.Grid((10, 12, 14), 1.0, (-4.5, -5.5, -6.5))
    whole = noise.mottle(np.random.default_rng(7), fine, 4.0)
    again = noise.mottle(np.random.default_rng(7), part, 4.0)
    np.testing.assert_allclose(whole[5:15, 6:18, 7:21], again, atol=1e-5)
    assert 0.4 < whole.std() < 1.0
