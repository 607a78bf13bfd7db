"""Stitching of volumes that are parts of one scan."""

import dataclasses
import itertools

import numpy as np
import pytest

from xctrs_tf.data.scan_parts import join_arrays, join_labels, joint_of
from xctrs_tf.data.volumes import stored_image
from xctrs_tf.data.volumes.grid import Grid
from xctrs_tf.data.volumes.volume import Volume
from xctrs_tf.errors import UserError

SPACING_MM = (0.5, 0.75, 1.25)
ORIGIN_MM = (-31.7, 12.3, 104.9)
SHAPE = (8, 9, 20)


@pytest.fixture
def whole():
    rng = np.random.default_rng(0)
    return Volume(rng.integers(-1000, 1500, SHAPE).astype(np.int16), SPACING_MM, ORIGIN_MM)


def part(volume, start, stop, axis=2):
    """Return a part of a volume along an axis, where it lies in space."""
    index = (slice(None),) * axis + (slice(start, stop),)
    origin_mm = list(volume.origin_mm)
    origin_mm[axis] += start * volume.spacing_mm[axis]
    return Volume(volume.array[index].copy(), volume.spacing_mm, tuple(origin_mm))


def named(*volumes):
    return [(f"part-{number}", volume) for number, volume in enumerate(volumes)]


def grid_of(volume):
    numbers = (np.array(volume.spacing_mm), np.array(volume.origin_mm))
    return Grid(volume.array.shape, np.eye(3), *numbers)


def stitch(named_volumes, join=join_arrays):
    """Return the volume that parts make together."""
    joint = joint_of([(name, grid_of(volume)) for name, volume in named_volumes])
    array = join(joint, [(name, volume.array) for name, volume in named_volumes])
    return Volume(array, tuple(joint.grid.spacing_mm), tuple(joint.grid.origin_mm))


def moved(volume, *mm):
    return dataclasses.replace(volume, origin_mm=tuple(np.add(volume.origin_mm, mm).tolist()))


def assert_equal(found, expected):
    np.testing.assert_array_equal(found.array, expected.array)
    assert found.array.dtype == expected.array.dtype
    np.testing.assert_allclose(found.spacing_mm, expected.spacing_mm)
    np.testing.assert_allclose(found.origin_mm, expected.origin_mm, atol=1e-6)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("overlap", [0, 1, 3])
def test_two_parts_are_the_whole_in_any_order(whole, axis, overlap):
    cut = SHAPE[axis] // 2
    parts = named(part(whole, 0, cut + overlap, axis), part(whole, cut, None, axis))
    for order in itertools.permutations(parts):
        assert_equal(stitch(list(order)), whole)


def test_three_parts_of_which_two_overlap_and_one_adjoins(whole):
    parts = named(part(whole, 14, 20), part(whole, 0, 9), part(whole, 7, 14))
    for order in itertools.permutations(parts):
        assert_equal(stitch(list(order)), whole)


def test_headers_and_ct_numbers_may_be_rounded(whole):
    above = part(whole, 9, 20)
    above = moved(dataclasses.replace(above, array=above.array + np.float32(0.4)), 0.02, 0.01, 0.03)
    joined = stitch(named(part(whole, 0, 12), above))
    np.testing.assert_allclose(joined.array, whole.array, atol=0.5)
    np.testing.assert_allclose(joined.origin_mm, ORIGIN_MM)


def refused(message, *volumes):
    with pytest.raises(UserError) as error:
        stitch(named(*volumes))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_what_does_not_fit_is_refused_with_its_reason(whole):
    below, above = part(whole, 0, 10), part(whole, 10, 20)
    refused("part-1: 2 voxels (bottom to top) are missing between it and part-0", below,
            part(whole, 12, 20))  # fmt: skip
    refused("part-0: 2 voxels (bottom to top) are missing between it and part-1",
            part(whole, 12, 20), below)  # fmt: skip
    refused("part-1: shows nothing that part-0 does not show", whole, part(whole, 3, 9))
    refused("part-0: shows nothing that part-1 does not show", part(whole, 3, 9), whole)
    refused("part-1: shows nothing that part-0 does not show", whole, whole)
    refused("part-1: its voxels do not lie on the grid of part-0", below, moved(above, 0, 0, 0.3))
    refused("part-1: its voxels do not lie on the grid of part-0", below, moved(above, 0.1, 0, 0))
    refused("part-1: not above, below or beside part-0", below, moved(above, 0.5, 0, 0))
    refused("part-1: not above, below or beside part-0", below, part(above, 1, 6, axis=0))
    other = dataclasses.replace(above, spacing_mm=(0.5, 0.75, 1.0))
    refused("part-1: voxels of 0.5 x 0.75 x 1 mm, part-0 of 0.5 x 0.75 x 1.25 mm", below, other)


def test_an_overlap_of_other_values_is_refused(whole):
    below, above = part(whole, 0, 12), part(whole, 10, 20)
    above.array[:, :, 0] += 2
    refused("part-1: differs from part-0 in 50% of the voxels that both show", below, above)
    # One voxel in a hundred may differ, as by compression; the first part along the axis counts.
    above = part(whole, 2, 20)
    above.array[0, 0, :4] += 500
    joined = stitch(named(below, above))
    assert_equal(joined, dataclasses.replace(whole, array=joined.array))
    assert np.count_nonzero(joined.array != whole.array) in (0, 4)


def test_differences_do_not_wrap_around(whole):
    # -20000 and 20000 differ by more than 16 bits can say.
    low = Volume(np.full(SHAPE, -32768, np.int16), SPACING_MM, ORIGIN_MM)
    high = moved(Volume(np.full(SHAPE, 32767, np.int16), SPACING_MM, ORIGIN_MM), 0, 0, 12.5)
    refused("differs from part-0 in 100%", low, high)


def test_a_whole_that_is_too_large_is_refused_before_it_is_made(whole, monkeypatch):
    monkeypatch.setattr(stored_image, "MAX_BYTES", 2 * 8 * 9 * 20 - 1)
    refused("part-0 and its other parts: 8 x 9 x 20 voxels are over",
            part(whole, 0, 10), part(whole, 10, 20))  # fmt: skip


def labels_of_a_column():
    array = np.zeros(SHAPE, np.uint8)
    for number in range(1, 8):
        array[1:5, 1:5, 20 - 2 * number - 2 : 20 - 2 * number] = number
    return Volume(array, SPACING_MM, ORIGIN_MM)


def test_a_vertebra_that_one_part_leaves_out_at_its_border_is_taken_from_the_other():
    whole = labels_of_a_column()
    below, above = part(whole, 0, 13), part(whole, 10, 20)
    # The lower part does not label what its upper border cuts, nor the upper part at its lower.
    below.array[:, :, 12] = 0
    above.array[:, :, 0] = 0
    for order in (named(below, above), named(above, below)):
        assert_equal(stitch(order, join_labels), whole)


def test_vertebrae_with_other_numbers_are_refused():
    whole = labels_of_a_column()
    below, above = part(whole, 0, 14), part(whole, 10, 20)
    above.array[above.array > 0] += 1
    with pytest.raises(UserError, match="part-1: numbers the vertebrae that part-0 shows too"):
        stitch(named(below, above), join_labels)
    # A few voxels between two vertebrae may differ.
    above = part(whole, 10, 20)
    above.array[1, 1, 0] = 3
    assert np.count_nonzero(stitch(named(below, above), join_labels).array != whole.array) <= 1


def test_parts_of_an_oblique_scan_fit_along_its_own_axes(whole):
    angle = np.deg2rad(20)
    direction = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )

    def oblique(volume, start):
        grid = grid_of(volume)
        origin_mm = np.array(ORIGIN_MM) + direction @ (start * np.array(SPACING_MM))
        return dataclasses.replace(grid, direction=direction, origin_mm=origin_mm)

    below, above = oblique(part(whole, 0, 10), (0, 0, 0)), oblique(part(whole, 8, 20), (0, 0, 8))
    joint = joint_of([("above", above), ("below", below)])
    assert (joint.axis, joint.starts, joint.grid.shape) == (2, (8, 0), SHAPE)
    assert joint.grid.is_at(oblique(whole, (0, 0, 0)), 1e-6)
    with pytest.raises(UserError, match="below: its voxels do not lie on the grid of above"):
        joint_of([("above", above), ("below", grid_of(part(whole, 0, 10)))])
