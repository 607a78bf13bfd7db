"""Networks with normalisations in the standard form that converters recognise."""

import dataclasses

import keras
import numpy as np
from keras import ops

from xctrs_tf.layers.normalization import FoldedGroupNormalization


class PlainGroupNormalization(FoldedGroupNormalization):
    """`FoldedGroupNormalization` in textbook form, without reshaping the volume.

    The folded form is fast in TensorFlow. In a converted model, however, it prevents
    moving the channels to the layout of the runtime and recognising the normalisation;
    `experiments.benchmark --what=runtimes` measures the times. For float32 and
    inference only.
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
        # One axis at a time, for the reason given in `spatial_sum`.
        per_channel = x
        for axis in range(x.ndim - 2, 0, -1):
            per_channel = ops.mean(per_channel, axis=axis, keepdims=True)
        *ones, channels = per_channel.shape[1:]
        members = channels // self.groups
        if members == 1:
            return per_channel
        # A product with a small matrix is one node; reshaping to groups takes a dozen.
        averaging = np.kron(np.eye(self.groups), np.full((members, members), 1 / members))
        flat = ops.reshape(per_channel, (-1, channels))
        return ops.reshape(ops.matmul(flat, averaging.astype(np.float32)), (-1, *ones, channels))


def with_plain_normalizations(run):
    """Copy a run to networks with plain normalisations and the same outputs.

    Args:
        run: `xctrs_tf.training.run.Run` of float32.

    Returns:
        `xctrs_tf.training.run.Run` with copied networks and weights.
    """
    return with_normalizations(run, PlainGroupNormalization)


def with_normalizations(run, kind):
    """Copy a run to networks with other layers in place of `FoldedGroupNormalization`.

    Args:
        run: `xctrs_tf.training.run.Run`.
        kind: class of the layers, with the same arguments and weights.

    Returns:
        `xctrs_tf.training.run.Run` with copied networks and weights.
    """

    def layer(original):
        folded = type(original) is FoldedGroupNormalization
        return (kind if folded else type(original)).from_config(original.get_config())

    def copy(network):
        if network is None:
            return None
        copied = keras.models.clone_model(network, clone_function=layer, recursive=True)
        copied.set_weights(network.get_weights())
        return copied

    return dataclasses.replace(
        run, reconstruction=copy(run.reconstruction), segmentation=copy(run.segmentation)
    )
