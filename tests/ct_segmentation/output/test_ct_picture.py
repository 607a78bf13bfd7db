import dataclasses

import numpy as np
import PIL.Image
import pytest

from tests.ct_segmentation.painted_necks import OBLIQUE, painted_segmentation
from xctrs_tf.ct_segmentation.findings import UNCERTAIN
from xctrs_tf.ct_segmentation.output.ct_picture import write_picture
from xctrs_tf.ct_segmentation.output.scan_planes import Plane, outlines, spine_planes
from xctrs_tf.data.volumes.grid import Grid
from xctrs_tf.style import VERTEBRA_COLORS

AMBER = (0xB2, 0x6A, 0x00)
# What lies outside of the scan.
OUTSIDE = (0xD9, 0xDD, 0xE1)


def picture_of(segmentation, tmp_path):
    """Return the picture of a segmentation as an array ``[row, column, 3]``."""
    path = tmp_path / "preview.png"
    write_picture(path, segmentation.scan, segmentation.labels, segmentation.findings)
    return np.asarray(PIL.Image.open(path).convert("RGB")).astype(int)


def is_color(pixels, color):
    """Return where pixels have a colour of 0..255, but for rounding."""
    return (np.abs(pixels - np.array(color)) <= 3).all(axis=-1)


def rows_of(pixels, color):
    return np.flatnonzero(is_color(pixels, np.round(255 * np.array(color))).any(axis=1))


def with_problems(segmentation, problems, **fields):
    findings = dataclasses.replace(segmentation.findings, problems=problems, **fields)
    return dataclasses.replace(segmentation, findings=findings)


def test_each_vertebra_is_drawn_in_its_colour_below_the_one_above(tmp_path):
    pixels = picture_of(painted_segmentation(), tmp_path)
    assert pixels.shape[1] == 1680
    # The left part is the sagittal plane.
    sagittal = pixels[:, : pixels.shape[1] // 3]
    heights = [rows_of(sagittal, color).mean() for color in VERTEBRA_COLORS]
    assert heights == sorted(heights)
    assert not is_color(pixels, AMBER).any()


def test_what_is_uncertain_or_wrong_is_said_in_another_colour(tmp_path):
    uncertain = picture_of(painted_segmentation(UNCERTAIN), tmp_path)
    assert len(rows_of(uncertain, VERTEBRA_COLORS[6]))
    few = is_color(uncertain, AMBER).sum()
    assert few > 100
    problems = ("between V1 and V2 a vertebra seems to be missing: 31 mm",)
    more = picture_of(with_problems(painted_segmentation(UNCERTAIN), problems), tmp_path)
    assert is_color(more, AMBER).sum() > few + 100


def test_many_long_problems_are_cut_off_and_do_not_make_the_picture_taller(tmp_path):
    some, many = (
        with_problems(painted_segmentation(), ("the volume of C3 is far too small " * 3,) * count)
        for count in (6, 60)
    )
    assert picture_of(some, tmp_path).shape == picture_of(many, tmp_path).shape


@pytest.mark.parametrize("kept", [1, 2])
def test_one_or_two_vertebrae_are_enough(tmp_path, kept):
    segmentation = painted_segmentation()
    findings = dataclasses.replace(
        segmentation.findings, vertebrae=segmentation.findings.vertebrae[:kept], missing=("C7",)
    )
    labels = np.where(segmentation.labels <= kept, segmentation.labels, 0).astype(np.uint8)
    pixels = picture_of(
        dataclasses.replace(segmentation, labels=labels, findings=findings), tmp_path
    )
    assert len(rows_of(pixels, VERTEBRA_COLORS[0]))
    assert not len(rows_of(pixels, VERTEBRA_COLORS[2]))


def test_what_is_outside_of_an_oblique_scan_is_grey(tmp_path):
    upright, oblique = (
        is_color(picture_of(painted_segmentation(direction=direction), tmp_path), OUTSIDE).sum()
        for direction in (None, OBLIQUE)
    )
    # The edges of letters and bright bone have some such pixels.
    assert oblique > 20 * upright


def oblique_ramp():
    """Return a grid, and an array on it that is x + 2 y + 3 z in mm."""
    grid = Grid((30, 25, 20), OBLIQUE, np.array([1.0, 2.0, 3.0]), np.array([5.0, -4.0, 60.0]))
    indices = np.moveaxis(np.indices(grid.shape), 0, -1)
    places_mm = grid.origin_mm + (indices * grid.spacing_mm) @ grid.direction.T
    return grid, (places_mm @ [1.0, 2.0, 3.0]).astype(np.float32)


def test_a_plane_shows_what_lies_in_it():
    grid, ramp = oblique_ramp()
    centre_mm = grid.corners_mm().mean(axis=0)
    right, down = np.array([0.6, 0.8, 0.0]), np.array([0.0, 0.0, -1.0])
    plane = Plane("sagittal", centre_mm, right, down, (-5.0, 7.0, -4.0, 6.0))
    across, downwards = plane.pixels_mm(0.5)
    assert (len(across), len(downwards)) == (24, 20)
    places_mm = centre_mm + downwards[:, None, None] * down + across[:, None] * right
    np.testing.assert_allclose(plane.sample(ramp, grid, 0.5), places_mm @ [1, 2, 3], atol=1e-3)
    part = plane.sample(ramp[3:, 2:, 1:], grid, 0.5, low=(3, 2, 1))
    np.testing.assert_allclose(part, places_mm @ [1, 2, 3], atol=1e-3)
    np.testing.assert_allclose(
        plane.coordinates(places_mm[4, 5][None]), [[across[5], downwards[4]]]
    )
    assert not plane.outside(grid, 0.5).any()
    wide = dataclasses.replace(plane, extent_mm=(-100.0, 7.0, -4.0, 6.0)).outside(grid, 0.5)
    assert wide[:, 0].all() and not wide[:, -1].any()


def test_the_planes_follow_a_leaning_spine():
    segmentation = painted_segmentation()
    scan, findings = segmentation.scan, segmentation.findings
    leaning = []
    for vertebra in findings.vertebrae:
        # 0.3 mm to the left and 0.4 mm to the back for each mm upwards.
        height = vertebra.centroid_mm[2] - 350.0
        moved = np.array(vertebra.box.centre_mm) + height * np.array([0.3, 0.4, 0.0])
        box = dataclasses.replace(vertebra.box, centre_mm=tuple(moved))
        leaning.append(dataclasses.replace(vertebra, box=box))
    (sagittal, coronal, axial), shown = spine_planes(
        scan, dataclasses.replace(findings, vertebrae=tuple(leaning))
    )
    assert shown.name == "C4"
    up_mm = -sagittal.down / -sagittal.down[2]
    np.testing.assert_allclose(up_mm, [0.3, 0.0, 1.0], atol=1e-6)
    np.testing.assert_allclose(-coronal.down / -coronal.down[2], [0.0, 0.4, 1.0], atol=1e-6)
    np.testing.assert_allclose(axial.centre_mm, shown.box.centre_mm)


def test_outlines_cover_the_area_of_the_label_in_the_plane():
    segmentation = painted_segmentation()
    scan, labels = segmentation.scan, segmentation.labels
    planes, _ = spine_planes(scan, segmentation.findings)
    covers = dict(outlines(labels, scan.grid, planes[0], 0.5))
    assert sorted(covers) == list(range(1, 8))
    # 18 by 4 voxels of 2.5 mm.
    assert (covers[4] > 0.5).sum() * 0.25 == pytest.approx(45 * 10, rel=0.05)
    axial = dict(outlines(labels, scan.grid, planes[2], 0.5))
    assert list(axial) == [4]
