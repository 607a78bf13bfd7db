"""Difference between neighbouring axial slices."""

import keras
from keras import ops


def slice_difference(x):
    """Return the absolute difference of every axial slice and the slice below it.

    Args:
        x: tensor ``(batch, x, y, z, channels)``; z grows upwards.

    Returns:
        Tensor of the same shape. The lowest slice, which has no slice below it,
        is 0.
    """
    lowest = x[:, :, :, :1]
    return ops.concatenate(
        [ops.zeros_like(lowest), ops.abs(x[:, :, :, 1:] - x[:, :, :, :-1])], axis=3
    )


@keras.saving.register_keras_serializable("xctrs_tf")
class SliceDifference(keras.layers.Layer):
    """`slice_difference` as a layer.

    Input shape:
        ``(batch, x, y, z, channels)``.

    Output shape:
        Same as the input.
    """

    def call(self, inputs):
        """Compare the slices of one batch.

        Args:
            inputs: tensor ``(batch, x, y, z, channels)``.

        Returns:
            Tensor of the same shape.
        """
        return slice_difference(inputs)
