"""Convolution with standardised weights."""

import math

import keras
from keras import ops

from xctrs_tf.layers.convolutions import Convolution3D

_EPSILON = 1e-12


def standardize_weights(kernel):
    """Give the weights of every filter the mean 0 and the standard deviation 1.

    Args:
        kernel: tensor ``(*kernel_size, input_channels, filters)``.

    Returns:
        Tensor of the same shape and dtype. The variance is that of a sample: the
        sum of squares is divided by the number of weights less 1.

    S. Qiao, H. Wang, C. Liu, W. Shen and A. Yuille, "Micro-batch training with
    batch-channel normalization and weight standardization", 2019.
    """
    axes = list(range(len(kernel.shape) - 1))
    weights = math.prod(kernel.shape[:-1])
    centred = kernel - ops.mean(kernel, axis=axes, keepdims=True)
    variance = ops.sum(ops.square(centred), axis=axes, keepdims=True) / (weights - 1)
    return centred / ops.sqrt(variance + _EPSILON)


@keras.saving.register_keras_serializable("xctrs_tf")
class WeightStandardizedConv3D(Convolution3D):
    """`Convolution3D` that standardises the weights of each of its filters.

    The layer keeps and saves the weights as they are and standardises them in every
    call, under mixed precision in float32. The bias is not standardised.

    The arguments are those of `Convolution3D`.

    Input shape:
        ``(batch, x, y, z, channels)``.

    Output shape:
        ``(batch, x / strides, y / strides, z / strides, filters)`` with "same"
        padding.
    """

    def add_weight(self, *args, **options):
        """Add a weight that stays in float32 under mixed precision.

        Args:
            *args: as for `keras.layers.Layer.add_weight`.
            **options: likewise.

        Returns:
            `keras.Variable`.
        """
        return super().add_weight(*args, **options, autocast=False)

    def call(self, inputs, training=None):
        """Convolve one batch.

        Args:
            inputs: tensor ``(batch, x, y, z, channels)``.
            training: as for `Convolution3D`.

        Returns:
            Tensor of the output shape.
        """
        kernel = standardize_weights(ops.convert_to_tensor(self.kernel))
        outputs = self.convolution_op(inputs, ops.cast(kernel, inputs.dtype))
        return self._finish(outputs, training)
