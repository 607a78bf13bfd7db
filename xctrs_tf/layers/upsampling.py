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


def _sum_repeats(x, times, axis):
    """Sum the values that `_repeat` made of one: its gradient."""
    if times == 1:
        return x
    _, *lengths = x.shape
    inside = math.prod(lengths[axis:])
    lengths[axis - 1] //= times
    sums = ops.sum(ops.reshape(x, (-1, times, inside)), axis=1)
    return ops.reshape(sums, (-1, *lengths))


class _Repeating:
    """Mixin of `keras.layers.UpSampling2D` and ``3D``, nearest neighbour, channels last.

    `keras.ops.repeat` computes the shape of its result in TensorFlow's graph, in about 30
    operations, and its gradient in as many. Here every length but the batch is known, and
    three are enough.
    """

    def call(self, inputs, training=None):
        """Enlarge one batch.

        Args:
            inputs: tensor ``(batch, *spatial, channels)``.
            training: False omits the written-out gradient, so that exports do not store it.

        Returns:
            Tensor with the spatial axes enlarged.
        """
        if training is False:
            return self._enlarge(inputs)
        return ops.custom_gradient(self._with_gradient)(inputs)

    def _enlarge(self, x):
        # The last axis first: copies of few channels are slow, and then the volume is small.
        for axis, times in reversed([*enumerate(self.size, start=1)]):
            x = _repeat(x, times, axis)
        return x

    def _with_gradient(self, x):
        def gradient(*args, upstream=None):
            dy = args[0] if upstream is None else upstream
            for axis, times in enumerate(self.size, start=1):
                dy = _sum_repeats(dy, times, axis)
            return dy

        return self._enlarge(x), gradient


@keras.saving.register_keras_serializable("xctrs_tf")
class NearestUpSampling2D(_Repeating, layers.UpSampling2D):
    """`keras.layers.UpSampling2D`, nearest neighbour, channels last."""


@keras.saving.register_keras_serializable("xctrs_tf")
class NearestUpSampling3D(_Repeating, layers.UpSampling3D):
    """`keras.layers.UpSampling3D`, channels last."""
