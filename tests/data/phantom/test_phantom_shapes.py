"""Distances and supports against values worked out by hand."""

import numpy as np
import pytest

from xctrs_tf.data.phantom import shapes

Z = (0.0, 0.0, 1.0)


def distance(shape, *point):
    return float(shape.distance(*(np.full((1, 1, 1), v, np.float32) for v in point))[0, 0, 0])


def test_sphere_is_exact():
    sphere = shapes.Ellipsoid((1.0, 2.0, 3.0), (5.0, 5.0, 5.0))
    assert distance(sphere, 1, 2, 10) == pytest.approx(2.0, abs=1e-5)
    assert distance(sphere, 1, 5, 3) == pytest.approx(-2.0, abs=1e-5)


def test_ellipsoid_surface_and_support():
    ellipsoid = shapes.Ellipsoid((0.0, 0.0, 0.0), (2.0, 3.0, 6.0))
    for tip in ((2, 0, 0), (0, 3, 0), (0, 0, 6)):
        assert distance(ellipsoid, *tip) == pytest.approx(0.0, abs=1e-5)
    assert ellipsoid.support(np.array([0.0, 1.0, 0.0])) == pytest.approx(3.0)


def test_rotated_ellipsoid_turns_with_its_axes():
    turned = shapes.Ellipsoid((0.0, 0.0, 0.0), (2.0, 3.0, 6.0), shapes.rotation(z_deg=90))
    assert distance(turned, 3, 0, 0) == pytest.approx(0.0, abs=1e-5)
    assert turned.support(np.array([1.0, 0.0, 0.0])) == pytest.approx(3.0)


def test_rounded_box():
    box = shapes.RoundedBox((0.0, 0.0, 0.0), (2.0, 3.0, 4.0), 1.0)
    assert distance(box, 5, 0, 0) == pytest.approx(3.0)
    assert distance(box, 0, 0, 0) == pytest.approx(-2.0)
    # Corner of the core is (1, 2, 3): the point lies 3-4-0 beyond it.
    assert distance(box, 4, 6, 0) == pytest.approx(4.0)
    assert box.support(np.array([0.0, 0.0, 1.0])) == pytest.approx(4.0)


def test_rod_tapers_from_end_to_end():
    rod = shapes.Rod((0.0, 0.0, 0.0), (0.0, 0.0, 10.0), 1.0, 3.0)
    assert distance(rod, 4, 0, 5) == pytest.approx(2.0)
    assert distance(rod, 0, 0, 15) == pytest.approx(2.0)
    assert rod.support(np.array(Z)) == pytest.approx(13.0)


def test_flat_rod_is_thin_in_one_direction_only():
    rod = shapes.Rod((0.0, 0.0, 0.0), (0.0, 0.0, 10.0), 4.0, 4.0, (1.0, 0.0, 0.0), 0.5)
    assert distance(rod, 2, 0, 5) == pytest.approx(0.0, abs=1e-5)
    assert distance(rod, 0, 4, 5) == pytest.approx(0.0, abs=1e-5)
    assert distance(rod, 3, 0, 5) == pytest.approx(1.0)
    assert rod.support(np.array([1.0, 0.0, 0.0])) == pytest.approx(2.0)
    assert rod.support(np.array([0.0, 1.0, 0.0])) == pytest.approx(4.0)


def test_tube_joins_its_points():
    rods = shapes.tube([(0, 0, 0), (0, 0, 5), (0, 3, 9)], [1.0, 2.0, 3.0])
    assert [r.end for r in rods] == [(0, 0, 5), (0, 3, 9)]
    assert [r.end_radius for r in rods] == [2.0, 3.0]


def test_smooth_blends_change_only_the_crease():
    a, b = np.float32([0.0, 0.0, 5.0]), np.float32([0.0, 3.0, 1.0])
    # Where both distances are equal, the fillet adds a quarter of its width.
    np.testing.assert_allclose(shapes.smooth_min(a, b, 2.0), [-0.5, 0.0, 1.0])
    np.testing.assert_allclose(shapes.smooth_max(a, b, 2.0), [0.5, 3.0, 5.0])
    np.testing.assert_allclose(shapes.smooth_min(a, b, 0.0), [0.0, 0.0, 1.0])


@pytest.mark.parametrize(
    ("angles", "start", "end"),
    [
        ({"x_deg": 90}, Z, (0, -1, 0)),  # upwards tips forward
        ({"y_deg": 90}, Z, (1, 0, 0)),  # upwards tips to the left
        ({"z_deg": 90}, (0, -1, 0), (1, 0, 0)),  # the face turns to the left
    ],
)
def test_rotation_directions(angles, start, end):
    np.testing.assert_allclose(shapes.rotation(**angles) @ start, end, atol=1e-12)


def test_frame_round_trip():
    frame = shapes.BoneFrame(shapes.rotation(10, 20, 30), np.array([1.0, -2.0, 3.0]))
    local = frame.to_local(*np.float32(frame.to_world((4, 5, 6))))
    np.testing.assert_allclose(local, (4, 5, 6), atol=1e-5)
