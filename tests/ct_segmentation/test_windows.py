import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from xctrs_tf.ct_segmentation import neck_windows, windows
from xctrs_tf.ct_segmentation.scan import Scan, scan_of
from xctrs_tf.ct_segmentation.windows import (
    Prediction,
    at_threshold,
    labels_on_scan,
    predict_windows,
)
from xctrs_tf.data.volumes.grid import Grid
from xctrs_tf.data.volumes.volume import Volume

SIZE = 16
SPACING_MM = 2.5
ORIGIN_MM = (-40.0, 10.0, 700.0)


class PixelNetwork:
    """Network that looks at single voxels, and notes its cubes: class 3 where they are bright."""

    size = SIZE

    def __init__(self):
        self.cubes = []

    def __call__(self, batch):
        assert batch.shape == (1, SIZE, SIZE, SIZE, 1) and batch.dtype == np.float32
        self.cubes.append(batch[0, ..., 0])
        return _as_c3(batch[..., 0])


class NumberNetwork(PixelNetwork):
    """Network whose first window is all C1, its second all C2 and so on."""

    def __call__(self, batch):
        super().__call__(batch)
        return np.broadcast_to(np.eye(8, dtype=np.float32)[len(self.cubes)], (*batch.shape[:4], 8))


def _as_c3(values):
    probabilities = np.zeros((*values.shape, 8), np.float32)
    probabilities[..., 3] = values
    probabilities[..., 0] = 1 - values
    return probabilities


def make_volume(shape, low=200):
    hu = np.random.default_rng(0).integers(low, 1500, shape).astype(np.float32)
    return Volume(hu, (SPACING_MM,) * 3, ORIGIN_MM)


@pytest.mark.parametrize("shape", [(16, 16, 16), (37, 24, 50), (9, 20, 12), (5, 4, 3)])
def test_every_voxel_gets_what_the_network_says_of_it(shape):
    volume, network = make_volume(shape), PixelNetwork()
    prediction = predict_windows(network, volume)
    expected = _as_c3((volume.array + 1000) / 2500)
    np.testing.assert_allclose(prediction.probabilities, expected, atol=1e-3)
    assert prediction.probabilities.dtype == np.float16
    np.testing.assert_array_equal(prediction.hu, volume.array)
    assert (prediction.spacing_mm, prediction.origin_mm) == (SPACING_MM, ORIGIN_MM)


def test_windows_overlap_by_half():
    network = PixelNetwork()
    predict_windows(network, make_volume((16, 24, 41)))
    assert len(network.cubes) == 1 * 2 * 5


def test_a_small_scan_is_in_the_middle_of_air():
    network = PixelNetwork()
    predict_windows(network, make_volume((8, 8, 16)))
    (cube,) = network.cubes
    assert (cube[4:12, 4:12] > 0).all()
    cube[4:12, 4:12] = 0
    assert (cube == 0).all()


def test_the_middle_of_a_window_counts_most():
    prediction = predict_windows(NumberNetwork(), make_volume((16, 16, 24)))
    first, second = (prediction.probabilities[8, 8, :, each].astype(float) for each in (1, 2))
    np.testing.assert_allclose(first + second, 1, atol=1e-3)
    assert (first[:8] == 1).all() and (second[16:] == 1).all()
    assert (np.diff(first[7:17]) < 0).all()
    assert first[8] > 0.95 and second[15] > 0.95


def test_windows_without_bone_are_background():
    volume, network = make_volume((16, 16, 48), low=1000), PixelNetwork()
    volume.array[:, :, 20:] = 60
    prediction = predict_windows(network, volume)
    # Those that begin at 0, 8 and 16.
    assert len(network.cubes) == 3
    assert (prediction.probabilities[:, :, :20, 3] > 0.5).all()
    assert (prediction.probabilities[:, :, 32:, 0] == 1).all()
    assert (prediction.probabilities[:, :, 32:, 1:] == 0).all()


def test_a_scan_without_bone_needs_no_network():
    volume, network = make_volume((20, 20, 20)), PixelNetwork()
    volume.array[:] = 60
    volume.array[:3, :3, :3] = 900
    assert (predict_windows(network, volume).probabilities[..., 0] == 1).all()
    assert network.cubes == []


def test_progress_counts_the_windows():
    told = []

    def progress(items, description):
        for item in items:
            told.append(description)
            yield item

    predict_windows(PixelNetwork(), make_volume((16, 16, 24)), progress)
    assert told == ["segmenting"] * 2


def ball(radius_mm=15.0, shape=(20, 22, 24), level=3):
    """Return a prediction and labels of a ball in the middle, and its centre in mm."""
    indices = np.indices(shape)
    middle = (np.array(shape) - 1) / 2
    off = np.linalg.norm(indices - middle[:, None, None, None], axis=0) * SPACING_MM
    probability = np.clip(0.5 + (radius_mm - off) / SPACING_MM / 2, 0, 1)
    probabilities = np.zeros((*shape, 8), np.float16)
    probabilities[..., level], probabilities[..., 0] = probability, 1 - probability
    labels = np.where(probability > 0.5, level, 0).astype(np.uint8)
    hu = np.zeros(shape, np.float32)
    prediction = Prediction(probabilities, hu, SPACING_MM, ORIGIN_MM)
    return prediction, labels, ORIGIN_MM + middle * SPACING_MM


def fine_scan(edges, direction):
    """Return a scan around the ball, whose centre is in the middle of it."""
    edges = np.array(edges)
    centre = ball()[2]
    shape = tuple(np.rint(52 / edges).astype(int))
    origin_mm = centre - direction @ ((np.array(shape) - 1) / 2 * edges)
    grid = Grid(shape, direction, edges, origin_mm)
    return Scan("a", np.zeros(shape, np.int16), grid, grid)


@pytest.mark.parametrize("angles", [(0, 0, 0), (15, -20, 10)])
@pytest.mark.parametrize("edges", [(0.7, 0.8, 1.2), (0.9, 0.9, 5.0)])
@pytest.mark.parametrize("part", [2**22, 40_000])
def test_a_ball_keeps_its_place_and_volume(angles, edges, part, monkeypatch):
    monkeypatch.setattr(windows, "_PART_VOXELS", part)
    prediction, labels, centre = ball()
    scan = fine_scan(edges, Rotation.from_euler("xyz", angles, degrees=True).as_matrix())
    found = labels_on_scan(prediction, labels, scan)
    assert found.dtype == np.uint8 and found.shape == scan.hu.shape
    assert set(np.unique(found)) == {0, 3}
    places = np.argwhere(found) * scan.grid.spacing_mm @ scan.grid.direction.T + scan.grid.origin_mm
    np.testing.assert_allclose(places.mean(axis=0), centre, atol=0.1)
    # No steps of 2.5 mm: all voxels of the ball and no others, within half a millimetre.
    off = np.linalg.norm(places - centre, axis=1)
    assert off.max() < 15.6
    volume_mm3 = len(places) * np.prod(edges)
    assert volume_mm3 == pytest.approx(4 / 3 * np.pi * 15**3, rel=0.03)


def test_the_own_grid_of_the_prediction_keeps_every_label():
    prediction, labels, _ = ball()
    rng = np.random.default_rng(0)
    labels = (rng.integers(0, 2, labels.shape) * rng.choice([1, 7, 101, 250], labels.shape)).astype(
        np.uint8
    )
    scan = scan_of(Volume(np.zeros(labels.shape, np.int16), (SPACING_MM,) * 3, ORIGIN_MM), "a")
    np.testing.assert_array_equal(labels_on_scan(prediction, labels, scan), labels)


def test_what_lost_its_label_stays_without_and_neighbours_part_in_the_middle():
    prediction, labels, centre = ball()
    labels[:, :, 12:][labels[:, :, 12:] > 0] = 101
    labels[:5] = 0
    scan = fine_scan((0.5, 0.5, 0.5), np.eye(3))
    found = labels_on_scan(prediction, labels, scan)
    places = {label: np.argwhere(found == label) for label in (3, 101)}
    z_mm = {label: scan.grid.origin_mm[2] + 0.5 * place[:, 2] for label, place in places.items()}
    # Between the voxels 11 and 12 of the prediction.
    border = ORIGIN_MM[2] + 11.5 * SPACING_MM
    assert z_mm[3].max() == pytest.approx(border, abs=0.5)
    assert z_mm[101].min() == pytest.approx(border, abs=0.5)
    assert border == pytest.approx(centre[2])
    x_mm = scan.grid.origin_mm[0] + 0.5 * np.argwhere(found)[:, 0]
    assert x_mm.min() > ORIGIN_MM[0] + 4 * SPACING_MM


def test_labels_at_the_border_reach_the_last_voxel_of_the_scan():
    prediction, _, _ = ball()
    full = np.full(prediction.hu.shape, 5, np.uint8)
    edge = SPACING_MM / 2
    shape = tuple(np.array(full.shape) * 2)
    origin_mm = np.array(ORIGIN_MM) - SPACING_MM / 2 + edge / 2
    scan = scan_of(Volume(np.zeros(shape, np.int16), (edge,) * 3, tuple(origin_mm)), "a")
    assert (labels_on_scan(prediction, full, scan) == 5).all()


def test_no_labels():
    prediction, labels, _ = ball()
    scan = fine_scan((1.0, 1.0, 1.0), np.eye(3))
    assert not labels_on_scan(prediction, np.zeros_like(labels), scan).any()
    away = dataclasses.replace(scan.grid, origin_mm=scan.grid.origin_mm + 500)
    far = dataclasses.replace(scan, grid=away)
    assert not labels_on_scan(prediction, labels, far).any()


def neck_prediction(shape, place, half=3):
    """Return a prediction of C3 in one box, and of background elsewhere."""
    probabilities = np.zeros((*shape, 8), np.float16)
    probabilities[..., 0] = 1
    box = tuple(slice(at - half, at + half + 1) for at in place)
    probabilities[box] = np.eye(8)[3]
    return Prediction(probabilities, make_volume(shape).array, SPACING_MM, ORIGIN_MM)


class SidedNetwork(PixelNetwork):
    """Network that says C1 in the first half of x and C2 in the second one."""

    def __call__(self, batch):
        super().__call__(batch)
        level = np.where(np.arange(SIZE) < SIZE // 2, 1, 2)
        return np.broadcast_to(np.eye(8)[level][:, None, None], (1, SIZE, SIZE, SIZE, 8))


@pytest.mark.parametrize("shape", [(40, 40, 40), (40, 12, 60)])
def test_the_windows_at_the_neck_hold_the_neck(shape):
    network, place = PixelNetwork(), (20, 6, 30)
    before = neck_prediction(shape, place)
    after = neck_windows.refine_at_neck(network, before)
    assert len(network.cubes) == 4 and not np.shares_memory(after.probabilities, before.hu)
    # What a voxel is says the network now, which looked at single voxels.
    expected = _as_c3((before.hu + 1000) / 2500)
    at = tuple(slice(p - 2, p + 3) for p in place)
    np.testing.assert_allclose(after.probabilities[at], expected[at], atol=0.12)
    far = (slice(0, 2), slice(None), slice(0, 5))
    np.testing.assert_array_equal(after.probabilities[far], before.probabilities[far])
    np.testing.assert_allclose(after.probabilities.sum(-1, dtype=float), 1, atol=5e-3)
    assert (before.probabilities[place] == np.eye(8)[3]).all()


def test_half_of_the_windows_at_the_neck_are_mirrored():
    before = neck_prediction((60, 60, 60), (30, 30, 30))
    after = neck_windows.refine_at_neck(SidedNetwork(), before).probabilities.astype(float)
    # Each side is C1 in two windows and C2 in the other two.
    for x in (26, 34):
        assert after[x, 30, 30, 1] > 0.3 and after[x, 30, 30, 2] > 0.3


def test_a_scan_without_a_neck_gets_no_further_windows():
    network = PixelNetwork()
    before = neck_prediction((40, 40, 40), (20, 20, 20), half=2)
    assert neck_windows.refine_at_neck(network, before) is before
    assert not network.cubes


@pytest.mark.parametrize("finer", [1, 2])
def test_the_middle_of_the_neck_is_that_of_its_largest_group(finer):
    before = neck_prediction((60, 60, 60), (20, 20, 20)).probabilities
    # Close by, as the next vertebra is; and a smaller group far away.
    before[17:24, 17:24, 28:35] = np.eye(8)[4]
    before[50:56, 50:56, 50:56] = np.eye(8)[7]
    for axis in range(3):
        before = before.repeat(finer, axis)
    middle = neck_windows.neck_middle(before, SPACING_MM / finer)
    np.testing.assert_allclose((middle + 0.5) / finer - 0.5, (20, 20, 25.5))
    no_neck = before[(slice(18 * finer, 23 * finer),) * 3]
    assert neck_windows.neck_middle(no_neck, SPACING_MM / finer) is None


def test_a_threshold_becomes_one_half_and_keeps_the_order_of_the_levels():
    probabilities = np.zeros((3, 1, 1, 8), np.float16)
    probabilities[:, 0, 0, 0] = 0.1, 0.2, 0.4
    probabilities[:, 0, 0, 3] = 0.6, 0.6, 0.4
    probabilities[:, 0, 0, 4] = 0.3, 0.2, 0.2
    before = Prediction(probabilities, np.zeros((3, 1, 1)), SPACING_MM, ORIGIN_MM)
    after = at_threshold(before, 0.8).probabilities[:, 0, 0].astype(float)
    np.testing.assert_allclose(after.sum(axis=1), 1, atol=2e-3)
    np.testing.assert_allclose(after[1, 0], 0.5, atol=1e-3)
    assert after[0, 0] < 0.5 < after[2, 0]
    np.testing.assert_allclose(after[:, 3] / after[:, 4], (2, 3, 2), rtol=5e-3)
    assert at_threshold(before, 0.5) is before
