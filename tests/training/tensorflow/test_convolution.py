"""The training's 3D convolution against TensorFlow's own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from xctrs_tf.layers.convolutions import Convolution3D
from xctrs_tf.layers.kernels import compiled_kernels
from xctrs_tf.training.tensorflow.convolution import convolve


def _gradients(convolution, inputs, kernel, upstream):
    with tf.GradientTape() as tape:
        tape.watch([inputs, kernel])
        outputs = convolution(inputs, kernel)
    return outputs, *tape.gradient(outputs, [inputs, kernel], upstream)


# A volume of unequal sides tells an axis from another one.
@pytest.mark.parametrize(
    ("width", "channels", "filters", "batch"),
    [(3, 8, 8, 2), (3, 1, 4, 1), (3, 24, 8, 1), (1, 8, 4, 2), (5, 2, 3, 1)],
)
def test_convolution_and_gradients_are_those_of_tensorflow(width, channels, filters, batch):
    rng = np.random.default_rng(0)
    shapes = (
        (batch, 6, 7, 8, channels),
        (width, width, width, channels, filters),
        (batch, 6, 7, 8, filters),
    )
    arguments = [tf.constant(rng.normal(size=shape), tf.float32) for shape in shapes]

    def theirs(inputs, kernel):
        return tf.nn.conv3d(inputs, kernel, [1] * 5, "SAME")

    for found, expected in zip(
        _gradients(convolve, *arguments), _gradients(theirs, *arguments), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("changes", "used"),
    [
        ({}, True),
        ({"kernel_size": 1}, True),
        ({"strides": 2}, False),
        ({"dilation_rate": 2}, False),
        ({"padding": "valid"}, False),
        ({"kernel_size": 2}, False),
        ({"kernel_size": (3, 3, 1)}, False),
        ({"groups": 2}, False),
        ({"dtype": "mixed_bfloat16"}, False),
    ],
    ids=str,
)
def test_a_layer_uses_it_where_it_holds(changes, used):
    layer = Convolution3D(4, **{"kernel_size": 3, "padding": "same", **changes})
    calls = []

    def counted(inputs, kernel):
        calls.append(kernel.shape)
        return convolve(inputs, kernel)

    inputs = keras.random.normal((1, 4, 5, 6, 2))
    expected = layer(inputs)
    with compiled_kernels(None, counted):
        found = layer(inputs)
    assert len(calls) == used
    np.testing.assert_allclose(
        *(keras.ops.cast(x, "float32") for x in (found, expected)), atol=1e-5
    )
    # Nothing of it remains outside of the context.
    layer(inputs)
    assert len(calls) == used
