import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from tests.data import necks
from tests.data.necks import ORIGIN_MM, SPACING_MM
from xctrs_tf.data.dataset.sanity import check_direction
from xctrs_tf.data.volumes import cervical_crop as cervical
from xctrs_tf.data.volumes.cervical_crop import check_labels, crop_to_frame, scan_around
from xctrs_tf.data.volumes.volume import Volume

# Box of C1..C7 in make_neck: voxels 12..25, 18..29, 5..38 along x, y, z.
BOX_CENTRE = np.array(ORIGIN_MM) + np.array([18.5, 23.5, 21.5]) * SPACING_MM
BOX_HEIGHT_MM = 34 * 2.5


def make_neck():
    """Return a neck whose bones leave room around them."""
    return necks.make_neck(box=(slice(12, 26), slice(18, 30)))


def test_good_labels_have_no_fault():
    assert check_labels(make_neck()[1]) is None


def test_a_missing_vertebra():
    labels = make_neck()[1]
    labels.array[np.isin(labels.array, (3, 6))] = 0
    assert check_labels(labels) == "label C3, C6 missing"


def test_vertebrae_upside_down_are_a_fault_of_the_header_not_of_the_labels():
    labels = make_neck()[1]
    flipped = dataclasses.replace(labels, array=labels.array[..., ::-1].copy())
    assert check_labels(flipped) is None
    assert check_direction(flipped)[1] == "rotate180y"


def test_two_vertebrae_exchanged():
    labels = make_neck()[1]
    labels.array[...] = np.array([0, 1, 2, 4, 3, 5, 6, 7], np.uint8)[labels.array]
    assert check_labels(labels) == "C1 to C7 are not in order from top to bottom"


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (np.s_[12:], "C1"),
        (np.s_[:26], "C1"),
        (np.s_[:, 18:], "C1"),
        (np.s_[:, :30], "C1"),
        (np.s_[:, :, 5:], "C7"),
        (np.s_[:, :, :39], "C1"),
    ],
)
def test_a_vertebra_cut_by_the_border_of_the_scan(part, name):
    labels = make_neck()[1]
    cut = dataclasses.replace(labels, array=labels.array[part])
    assert check_labels(cut) == f"{name} is cut by the border of the scan"


def test_a_vertebra_in_two_pieces():
    labels = make_neck()[1]
    # C4 has 14 slices along x: a split in the middle leaves 7 and 6.
    labels.array[19][labels.array[19] == 4] = 0
    assert check_labels(labels) == "C4 is in several pieces"
    # A split at the end leaves 12 of 13.
    labels = make_neck()[1]
    labels.array[13][labels.array[13] == 4] = 0
    assert check_labels(labels) is None


def test_pieces_that_touch_at_a_corner_are_one():
    labels = make_neck()[1]
    labels.array[labels.array == 4] = 0
    labels.array[5:8, 5:8, 20:23] = 4
    labels.array[8:11, 8:11, 23:26] = 4
    assert check_labels(labels) is None


def test_the_frame_is_centred_on_the_box():
    ct, segmentation, spacing_mm, origin_mm = crop_to_frame(*make_neck(), 32, 3.0)
    assert ct.shape == segmentation.shape == (32, 32, 32)
    assert (ct.dtype, segmentation.dtype) == (np.int16, np.uint8)
    assert spacing_mm == 3.0
    np.testing.assert_allclose(np.array(origin_mm) + 15.5 * 3.0, BOX_CENTRE)


def test_labels_and_ct_stay_at_their_place_in_the_patient():
    ct, segmentation, spacing_mm, origin_mm = crop_to_frame(*make_neck(), 64, 2.0)
    for number in range(1, 8):
        centre = np.argwhere(segmentation == number).mean(0) * spacing_mm + origin_mm
        bottom = 5 + 5 * (7 - number)
        expected = np.array(ORIGIN_MM) + np.array([18.5, 23.5, bottom + 1.5]) * SPACING_MM
        np.testing.assert_allclose(centre, expected, atol=1.0)
        inside = ndimage.binary_erosion(segmentation == number)
        np.testing.assert_allclose(ct[inside], 600 + number, atol=5)


def test_the_spacing_grows_until_the_box_and_its_margin_fit():
    _, segmentation, spacing_mm, _ = crop_to_frame(*make_neck(), 32, 1.0)
    assert spacing_mm == pytest.approx((BOX_HEIGHT_MM + 8.0) / 32)
    heights = np.nonzero(segmentation.any(axis=(0, 1)))[0]
    # 4 mm are 1.4 voxels here.
    assert heights[0] == 1 and heights[-1] == 30


def test_outside_of_the_scan_is_air():
    # The scan is 80 mm wide and the frame 128 mm.
    ct, segmentation, _, _ = crop_to_frame(*make_neck(), 32, 4.0)
    assert (ct[:4] == -1000).all() and (ct[-4:] == -1000).all()
    assert (segmentation[:4] == 0).all()
    assert ct[16, 16, 16] > 0


def test_a_cube_that_is_the_frame_already_is_left_alone():
    rng = np.random.default_rng(0)
    labels = np.zeros((16,) * 3, np.uint8)
    for number in range(1, 8):
        labels[5:10, 6:11, 15 - 2 * number] = number  # Box centre half a voxel off.
    grid = ((6.0,) * 3, (1.0, 2.0, 3.0))
    ct = Volume(rng.integers(-1000, 1500, (16,) * 3).astype(np.int16), *grid)
    hu, segmentation, spacing_mm, origin_mm = crop_to_frame(ct, Volume(labels, *grid), 16, 6.0)
    np.testing.assert_array_equal(hu, ct.array)
    np.testing.assert_array_equal(segmentation, labels)
    assert (spacing_mm, origin_mm) == (6.0, (1.0, 2.0, 3.0))
    # Half the size keeps the field of view.
    _, _, spacing_mm, origin_mm = crop_to_frame(ct, Volume(labels, *grid), 8, 12.0)
    assert (spacing_mm, origin_mm) == (12.0, (4.0, 5.0, 6.0))


def test_a_frame_of_the_scans_spacing_lies_on_its_voxels():
    ct, labels = make_neck()
    upright = [Volume(volume.array, (2.5,) * 3, ORIGIN_MM) for volume in (ct, labels)]
    hu, segmentation, _, origin_mm = crop_to_frame(*upright, 41, 2.5)
    first = (np.array(origin_mm) - ORIGIN_MM) / 2.5
    np.testing.assert_array_equal(first, np.round(first))
    # Centred, the frame would start between the voxels 1 and 2 along z.
    np.testing.assert_array_equal(segmentation.max(axis=(0, 1)), labels.array.max((0, 1))[2:43])
    np.testing.assert_array_equal(np.unique(hu), np.unique(ct.array))


def test_coarser_voxels_average_and_do_not_alias():
    ct, labels = make_neck()
    board = (np.indices(ct.array.shape).sum(0) % 2 * 1000).astype(np.int16)
    coarse, _, _, _ = crop_to_frame(Volume(board, *ct_grid(ct)), labels, 16, 7.0)
    inside = coarse[6:10, 6:10, 4:12]
    assert np.abs(inside - 500).max() < 60


def test_metal_beyond_int16_is_clipped():
    ct, labels = make_neck()
    metal = Volume(ct.array.astype(np.float32) + 50000.0, *ct_grid(ct))
    assert crop_to_frame(metal, labels, 32, 3.0)[0].max() == 32767


def test_only_voxels_near_the_frame_are_resampled(monkeypatch):
    # The neck in a scan that reaches 60 voxels further on every side.
    rng = np.random.default_rng(1)
    pads = ((60, 61), (62, 63), (64, 65))
    origin_mm = tuple(np.array(ORIGIN_MM) - np.array([60, 62, 64]) * SPACING_MM)
    ct, labels = (np.pad(volume.array, pads) for volume in make_neck())
    ct += rng.integers(-500, 500, ct.shape, np.int16)
    scan = [Volume(array, SPACING_MM, origin_mm) for array in (ct, labels)]
    near = crop_to_frame(*scan, 32, 4.0)
    looked_at = []
    monkeypatch.setattr(cervical, "_near", lambda volume, *frame: looked_at.append(1) or volume)
    for ours, whole in zip(near, crop_to_frame(*scan, 32, 4.0), strict=True):
        np.testing.assert_array_equal(ours, whole)
    assert looked_at == [1, 1]
    monkeypatch.undo()
    part = cervical._near(scan[0], 32, 4.0, near[3]).array
    assert part.size < 0.5 * ct.size


def test_thin_arches_survive_coarser_voxels():
    # C1 as a ring whose arch is 3 voxels thick, sampled at twice the voxel size.
    labels = make_neck()[1]
    labels.array[labels.array == 1] = 0
    x, y, z = np.indices(labels.array.shape)
    radius = np.hypot((x - 18.5) * 2.0, (y - 26.5) * 1.5)
    ring = (radius > 14) & (radius < 20) & (z >= 35) & (z < 39)
    labels.array[ring] = 1
    ct = Volume(np.zeros(labels.array.shape, np.int16), *ct_grid(labels))
    _, segmentation, spacing_mm, origin_mm = crop_to_frame(ct, labels, 32, 4.0)
    ours = segmentation == 1
    cube = ((spacing_mm,) * 3, origin_mm)
    nearest = nearest_of(labels, (32, 32, 32), *cube) == 1
    assert ndimage.label(ours)[1] == 1
    back = [
        nearest_of(Volume(mask, *cube), ring.shape, SPACING_MM, ORIGIN_MM)
        for mask in (ours, nearest)
    ]
    dice = [2 * (mask & ring).sum() / (mask.sum() + ring.sum()) for mask in back]
    assert dice[0] > dice[1]


def nearest_of(volume, shape, spacing_mm, origin_mm):
    """Return the values of the nearest voxels, 0 outside of the volume."""
    places = [
        (first + np.arange(count) * edge - start) / old
        for first, count, edge, start, old in zip(
            origin_mm, shape, spacing_mm, volume.origin_mm, volume.spacing_mm, strict=True
        )
    ]
    return ndimage.map_coordinates(volume.array, np.meshgrid(*places, indexing="ij"), order=0)


def ct_grid(volume):
    return volume.spacing_mm, volume.origin_mm


def test_the_scan_around_is_cut_to_the_body_and_to_its_reach():
    crop = Volume(np.full((8, 8, 8), 40, np.int16), (2.0,) * 3, (0.0,) * 3)
    # Voxels of 2 mm from -40 to 80 mm: 20 voxels beyond the crop on one side, 25 on the other.
    array = np.full((61, 61, 61), -1000, np.int16)
    array[17:31, :, :] = 40
    array[20:28, 20:28, 20:28] = crop.array
    array[20:28, 34, :] = 300
    around, start = scan_around(Volume(array, (2.0,) * 3, (-40.0,) * 3), crop)
    # x: the body from 3 voxels before the crop to 3 behind it. y: a frame on either side.
    # z: a quarter of a frame.
    assert start == (-3, -8, -2) and around.shape == (14, 24, 12)
    np.testing.assert_array_equal(around, array[17:31, 12:36, 18:30])
    thin, start = scan_around(Volume(array[20:28, 20:28, 20:28], (2.0,) * 3, (0.0,) * 3), crop)
    assert start == (0, 0, 0)
    np.testing.assert_array_equal(thin, crop.array)
