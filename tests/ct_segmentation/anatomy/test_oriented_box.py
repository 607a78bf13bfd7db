import numpy as np
import pytest

from tests.ct_segmentation.anatomy.phantom_predictions import SPACING_MM
from xctrs_tf.ct_segmentation.anatomy.oriented_box import OrientedBox, oriented_box
from xctrs_tf.geometry import rotation_matrix

SIZE_MM = np.array([50.0, 30.0, 15.0])
CENTRE_MM = np.array([12.0, -30.0, 250.0])


def _cuboid(low, high):
    """Return points every 2.5 mm between two corners."""
    axes = [np.arange(a + SPACING_MM / 2, b, SPACING_MM) for a, b in zip(low, high, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


@pytest.mark.parametrize("turns", [(0, 0, 0), (20, 0, 0), (0, -15, 0), (0, 0, 12), (-18, 9, 14)])
def test_turned_cuboid_is_found(turns):
    points = _cuboid(-SIZE_MM / 2, SIZE_MM / 2) @ rotation_matrix(turns).T + CENTRE_MM
    box = oriented_box(points, SPACING_MM)
    np.testing.assert_allclose(box.centre_mm, CENTRE_MM, atol=0.5)
    np.testing.assert_allclose(box.size_mm, SIZE_MM, atol=1.5)
    np.testing.assert_allclose(box.rotation_deg, turns, atol=1.5)


@pytest.mark.parametrize("tilt", [0.0, 15.0])
def test_box_of_a_vertebra_with_a_dens_stands_as_the_dens(tilt):
    parts = [
        _cuboid((-7.5, -10, -10), (7.5, 5, 30)),
        _cuboid((-25, 5, -10), (25, 20, 2.5)),
        _cuboid((-5, 20, -20), (5, 40, -5)),
    ]
    points = np.concatenate(parts) @ rotation_matrix((tilt, 0, 0)).T + CENTRE_MM
    box = oriented_box(points, SPACING_MM)
    # All of it together leans by another angle.
    np.testing.assert_allclose(box.rotation_deg, (tilt, 0, 0), atol=5)
    np.testing.assert_allclose(box.size_mm, (50, 50, 50), atol=5)


def test_corners_are_those_of_the_box():
    box = OrientedBox(tuple(CENTRE_MM), tuple(SIZE_MM), (10.0, 20.0, -30.0))
    inside = (box.corners_mm - CENTRE_MM) @ rotation_matrix((10.0, 20.0, -30.0))
    np.testing.assert_allclose(np.abs(inside), np.tile(SIZE_MM / 2, (8, 1)))
    assert len(np.unique(np.sign(inside), axis=0)) == 8
    np.testing.assert_allclose(box.axes.T @ box.axes, np.eye(3), atol=1e-12)


def test_few_points_have_an_upright_box():
    box = oriented_box([(0.0, 0.0, 0.0), (2.5, 5.0, 7.5)], SPACING_MM)
    assert box.centre_mm == (1.25, 2.5, 3.75)
    assert box.size_mm == (5.0, 7.5, 10.0)
    assert box.rotation_deg == (0.0, 0.0, 0.0)
