import numpy as np
import pytest
import SimpleITK as sitk

from xctrs_tf.metrics import surface_per_class
from xctrs_tf.metrics.surface_distance import surface_points

SHAPE = (13, 16, 19)
SPACING_MM = (0.5, 1.25, 2.0)


def mask(*boxes):
    volume = np.zeros(SHAPE, bool)
    for box in boxes:
        volume[box] = True
    return volume


def figures(y_true, y_pred, spacing_mm=SPACING_MM, **arguments):
    result = surface_per_class(
        y_true.astype("uint8"), y_pred.astype("uint8"), 2, spacing_mm, **arguments
    )
    return result.hd95[0], result.assd[0], result.nsd[0]


def test_surface_has_no_inside_and_no_corners_lost():
    # 3 x 4 x 5 voxels: all but the 1 x 2 x 3 inside, edges and corners too.
    points = surface_points(mask(np.s_[2:5, 3:7, 4:9]), SPACING_MM)
    assert len(points) == 3 * 4 * 5 - 1 * 2 * 3
    assert points.min(axis=0).tolist() == [1.0, 3.75, 8.0]
    assert points.max(axis=0).tolist() == [2.0, 7.5, 16.0]


def test_voxel_with_only_a_diagonal_neighbour_outside_is_not_surface():
    body = mask(np.s_[2:5, 3:6, 4:7])
    body[2, 3, 4] = False
    points = surface_points(body, (1.0, 1.0, 1.0))
    assert [3.0, 4.0, 5.0] not in points.tolist()
    assert len(points) == 25


def test_outside_of_the_volume_is_not_of_the_mask():
    everything = np.ones((3, 4, 5), bool)
    assert len(surface_points(everything, (1.0, 1.0, 1.0))) == 60 - 1 * 2 * 3


def test_single_voxels_by_hand():
    # 2 voxels of 0.5 mm, 3 of 1.25 mm, 1 of 2 mm: another order gives another sum.
    hd95, assd, nsd = figures(mask(np.s_[2, 3, 4]), mask(np.s_[4, 6, 5]))
    assert hd95 == pytest.approx(np.sqrt(1.0**2 + 3.75**2 + 2.0**2))
    assert assd == pytest.approx(hd95)
    assert nsd == 0.0


def test_plates_by_hand():
    # 20 voxels along x against one: distances 0, 0.5, ... one way, 0 the other.
    rod, voxel = np.zeros((24, 5, 7), bool), np.zeros((24, 5, 7), bool)
    rod[0:20, 2, 3] = True
    voxel[0, 2, 3] = True
    hd95, assd, nsd = figures(rod, voxel)
    there = 0.5 * np.arange(20)
    # The 95th percentile of 20 values lies 0.05 past the 19th.
    assert hd95 == pytest.approx(0.5 * 18.05)
    assert assd == pytest.approx((there.sum() + 0.0) / 21)
    assert nsd == pytest.approx((4 + 1) / 21)
    assert figures(voxel, rod) == pytest.approx((hd95, assd, nsd))


@pytest.mark.parametrize("start", range(14))
def test_distance_just_at_the_tolerance_is_within_it(start):
    # Five voxels of 0.3 mm are 1.5 mm, with a rounding error.
    pair = mask(np.s_[3, 4, start]), mask(np.s_[3, 4, start + 5])
    assert figures(*pair, spacing_mm=(1, 1, 0.3))[2] == 1.0
    assert figures(*pair, spacing_mm=(1, 1, 0.3), tolerance_mm=1.49)[2] == 0.0


def test_equal_masks():
    body = mask(np.s_[2:8, 3:7, 4:9])
    assert figures(body, body) == (0.0, 0.0, 1.0)


def test_one_number_is_the_spacing_of_all_axes():
    pair = mask(np.s_[2:8, 3:7, 4:9]), mask(np.s_[3:8, 3:9, 2:9])
    assert figures(*pair, spacing_mm=2.0) == figures(*pair, spacing_mm=(2.0, 2.0, 2.0))


def test_absent_from_the_truth_is_nan_predicted_or_not():
    for y_pred in (mask(), mask(np.s_[2, 3, 4])):
        assert np.isnan(figures(mask(), y_pred)).all()


def test_present_but_not_predicted_is_the_diagonal():
    diagonal = np.sqrt((13 * 0.5) ** 2 + (16 * 1.25) ** 2 + (19 * 2.0) ** 2)
    assert figures(mask(np.s_[2, 3, 4]), mask()) == pytest.approx((diagonal, diagonal, 0.0))
    # An empty prediction has the largest distance.
    assert figures(mask(np.s_[0, 0, 0]), mask(np.s_[12, 15, 18]))[0] < diagonal


def test_classes_are_compared_one_by_one():
    y_true, y_pred = np.zeros(SHAPE, "uint8"), np.zeros(SHAPE, "uint8")
    y_true[2:5, 3:6, 4:8], y_pred[2:5, 3:6, 4:8] = 1, 1
    y_true[2:5, 3:6, 8:12], y_pred[3:6, 3:6, 8:12] = 2, 2
    y_true[9, 9, 9], y_pred[9, 9, 10] = 4, 3
    result = surface_per_class(y_true, y_pred, 5, 1.0)
    assert result.hd95[:2].tolist() == [0.0, 1.0]
    assert result.nsd[:2].tolist() == [1.0, 1.0]
    assert np.isnan([result.hd95[2], result.assd[2], result.nsd[2]]).all()
    assert result.assd[3] == pytest.approx(np.sqrt(13**2 + 16**2 + 19**2))
    assert result.nsd[3] == 0.0


def random_bodies(seed):
    """Return two different blobs that do not reach the border of the volume."""
    generator = np.random.default_rng(seed)
    x, y, z = np.indices(SHAPE)
    bodies = []
    for _ in range(2):
        centre = np.array([6, 8, 9]) + generator.uniform(-1, 1, 3)
        radius = generator.uniform(2, 4, 3)
        ball = sum(((c - m) / r) ** 2 for c, m, r in zip((x, y, z), centre, radius, strict=True))
        bodies.append(ball + generator.uniform(-0.5, 0.5, SHAPE) < 1)
        bodies[-1][[0, -1]] = bodies[-1][:, [0, -1]] = bodies[-1][:, :, [0, -1]] = False
    return bodies


def contour_and_distance(body):
    """Return the contour of a mask by SimpleITK, and the distance of each voxel to it in mm."""
    image = sitk.GetImageFromArray(body.astype("uint8").T)
    image.SetSpacing(SPACING_MM)
    contour = sitk.LabelContour(image, fullyConnected=False)
    distance = sitk.SignedMaurerDistanceMap(
        contour, insideIsPositive=False, squaredDistance=False, useImageSpacing=True
    )
    return sitk.GetArrayFromImage(contour).T == 1, np.abs(sitk.GetArrayFromImage(distance).T)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_simpleitk(seed):
    true, pred = random_bodies(seed)
    contour_true, from_true = contour_and_distance(true)
    contour_pred, from_pred = contour_and_distance(pred)
    there, back = from_pred[contour_true], from_true[contour_pred]
    both = np.concatenate([there, back]).astype("float64")
    assert len(surface_points(true, SPACING_MM)) == len(there)
    hd95, assd, nsd = figures(true, pred)
    assert hd95 == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)), abs=1e-6)
    assert assd == pytest.approx(both.mean(), abs=1e-6)
    assert nsd == pytest.approx(np.mean(both <= 1.5), abs=1e-6)
    assert 0 < nsd < 1
