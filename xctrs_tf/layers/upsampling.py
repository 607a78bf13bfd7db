"""Nearest-neighbour upsampling in few operations."""

import math

import keras
from keras import layers, ops


def _repeat(x, times, axis):
    """Repeat every value along an axis after that of the batch, as `keras.ops.repeat`."""
    if times == 1:
        return x
    _, *lengths = x.shape
    inside = math.prod(lengths[axis:])
    lengths[axis - 1] *= times
    rows = ops.tile(ops.reshape(x, (-1, 1, inside)), (1, times, 1))
    return ops.reshape(rows, (-1, *lengths))


class _Repeating:
    """Mixin of `keras.layers.UpSampling2D` and ``3D``, nearest neighbour, channels last.

    `keras.ops.repeat` computes the shape of its result in TensorFlow's graph, in about 30
    operations. Here every length but the batch is known, and three are enough.
    """

    def call(self, inputs):
        """Enlarge one batch."""
        for axis, times in enumerate(self.size, start=1):
            inputs = _repeat(inputs, times, axis)
        return inputs


@keras.saving.register_keras_serializable("xctrs_tf")
class NearestUpSampling2D(_Repeating, layers.UpSampling2D):
    """`keras.layers.UpSampling2D`, nearest neighbour, channels last."""


@keras.saving.register_keras_serializable("xctrs_tf")
class NearestUpSampling3D(_Repeating, layers.UpSampling3D):
    """`keras.layers.UpSampling3D`, channels last."""
