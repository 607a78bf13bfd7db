import dataclasses

import numpy as np
import pytest

from tests.data.necks import ORIGIN_MM, SPACING_MM, make_neck
from xctrs_tf.data.label_placing import on_one_grid, place_labels
from xctrs_tf.data.volumes.volume import Volume
from xctrs_tf.errors import UserError

FILE = "p1.nii"


def last_mm(volume):
    return np.array(volume.origin_mm) + (np.array(volume.array.shape) - 1) * volume.spacing_mm


def mirrored(labels, axis, first_mm):
    """Return labels whose header mirrors an axis, and says where its first voxel is."""
    origin_mm = list(labels.origin_mm)
    origin_mm[axis] = first_mm
    return Volume(np.flip(labels.array, axis), labels.spacing_mm, tuple(origin_mm))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("fault", ["in place", "from the first", "from the last", "negated"])
def test_a_mirrored_header_is_put_right(axis, fault):
    ct, labels = make_neck()
    length_mm = last_mm(ct)[axis] - ORIGIN_MM[axis]
    first_mm = {
        "in place": ORIGIN_MM[axis],
        "from the first": ORIGIN_MM[axis] - length_mm,
        "from the last": last_mm(ct)[axis],
        "negated": -last_mm(ct)[axis],
    }[fault]
    placed, words = place_labels(ct, mirrored(labels, axis, first_mm), FILE)
    np.testing.assert_array_equal(placed.array, labels.array)
    assert (placed.spacing_mm, placed.origin_mm) == (SPACING_MM, ORIGIN_MM)
    assert words.startswith(f"mirrored along {'xyz'[axis]} against the header: 100% on bone")


@pytest.mark.parametrize("shift_mm", [(8.0, 0, 0), (0, -6.0, 0), (0, 0, 100.0), (-30.0, 12.0, 0)])
def test_labels_of_another_place_are_not_moved(shift_mm):
    ct, labels = make_neck()
    moved = dataclasses.replace(labels, origin_mm=tuple(np.add(ORIGIN_MM, shift_mm)))
    with pytest.raises(UserError, match=r"p1\.nii: not in the space of its CT; it begins at "):
        place_labels(ct, moved, FILE)


def test_labels_of_another_voxel_size_are_refused():
    ct, labels = make_neck()
    other = dataclasses.replace(labels, spacing_mm=(2.0, 1.5, 2.53))
    with pytest.raises(
        UserError, match=r"voxels of 2 x 1\.5 x 2\.53 mm, its CT 2 x 1\.5 x 2\.5 mm"
    ):
        place_labels(ct, other, FILE)


def test_labels_of_another_patient_in_the_same_place_are_refused():
    ct, _ = make_neck()
    larger = make_neck(box=(slice(2, 38), slice(3, 49)))[1]
    with pytest.raises(UserError, match=r"p1\.nii: 30% of the labels on bone \(50% are needed\)"):
        place_labels(ct, larger, FILE)
    # Against the header more is demanded.
    further_back = make_neck(box=(slice(6, 27), slice(11, 52)))[1]
    with pytest.raises(UserError, match=r"p1\.nii: 59% of the labels on bone \(60% are needed\)"):
        place_labels(ct, further_back, FILE)


def test_labels_that_fit_two_ways_are_refused():
    ct, labels = make_neck(box=(slice(6, 27), slice(14, 38)))
    with pytest.raises(UserError, match="not in the space of its CT, and no mirroring fits"):
        place_labels(ct, mirrored(labels, 0, -last_mm(ct)[0]), FILE)


def test_rounded_headers_are_of_one_grid():
    ct, labels = make_neck()
    rounded = dataclasses.replace(labels, origin_mm=tuple(np.add(ORIGIN_MM, 0.03)))
    assert on_one_grid(ct, rounded)
    assert place_labels(ct, rounded, FILE)[0].origin_mm == ORIGIN_MM
    assert not on_one_grid(ct, dataclasses.replace(labels, spacing_mm=(2.0, 1.5, 2.51)))
