"""Activation that keeps its output for the backward pass instead of its input."""

import keras
from keras import layers, ops

from xctrs_tf.layers.kernels import run_kernel


@keras.saving.register_keras_serializable("xctrs_tf")
class LeakyReLU(layers.LeakyReLU):
    """`keras.layers.LeakyReLU` in less memory.

    The output has the sign of the input, so its gradient needs the output alone, which the
    next convolution keeps anyway.

    Args:
        *args: as for `keras.layers.LeakyReLU`; a slope above 0.
        **kwargs: likewise.
    """

    def call(self, inputs, training=None):
        """Apply to one batch.

        Args:
            inputs: tensor of any shape.
            training: False omits the written-out gradient, so that exports do not store it.

        Returns:
            Tensor of the same shape.
        """
        if training is False:
            return super().call(inputs)

        def activate(x):
            y = super(LeakyReLU, self).call(x)

            def gradient(*args, upstream=None):
                dy = args[0] if upstream is None else upstream
                return run_kernel(_gradient, {"slope": self.negative_slope}, y, dy)

            return y, gradient

        return ops.custom_gradient(activate)(inputs)


def _gradient(y, dy, *, slope, fused=False):
    del fused
    return ops.where(y > 0, dy, slope * dy)
