import numpy as np
import pytest
from scipy import ndimage

from xctrs_tf.data.stream.rigid_motion import move_labels, moved_grid
from xctrs_tf.geometry import rotation_matrix


@pytest.mark.parametrize("box", [np.s_[5:12, 8:15, 2:18], np.s_[:2, 17:, 9:11], np.s_[:, :, :]])
def test_moved_labels_are_those_of_the_whole_cube(box):
    rng = np.random.default_rng(0)
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[box] = rng.integers(1, 8, labels[box].shape)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        grid = moved_grid(20, rotation_matrix(rng.uniform(-20, 20, 3)), rng.uniform(-6, 6, 3))
        expected = ndimage.affine_transform(labels, *grid, order=0)
        moved = move_labels(labels, *grid)
        assert moved.dtype == np.uint8
        np.testing.assert_array_equal(moved, expected)


def test_labels_may_leave_the_cube_or_be_absent():
    labels = np.zeros((8, 8, 8), np.uint8)
    grid = moved_grid(8, np.eye(3), (30.0, 0.0, 0.0))
    assert not move_labels(labels, *grid).any()
    labels[2, 2, 2] = 1
    assert not move_labels(labels, *grid).any()
