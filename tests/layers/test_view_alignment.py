"""View alignment places a film feature on the voxels of its ray."""

import keras
import numpy as np
import pytest
from keras import layers

from xctrs_tf.data.projection.drr import parallel_projection
from xctrs_tf.layers.view_alignment import align_view, align_views, pixel_shuffle

# All lengths differ, so that swapped axes are found.
X, Y, Z = 3, 4, 5
CHANNELS = 2
FILM = {"ap": (X, Z), "la": (Y, Z)}
DEPTH = {"ap": Y, "la": X}
VOXEL = (2, 1, 3)
PIXEL = {"ap": (VOXEL[0], VOXEL[2]), "la": (VOXEL[1], VOXEL[2])}
RAY = {"ap": (VOXEL[0], slice(None), VOXEL[2]), "la": (slice(None), VOXEL[1], VOXEL[2])}


@pytest.mark.parametrize("view", ["ap", "la"])
def test_a_pixel_lands_on_its_ray_and_nowhere_else(view):
    feature = layers.Input((*FILM[view], DEPTH[view] * CHANNELS))
    volume = align_view(pixel_shuffle(feature, DEPTH[view], "ps"), view, "align")
    assert volume.shape[1:] == (X, Y, Z, CHANNELS)

    film = np.zeros((1, *feature.shape[1:]), np.float32)
    film[0][PIXEL[view]] = 1.0
    lit = np.asarray(keras.Model(feature, volume)(film))[0]
    expected = np.zeros_like(lit)
    expected[RAY[view]] = 1.0
    np.testing.assert_array_equal(lit, expected)


@pytest.mark.parametrize("view", ["ap", "la"])
def test_projection_and_alignment_are_of_one_geometry(view):
    """Compare the ray of a pixel in the projection with its ray in the alignment."""
    volume = np.zeros((1, X, Y, Z), np.float32)
    volume[0][VOXEL] = 1.0
    film = np.asarray(parallel_projection(volume, 1.0, view))[0]
    assert np.argwhere(film).tolist() == [list(PIXEL[view])]


@pytest.mark.parametrize("view", ["ap", "la"])
def test_depth_runs_along_the_ray(view):
    feature = layers.Input((*FILM[view], DEPTH[view]))
    volume = align_view(pixel_shuffle(feature, DEPTH[view], "ps"), view, "align")
    film = np.zeros((1, *feature.shape[1:]), np.float32)
    film[0][PIXEL[view]] = np.arange(DEPTH[view])
    aligned = np.asarray(keras.Model(feature, volume)(film))[0, ..., 0]
    np.testing.assert_array_equal(aligned[RAY[view]], np.arange(DEPTH[view]))


def test_both_views_are_concatenated_with_la_first():
    ap = layers.Input((X, Z, Y, 1))
    la = layers.Input((Y, Z, X, 1))
    model = keras.Model([ap, la], align_views(ap, la, "align"))
    result = np.asarray(model([np.full((1, X, Z, Y, 1), 7.0), np.full((1, Y, Z, X, 1), 5.0)]))
    assert result.shape == (1, X, Y, Z, 2)
    assert (result[..., 0] == 5.0).all()
    assert (result[..., 1] == 7.0).all()


def test_channels_must_unfold_into_the_depth():
    with pytest.raises(ValueError, match="10 channels cannot be unfolded into a depth of 4"):
        pixel_shuffle(layers.Input((3, 5, 10)), 4, "ps")
