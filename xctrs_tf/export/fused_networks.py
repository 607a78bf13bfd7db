"""Networks of bfloat16 in which two operations of TensorFlow normalise a volume."""

import collections
import math

import keras
import tensorflow as tf

from xctrs_tf.export.plain_networks import with_normalizations
from xctrs_tf.layers.convolutions import Convolution2D, Convolution3D
from xctrs_tf.layers.normalization import FoldedGroupNormalization

# A multiple of the numbers that a vector instruction works on.
_CHANNELS = 16


class FusedGroupNormalization(FoldedGroupNormalization):
    """`FoldedGroupNormalization` by TensorFlow's batch normalisation over one patient.

    One operation reads 16 bits and returns means and variances in float32, another
    scales, shifts and rounds. The folded form takes more passes over the volume.
    Each sum has as many terms as the volume has voxels, which makes an error that
    bfloat16 does not resolve, but float32 does. For inference only.
    """

    _bias = None

    def take_bias(self, convolution):
        """Add the bias of the convolution before, which omits it from now on.

        It is added to the means, without a pass over the volume.

        Args:
            convolution: `Convolution2D` or `Convolution3D` with a bias, whose output
                nothing else reads.
        """
        # In a function, since Keras would list the bias among the weights of both layers.
        self._bias = lambda: convolution.bias
        convolution.use_bias = False

    def call(self, inputs):
        """Normalise one batch."""
        _, *spatial, channels = inputs.shape
        # On CPUs the operations are much slower for fewer than 16 channels, so
        # neighbouring voxels stand in for channels.
        row = math.gcd(_CHANNELS // math.gcd(_CHANNELS, channels), spatial[-1])
        rows = math.prod(spatial) // row
        # The operations sum over a batch, so patients stand beside channels too. Moving
        # them copies nothing for one patient.
        x = tf.transpose(tf.reshape(inputs, (-1, rows, row * channels)), (1, 0, 2))
        x = tf.reshape(x, (1, rows, 1, -1))
        mean, variance = self._moments(x, rows, (-1, row, self.groups, channels // self.groups))
        repeats = tf.size(mean) // channels
        gamma = self.gamma if self.scale else tf.ones(channels)
        beta = self.beta if self.center else tf.zeros(channels)
        y, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=tf.tile(tf.cast(gamma, tf.float32), [repeats]),
            offset=tf.tile(tf.cast(beta, tf.float32), [repeats]),
            mean=mean,
            variance=variance,
            epsilon=self.epsilon,
            is_training=False,
        )
        y = tf.transpose(tf.reshape(y, (rows, -1, row * channels)), (1, 0, 2))
        return tf.reshape(y, (-1, *spatial, channels))

    def _moments(self, x, rows, shape):
        """Mean that each channel of x is to lose, and variance of its group.

        The channels of x have the shape ``(batch, row, groups, members)``.
        """
        unused = tf.ones(tf.shape(x)[-1:])
        empty = tf.zeros(0)
        _, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x, scale=unused, offset=unused, mean=empty, variance=empty, is_training=True
        )
        mean = tf.reshape(mean, shape)
        # The operation divides by one row less.
        variance = tf.reshape(variance, shape) * ((rows - 1) / rows)
        bias = 0.0
        # The mean of a group of one channel takes the bias away again.
        if self._bias is not None and shape[-1] > 1:
            bias = tf.reshape(tf.cast(self._bias(), tf.float32), shape[2:])
        of_group = tf.reduce_mean(mean + bias, axis=(1, 3), keepdims=True)
        squares = variance + tf.square(mean + bias - of_group)
        moments = of_group - bias, tf.reduce_mean(squares, axis=(1, 3), keepdims=True)
        return (tf.reshape(tf.broadcast_to(each, tf.shape(mean)), [-1]) for each in moments)


def with_fused_normalizations(run):
    """Copy a run to networks that normalise in fewer operations and leave out some biases.

    Args:
        run: `xctrs_tf.training.run.Run` of mixed_bfloat16.

    Returns:
        `xctrs_tf.training.run.Run` with copied networks and weights.
    """
    fused = with_normalizations(run, FusedGroupNormalization)
    for network in filter(None, (fused.reconstruction, fused.segmentation)):
        _move_biases(network)
    return fused


def _move_biases(network):
    """Let normalisations add the biases of the convolutions before them."""
    convolutions, readers = {}, collections.Counter(map(id, network.outputs))
    for operation in network.operations:
        readers.update(map(id, keras.tree.flatten(operation.input)))
        if isinstance(operation, keras.Model):
            _move_biases(operation)
        elif isinstance(operation, (Convolution2D, Convolution3D)) and operation.use_bias:
            convolutions[id(operation.output)] = operation
    for layer in network.layers:
        if isinstance(layer, FusedGroupNormalization) and readers[id(layer.input)] == 1:
            convolution = convolutions.get(id(layer.input))
            if convolution is not None and convolution.activation is keras.activations.linear:
                layer.take_bias(convolution)
