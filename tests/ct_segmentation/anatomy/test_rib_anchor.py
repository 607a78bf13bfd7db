import numpy as np
import pytest

from tests.ct_segmentation.anatomy.phantom_predictions import SPACING_MM, neck, prediction_of
from xctrs_tf.ct_segmentation.anatomy.rib_anchor import Ribs, beside_lungs, first_ribs
from xctrs_tf.ct_segmentation.anatomy.scan_border import is_cut, is_near_end

STEP_MM = 17.5
ORIGIN_MM = (-75.0, -50.0, 100.0)
C7_MM = np.array([0.0, 0.0, 150.0])
UP_MM = np.array([0.0, 0.0, STEP_MM])
C6_MM = C7_MM + UP_MM
SHAPE = (61, 41, 45)


def _prediction(hu):
    return prediction_of(np.zeros(SHAPE, np.uint8), hu, origin_mm=ORIGIN_MM)


def _coordinates():
    axes = [o + SPACING_MM * np.arange(n) for o, n in zip(ORIGIN_MM, SHAPE, strict=True)]
    return np.meshgrid(*axes, indexing="ij")


def _ribs(levels_below, sides=(-1, 1), value=400.0):
    """Return CT numbers of soft tissue with ribs whose tops lie below the centre of C7."""
    x, y, z = _coordinates()
    hu = np.full(SHAPE, 40.0, np.float32)
    for side in sides:
        top = C7_MM[2] - STEP_MM * (levels_below if np.isscalar(levels_below) else 0)
        if not np.isscalar(levels_below):
            top -= STEP_MM * levels_below[max(side, 0)]
        beside = (side * x >= 35) & (side * x <= 56) & (np.abs(y) < 8)
        hu[beside & (z <= top) & (z >= top - 8)] = value
    return hu


@pytest.mark.parametrize(("levels_below", "offset"), [(0.5, 0), (1.5, 1), (-0.5, -1)])
def test_first_ribs_tell_the_level(levels_below, offset):
    ribs = first_ribs(_prediction(_ribs(levels_below)), C6_MM, C7_MM)
    np.testing.assert_allclose(ribs.heights, -levels_below, atol=0.15)
    assert ribs.seen and ribs.level_offset == offset


@pytest.mark.parametrize(
    "hu",
    [
        _ribs(0.5, sides=()),
        _ribs(0.5, sides=(1,)),
        _ribs((0.2, 1.4)),
        _ribs(1.0),
        _ribs(0.5, value=120.0),
    ],
    ids=["no ribs", "one rib", "unlike ribs", "between two levels", "no bone"],
)
def test_unclear_ribs_tell_nothing(hu):
    ribs = first_ribs(_prediction(hu), C6_MM, C7_MM)
    assert ribs.seen and ribs.level_offset is None


def test_ribs_beyond_the_scan_tell_nothing():
    hu = _ribs(0.5)
    hu[_coordinates()[0] > 40] = -1000.0
    assert not first_ribs(_prediction(hu), C6_MM, C7_MM).seen
    assert Ribs((-0.5, -0.5), True).level_offset == 0
    assert Ribs((-0.5, -0.5), False).level_offset is None


def test_two_levels_give_the_size_of_one():
    hu = _prediction(_ribs(0.5))
    two = first_ribs(hu, C7_MM + 2 * UP_MM, C7_MM, levels_between=2)
    assert two == first_ribs(hu, C6_MM, C7_MM)


@pytest.mark.parametrize(("level", "offset"), [(7, 0), (6, 1)])
def test_ribs_of_the_phantom_tell_the_level(level, offset):
    prediction = prediction_of(neck().segmentation)
    places = [
        np.argwhere(neck().segmentation == each).mean(axis=0) * SPACING_MM + neck().origin_mm
        for each in (level - 1, level)
    ]
    assert first_ribs(prediction, *places).level_offset == offset


@pytest.mark.parametrize(("sides", "expected"), [((-1, 1), True), ((1,), False), ((), False)])
def test_lungs_lie_on_both_sides(sides, expected):
    x, y, _ = _coordinates()
    hu = np.full(SHAPE, 40.0, np.float32)
    for side in sides:
        hu[(side * x > 25) & (np.abs(y) < 30)] = -800.0
    assert beside_lungs(_prediction(hu), C7_MM) is expected


def test_air_beside_the_neck_is_no_lung():
    x, _, _ = _coordinates()
    hu = np.where(np.abs(x) > 25, -1000.0, 40.0).astype(np.float32)
    assert not beside_lungs(_prediction(hu), C7_MM)


def _cube(start, edge=8):
    return np.argwhere(np.ones((edge,) * 3)) + np.array(start)


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ((10, 10, 10), False),
        ((0, 10, 10), True),
        ((1, 10, 10), False),
        ((10, 24, 10), True),
        ((10, 23, 10), False),
        ((10, 10, 24), True),
        ((10, 10, 23), False),
    ],
)
def test_vertebra_at_the_border_is_cut(start, expected):
    assert is_cut(_cube(start), np.full((32, 32, 32), 40.0, np.float32), SPACING_MM) is expected


@pytest.mark.parametrize(("first_of_air", "expected"), [(18, True), (19, False)])
def test_vertebra_at_padding_is_cut(first_of_air, expected):
    hu = np.full((32, 32, 32), 40.0, np.float32)
    hu[..., first_of_air:] = -1000.0
    assert is_cut(_cube((10, 10, 10)), hu, SPACING_MM) is expected


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ((10, 10, 10), False),
        ((2, 10, 10), False),
        ((10, 10, 22), True),
        ((10, 10, 21), False),
        ((10, 10, 2), True),
        ((10, 10, 3), False),
    ],
)
def test_vertebra_ends_near_the_first_or_last_slice(start, expected):
    assert (
        is_near_end(_cube(start), np.full((32, 32, 32), 40.0, np.float32), SPACING_MM) is expected
    )


@pytest.mark.parametrize(("first_of_air", "expected"), [(20, True), (21, False)])
def test_vertebra_ends_near_padding(first_of_air, expected):
    hu = np.full((32, 32, 32), 40.0, np.float32)
    hu[..., first_of_air:] = -1000.0
    assert is_near_end(_cube((10, 10, 10)), hu, SPACING_MM) is expected


def test_tip_at_the_border_is_cut():
    voxels = np.concatenate([_cube((10, 10, 2), 8), [(14, 14, 1), (14, 14, 0)]])
    assert is_cut(voxels, np.full((32, 32, 32), 40.0, np.float32), SPACING_MM)


def test_vertebra_at_slanting_padding_is_cut():
    hu = np.full((32, 32, 32), 40.0, np.float32)
    hu[:14, :, 18:] = -1000.0
    assert is_cut(_cube((10, 10, 10)), hu, SPACING_MM)


@pytest.mark.parametrize("finer", [1, 2])
def test_limits_at_the_border_are_the_same_for_any_voxel_size(finer):
    spacing_mm = SPACING_MM / finer
    hu = np.full((32, 32, 32), 40.0, np.float32)
    assert is_near_end(_cube((10, 10, 2 * finer)), hu, spacing_mm)
    assert not is_near_end(_cube((10, 10, 2 * finer + 1)), hu, spacing_mm)
    # All but one of the voxels that cut, then all.
    hu[10 : 10 + 2 * finer, 10 : 10 + 2 * finer, 18:] = -1000.0
    hu[10, 10, 18] = 40.0
    assert not is_cut(_cube((10, 10, 10)), hu, spacing_mm)
    hu[10, 10, 18] = -1000.0
    assert is_cut(_cube((10, 10, 10)), hu, spacing_mm)
