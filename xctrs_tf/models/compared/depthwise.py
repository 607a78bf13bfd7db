"""A transposed convolution of each channel by itself, which Keras lacks."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("xctrs_tf")
class DoublingDepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """Transposed 4 x 4 convolution with stride 2, every channel by itself, no bias.

    Zeros are put between the pixels and a common depthwise convolution does the
    rest. Each pixel reaches the four nearest new pixels on either axis: the
    result is not shifted.

    Args:
        **kwargs: as for `keras.layers.DepthwiseConv2D`.

    Input shape:
        ``(batch, rows, columns, channels)``, of fixed lengths.

    Output shape:
        ``(batch, 2 * rows, 2 * columns, channels)``.
    """

    def __init__(self, **kwargs):
        fixed = {"kernel_size": 4, "padding": "same", "use_bias": False}
        super().__init__(**{**kwargs, **fixed})

    def call(self, inputs):
        """Enlarge one batch."""
        _, rows, columns, channels = inputs.shape
        # "Same" padding of a 4-wide kernel is 1 before and 2 after, so that the
        # pixels come second in each pair.
        spread = ops.reshape(inputs, (-1, rows, 1, columns, 1, channels))
        spread = ops.pad(spread, ((0, 0), (0, 0), (1, 0), (0, 0), (1, 0), (0, 0)))
        return super().call(ops.reshape(spread, (-1, 2 * rows, 2 * columns, channels)))

    def compute_output_shape(self, input_shape):
        """Twice the rows and columns."""
        batch, rows, columns, channels = input_shape
        return (batch, 2 * rows, 2 * columns, channels)
