"""Nearest-neighbour upsampling: that of Keras, in few operations of the graph."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from xctrs_tf.layers.normalization import FoldedGroupNormalization
from xctrs_tf.layers.upsampling import NearestUpSampling2D, NearestUpSampling3D

CASES = [
    (NearestUpSampling2D, keras.layers.UpSampling2D, (3, 2), (4, 5)),
    (NearestUpSampling3D, keras.layers.UpSampling3D, (1, 4, 3), (2, 3, 5)),
]


@pytest.mark.parametrize(("ours", "theirs", "factors", "spatial"), CASES)
def test_values_and_gradients_are_those_of_keras(ours, theirs, factors, spatial):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(2, *spatial, 3)), tf.float32)
    results = []
    for kind in (ours, theirs):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = kind(factors)(x)
            loss = tf.reduce_sum(tf.cumsum(tf.reshape(y, [-1])) ** 2)
        results.append((y, tape.gradient(loss, x)))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-5)


@pytest.mark.parametrize(
    ("layer", "spatial"),
    [
        (NearestUpSampling2D((3, 2)), (4, 5)),
        (NearestUpSampling3D((2, 4, 3)), (2, 3, 5)),
        (FoldedGroupNormalization(groups=2), (2, 3, 5)),
    ],
)
def test_no_shape_is_computed_in_the_graph(layer, spatial):
    call = tf.function(lambda x: layer(x), autograph=False)
    graph = call.get_concrete_function(tf.TensorSpec((None, *spatial, 4))).graph
    kinds = {operation.type for operation in graph.get_operations()}
    assert not kinds & {"Shape", "StridedSlice", "Pack"}
