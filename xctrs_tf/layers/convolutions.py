"""Convolutions with gradients of their own."""

import keras
from keras import layers, ops

from xctrs_tf.layers.kernels import run_convolution, run_kernel, spatial_sum


class _BiasGradient:
    """Mixin of a Keras convolution that computes the gradient of the bias by `run_kernel`.

    TensorFlow's own gradient of a bias is a sum on one thread. The mixin comes before the Keras
    layer in a class's bases.
    """

    def __init__(self, *args, bias_gradient=True, **kwargs):
        super().__init__(*args, **kwargs)
        self.bias_gradient = bias_gradient

    def get_config(self):
        """Return the arguments that make the layer again."""
        return {**super().get_config(), "bias_gradient": self.bias_gradient}

    def call(self, inputs, training=None):
        """Convolve one batch.

        Args:
            inputs: tensor ``(batch, *spatial, channels)``.
            training: False omits the written-out gradient, so that exports do not store it.

        Returns:
            Tensor of the output shape.
        """
        return self._finish(self.convolution_op(inputs, self.kernel), training)

    def _finish(self, outputs, training):
        """Return the outputs with bias and activation."""
        if self.use_bias:
            bias = ops.cast(self.bias, outputs.dtype)
            if training is False:
                outputs = outputs + bias
            else:
                add = _add_bias if self.bias_gradient else _add_cancelled_bias
                outputs = ops.custom_gradient(add)(outputs, bias)
        return outputs if self.activation is None else self.activation(outputs)


def _add_bias(x, bias):
    def gradient(*args, upstream=None):
        dy = args[0] if upstream is None else upstream
        return dy, ops.cast(run_kernel(_bias_gradient, {}, dy), dy.dtype)

    return x + bias, gradient


def _add_cancelled_bias(x, bias):
    def gradient(*args, upstream=None):
        # Zeros instead of no gradient, of which Keras would warn.
        return args[0] if upstream is None else upstream, ops.zeros_like(bias)

    return x + bias, gradient


def _bias_gradient(dy, *, fused=False):
    """Sum an upstream gradient over batch and space, in float32."""
    return ops.sum(spatial_sum(ops.cast(dy, "float32"), fused), axis=0)


@keras.saving.register_keras_serializable("xctrs_tf")
class Convolution2D(_BiasGradient, layers.Conv2D):
    """`keras.layers.Conv2D` with a faster gradient of the bias.

    Args:
        *args: as for `keras.layers.Conv2D`.
        bias_gradient: False if a normalisation per channel takes the bias away again.
            Its gradient is zero then, and is not computed.
        **kwargs: likewise.
    """


@keras.saving.register_keras_serializable("xctrs_tf")
class Convolution3D(_BiasGradient, layers.Conv3D):
    """`keras.layers.Conv3D` with faster gradients, of the kernel only in training on CPUs.

    Args:
        *args: as for `keras.layers.Conv3D`.
        bias_gradient: as for `Convolution2D`.
        **kwargs: likewise.
    """

    def convolution_op(self, inputs, kernel):
        """Convolve one batch with a kernel.

        Args:
            inputs: tensor ``(batch, *spatial, channels)``.
            kernel: tensor ``(*widths, channels, filters)``.

        Returns:
            Tensor of the output shape.
        """
        convolve = super().convolution_op
        is_plain = self.padding == "same" and self.kernel_size[0] % 2 == 1
        is_plain = is_plain and len(set(self.kernel_size)) == 1 and self.groups == 1
        is_plain = is_plain and {*self.strides, *self.dilation_rate} == {1}
        if not is_plain or self.data_format != "channels_last":
            return convolve(inputs, kernel)
        return run_convolution(convolve, inputs, kernel)
