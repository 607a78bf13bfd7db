"""Oblique scans: crop and films are sampled from the voxels of the file, once."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from tests.data.niftis import lps_to_ras, write_nifti
from xctrs_tf.data.phantom import make_phantom
from xctrs_tf.data.projection.drr import films_of
from xctrs_tf.data.projection.projection_geometry import ProjectionGeometry, VolumeFrame
from xctrs_tf.data.sources.pairs import read_ct_and_labels
from xctrs_tf.data.volumes import cervical_crop
from xctrs_tf.data.volumes.cervical_crop import check_place, crop_to_frame, scan_around
from xctrs_tf.data.volumes.grid import Grid
from xctrs_tf.data.volumes.volume import Volume

# Slices of 4 mm, each the mean of two samples of the phantom.
SPACING_MM = np.array([2.0, 2.0, 4.0])
SHAPE = (60, 65, 37)
SIZE, CROP_MM = 32, 4.0
FULL = ProjectionGeometry(field_of_view="full")


@pytest.fixture(scope="module")
def truth():
    """Return CT and labels of a phantom of 2 mm."""
    phantom = make_phantom(3, (70, 75, 80), 2.0, noise=False)
    grid = ((2.0,) * 3, phantom.origin_mm)
    return Volume(phantom.ct.astype(np.float32), *grid), Volume(phantom.segmentation, *grid)


def sample(volume, grid, order, fill=0):
    """Return a volume's values at the voxels of a grid: the nearest (order 0) or linear (1)."""
    indices = np.indices(grid.shape).reshape(3, -1).T
    places_mm = grid.origin_mm + indices * grid.spacing_mm @ grid.direction.T
    places = (places_mm - volume.origin_mm) @ volume.grid.direction / volume.spacing_mm
    values = ndimage.map_coordinates(volume.array, places.T, order=order, cval=fill)
    return values.reshape(grid.shape)


def tilt(degrees):
    """Return the direction of a scan that is tilted about x."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])


def scanned(folder, truth, degrees):
    """Write the CT and the labels of a tilted scan, and read them."""
    direction = tilt(degrees)
    origin_mm = direction @ (SPACING_MM * (1 - np.array(SHAPE)) / 2)
    halves = [
        sample(truth[0], Grid(SHAPE, direction, SPACING_MM, origin_mm + step), 1, -1000)
        for step in (-direction[:, 2], direction[:, 2])
    ]
    labels = sample(truth[1], Grid(SHAPE, direction, SPACING_MM, origin_mm), 0)
    affine = lps_to_ras(SPACING_MM, origin_mm, direction)
    return read_ct_and_labels(
        write_nifti(folder / "ct.nii.gz", np.rint(np.mean(halves, axis=0)), affine),
        write_nifti(folder / "seg.nii.gz", labels, affine, kind="u1"),
    )


def upright(ct, labels):
    """Return a scan resampled to an upright grid of its own voxel size."""
    corners_mm = ct.grid.corners_mm()
    low, high = corners_mm.min(axis=0), corners_mm.max(axis=0)
    shape = tuple(np.ceil((high - low) / SPACING_MM).astype(int) + 1)
    grid = Grid(shape, np.eye(3), SPACING_MM, low)
    arrays = sample(ct, grid, 1, -1000), sample(labels, grid, 0)
    return [Volume(array, tuple(SPACING_MM), tuple(low)) for array in arrays]


def error_and_dice(scan, true):
    """Return the mean error in bone in HU, and the mean Dice of C1..C7."""
    (ct, labels), (true_ct, true_labels) = (
        crop_to_frame(*pair, SIZE, CROP_MM)[:2] for pair in (scan, true)
    )
    error = np.abs(ct.astype(float) - true_ct)[true_labels > 0].mean()
    pairs = [(labels == number, true_labels == number) for number in range(1, 8)]
    return error, np.mean([2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in pairs])


@pytest.mark.parametrize("degrees", [3, 20])
def test_the_crop_is_clearly_better_than_one_resampled_twice(tmp_path, monkeypatch, truth, degrees):
    origin_mm = crop_to_frame(*truth, SIZE, CROP_MM)[3]
    # All in one frame, so that voxels can be compared.
    monkeypatch.setattr(cervical_crop, "_frame_origin", lambda *arguments: origin_mm)
    scan = scanned(tmp_path, truth, degrees)
    error, dice = error_and_dice(scan, truth)
    twice_error, twice_dice = error_and_dice(upright(*scan), truth)
    assert error < 0.75 * twice_error
    assert dice > twice_dice + 0.03


def test_the_frame_is_centred_on_the_vertebrae_along_lps(tmp_path, truth):
    scan = scanned(tmp_path, truth, 20)
    assert check_place(*scan) is None
    true, found = (crop_to_frame(*pair, SIZE, CROP_MM) for pair in (truth, scan))
    # The box of slices of 4 mm is known to half of one.
    np.testing.assert_allclose(found[3], true[3], atol=2.0)
    assert found[2] == true[2] == CROP_MM


def test_labels_on_another_grid_are_inside_an_oblique_scan_or_not(tmp_path, truth):
    ct, labels = scanned(tmp_path, truth, 20)
    assert check_place(ct, truth[1]) is None
    high = dataclasses.replace(truth[1], origin_mm=tuple(np.add(truth[1].origin_mm, (0, 0, 40))))
    assert check_place(ct, high) == "C1 to C7 reach beyond the scan"
    assert check_place(ct, labels) is None


def film_errors(films, true):
    """Return the mean error of each film."""
    return {view: np.abs(films[view] - true[view]).mean() for view in films}


def test_what_films_show_of_an_oblique_scan_continues_the_crop(tmp_path, monkeypatch, truth):
    ct, labels = scanned(tmp_path, truth, 20)
    hu, _, spacing_mm, origin_mm = crop_to_frame(ct, labels, 24, 5.0)
    crop = Volume(hu, (spacing_mm,) * 3, origin_mm)
    frame = VolumeFrame(24, spacing_mm, origin_mm)

    def kept_films():
        around, start = scan_around(ct, crop)
        first_mm = tuple(np.array(origin_mm) + np.multiply(start, spacing_mm))
        return films_of(Volume(around, crop.spacing_mm, first_mm), frame, FULL)

    kept = kept_films()
    monkeypatch.setattr(cervical_crop, "_REACH", (3.0, 3.0, 1.0))
    whole, ours, true = kept_films(), films_of(ct, frame, FULL), films_of(truth[0], frame, FULL)
    for view in ("ap", "la"):
        # In parallel rays the kept scan is all that a film shows, but for the air around it.
        np.testing.assert_allclose(kept[view], whole[view], atol=0.05)
        for films in (kept, ours):
            error = np.abs(films[view] - true[view])[2:-2, 2:-2]
            assert error.mean() < 0.03 * true[view].max()


def test_films_of_an_oblique_scan_are_as_sharp_as_the_scan(truth):
    direction, spacing_mm, shape = tilt(17), np.full(3, 2.0), (70, 95, 90)
    origin_mm = direction @ (spacing_mm * (1 - np.array(shape)) / 2)
    hu = sample(truth[0], Grid(shape, direction, spacing_mm, origin_mm), 1, -1000)
    oblique = Volume(hu, tuple(spacing_mm), tuple(origin_mm), direction)
    hu, _, *place = crop_to_frame(*truth, SIZE, CROP_MM)
    frame = VolumeFrame(SIZE, *place)
    around, start = scan_around(truth[0], Volume(hu, (CROP_MM,) * 3, place[1]))
    first_mm = tuple(np.array(place[1]) + np.multiply(start, CROP_MM))
    blurred = films_of(Volume(around, (CROP_MM,) * 3, first_mm), frame, FULL)
    sharp, true = films_of(oblique, frame, FULL), films_of(truth[0], frame, FULL)
    errors, limits = film_errors(sharp, true), film_errors(blurred, true)
    for view in ("ap", "la"):
        # Interpolation alone blurs half a voxel of the scan; averaging, half a voxel of the crop.
        assert errors[view] < 0.75 * limits[view]
