"""Networks whose normalisations are written as converters and other runtimes know them."""

import dataclasses

import keras
import numpy as np
from keras import ops

from xctrs_tf.layers.normalization import FoldedGroupNormalization


class PlainGroupNormalization(FoldedGroupNormalization):
    """`FoldedGroupNormalization` in the textbook's order, without a reshaped volume.

    What is folded for TensorFlow's speed keeps a converter from moving the
    channels to where other runtimes want them, and them from seeing a
    normalisation in it: `experiments.benchmark --what=runtimes` tells the times.
    Float32 and inference only.
    """

    def call(self, inputs):
        """Normalise one batch."""
        *_, channels = inputs.shape
        centred = inputs - self._group_mean(inputs)
        variance = self._group_mean(ops.square(centred))
        y = centred / ops.sqrt(variance + self.epsilon)
        shape = (*(1 for _ in inputs.shape[:-1]), channels)
        if self.scale:
            y = y * ops.reshape(self.gamma, shape)
        if self.center:
            y = y + ops.reshape(self.beta, shape)
        return y

    def _group_mean(self, x):  # (batch, *spatial, channels) -> (batch, 1, ..., 1, channels)
        # An axis at a time, for the reason that `spatial_sum` gives.
        per_channel = x
        for axis in range(x.ndim - 2, 0, -1):
            per_channel = ops.mean(per_channel, axis=axis, keepdims=True)
        *ones, channels = per_channel.shape[1:]
        members = channels // self.groups
        if members == 1:
            return per_channel
        # A product with a small matrix becomes one node; reshaping to groups, a dozen.
        averaging = np.kron(np.eye(self.groups), np.full((members, members), 1 / members))
        flat = ops.reshape(per_channel, (-1, channels))
        return ops.reshape(ops.matmul(flat, averaging.astype(np.float32)), (-1, *ones, channels))


def with_plain_normalizations(run):
    """A run whose networks compute the same with plain normalisations.

    Args:
        run: `xctrs_tf.training.run.Run` of float32.

    Returns:
        `xctrs_tf.training.run.Run` with copies of the networks and their weights.
    """
    return dataclasses.replace(
        run, reconstruction=_plain(run.reconstruction), segmentation=_plain(run.segmentation)
    )


def _plain(network):
    if network is None:
        return None
    copy = keras.models.clone_model(network, clone_function=_plain_layer, recursive=True)
    copy.set_weights(network.get_weights())
    return copy


def _plain_layer(layer):
    kind = type(layer)
    if kind is FoldedGroupNormalization:
        kind = PlainGroupNormalization
    return kind.from_config(layer.get_config())
