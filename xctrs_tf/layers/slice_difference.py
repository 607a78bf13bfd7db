"""What changes from one axial slice to the next."""

import keras
from keras import ops


def slice_difference(x):
    """Absolute difference of every axial slice and the one below it.

    Args:
        x: `(batch, x, y, z, channels)`.

    Returns:
        The same shape, z growing upwards; the lowest slice, which has none
        below it, is 0.
    """
    lowest = x[:, :, :, :1]
    return ops.concatenate(
        [ops.zeros_like(lowest), ops.abs(x[:, :, :, 1:] - x[:, :, :, :-1])], axis=3
    )


@keras.saving.register_keras_serializable("xctrs_tf")
class SliceDifference(keras.layers.Layer):
    """`slice_difference` as a layer; input and output ``(batch, x, y, z, channels)``."""

    def call(self, inputs):
        """Compare the slices of one batch."""
        return slice_difference(inputs)
