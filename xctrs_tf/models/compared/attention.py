"""Attention between the positions and between the channels of a volume."""

import math

import keras
from keras import ops


class _GatedAttention(keras.layers.Layer):
    """Adds what was attended to, times a scalar that training raises from 0."""

    def build(self, input_shape):
        """Create the scalar."""
        self.gate = self.add_weight(name="gate", shape=(), initializer="zeros")
        self.built = True

    def _gated(self, attended, x):
        return self.gate * ops.reshape(attended, (-1, *x.shape[1:])) + x


@keras.saving.register_keras_serializable("xctrs_tf")
class PositionAttention(_GatedAttention):
    """Every position takes in the values of all others: CS2-Net's spatial attention.

    With a position in every row of Q, K, J and V,
    ``gate * softmax((Q K^T) (J K^T)) V + x``. The products and the softmax run
    in float32 under every precision policy.

    Input shape:
        A list of q, k, j ``(batch, x, y, z, c)`` and v, x
        ``(batch, x, y, z, channels)``, spatial axes of fixed length.

    Output shape:
        That of ``x``.
    """

    def call(self, inputs):
        """Attend within one batch."""
        *features, x = inputs
        q, k, j, v = (_rows(feature) for feature in features)
        keys = ops.swapaxes(k, 1, 2)
        scores = ops.matmul(ops.matmul(q, keys), ops.matmul(j, keys))
        attended = ops.matmul(ops.softmax(scores, axis=-1), v)
        return self._gated(ops.cast(attended, x.dtype), x)


@keras.saving.register_keras_serializable("xctrs_tf")
class ChannelAttention(_GatedAttention):
    """Every channel takes in the others that differ from it: CS2-Net's channel attention.

    With a channel in every row of F and ``E = (F F^T) (F F^T)``,
    ``gate * softmax(max(E) - E) F + x``, in float32 like `PositionAttention`.

    Input shape:
        ``(batch, x, y, z, channels)``, spatial axes of fixed length.

    Output shape:
        The input's.
    """

    def call(self, inputs):
        """Attend within one batch."""
        positions = _rows(inputs)  # (batch, positions, channels) is F^T
        alike = ops.matmul(ops.swapaxes(positions, 1, 2), positions)
        energy = ops.matmul(alike, alike)
        weights = ops.softmax(ops.max(energy, axis=-1, keepdims=True) - energy, axis=-1)
        attended = ops.matmul(positions, ops.swapaxes(weights, 1, 2))
        return self._gated(ops.cast(attended, inputs.dtype), inputs)


def _rows(x):
    """``(batch, positions, channels)`` in float32."""
    _, *spatial, channels = x.shape
    return ops.reshape(ops.cast(x, "float32"), (-1, math.prod(spatial), channels))
