"""Group and instance normalisation in few passes over the volume."""

import math

import keras
from keras import ops

from xctrs_tf.layers.kernels import run_kernel, spatial_sum

# Values of a volume from which on it takes longer to calculate than to start the operations.
_LARGE = 2**17


@keras.saving.register_keras_serializable("xctrs_tf")
class FoldedGroupNormalization(keras.layers.GroupNormalization):
    """Group normalisation in half the time of `keras.layers.GroupNormalization`.

    It has the same weights. Statistics and affine parameters are folded into
    ``x * gain + offset`` with one gain and one offset per patient and channel,
    which is also the arithmetic that the paper's operation counts imply. The
    gradient is written out in the same form. All is computed in float32 under
    every precision policy.

    Args:
        groups: number of groups; with as many groups as channels it is
            instance normalisation.
        epsilon: small number added to the variance.
        **kwargs: other arguments of `keras.layers.GroupNormalization`.

    Input shape:
        ``(batch, *spatial, channels)``, spatial axes of fixed length.

    Output shape:
        Same as the input.

    Ge et al. (2022), Sect. 3.1.
    """

    def call(self, inputs, training=None):
        """Normalise one batch.

        Args:
            inputs: tensor ``(batch, *spatial, channels)``.
            training: False omits the written-out gradient, so that exports do not store it.

        Returns:
            Tensor of the same shape and dtype.
        """
        channels = inputs.shape[-1:]
        gamma = ops.cast(self.gamma, "float32") if self.scale else ops.ones(channels, "float32")
        beta = ops.cast(self.beta, "float32") if self.center else ops.zeros(channels, "float32")
        settings = {"groups": self.groups, "epsilon": self.epsilon}
        if training is False:
            # Storing custom gradients is most of the time of a SavedModel export.
            return _normalise(inputs, gamma, beta, **settings)[0]

        def normalise(x, gamma, beta):
            y, mean, rate = run_kernel(_normalise, settings, x, gamma, beta)

            def gradient(*args, upstream=None):
                dy = args[0] if upstream is None else upstream
                return run_kernel(_gradient, settings, x, dy, mean, rate, gamma)

            return y, gradient

        return ops.custom_gradient(normalise)(inputs, gamma, beta)


def _normalise(x, gamma, beta, *, groups, epsilon, fused=False):
    """Return ``(y, mean, rate)``: the volume, and ``(batch, *1, channels)`` of float32."""
    volume = _Volume(x.shape, groups, fused)
    dtype, x = x.dtype, ops.cast(x, "float32")
    mean = volume.group_mean(volume.mean(x))
    centred = x - volume.spread(mean)
    variance = volume.group_mean(volume.mean(ops.square(centred)))
    rate = ops.rsqrt(variance + epsilon)
    gain = rate * gamma
    y = volume.weighted_sum([(x, gain)], beta - mean * gain)
    return ops.cast(y, dtype), mean, rate


def _gradient(x, dy, mean, rate, gamma, *, groups, epsilon, fused=False):
    """Return the gradients of `_normalise` for x, gamma and beta."""
    del epsilon  # It is in the rate.
    volume = _Volume(x.shape, groups, fused)
    dtype, x, dy = x.dtype, ops.cast(x, "float32"), ops.cast(dy, "float32")
    # With h = (x - mean) * rate and g = gamma * dy:
    # dx = rate * (g - mean(g) - h * mean(g * h)), means over the group.
    mean_dy = volume.mean(dy)
    mean_dy_h = (volume.mean(dy * x) - mean * mean_dy) * rate
    slope = -volume.group_mean(mean_dy_h * gamma) * rate * rate
    offset = -volume.group_mean(mean_dy * gamma) * rate - slope * mean
    dx = volume.weighted_sum([(dy, rate * gamma), (x, slope)], offset)
    axes = tuple(range(len(x.shape) - 1))
    dgamma, dbeta = (ops.sum(each, axis=axes) * volume.positions for each in (mean_dy_h, mean_dy))
    return ops.cast(dx, dtype), dgamma, dbeta


class _Volume:
    """Arithmetic of one volume ``(batch, *spatial, channels)``.

    Means and whatever else belongs to a channel are ``(batch, *1, channels)``.

    Args:
        shape: of the volume.
        groups: number of groups of channels.
        fused: a compiler makes one loop of what is between two sums.
    """

    def __init__(self, shape, groups, fused):
        _, *self.spatial, self.channels = shape
        self.groups = groups
        self.fused = fused
        self.positions = math.prod(self.spatial)
        self.ones = [1] * len(self.spatial)
        # Broadcasting along few channels is slower on CPUs than along many: products of
        # large volumes treat the last spatial axis as channels too.
        self.row = 1
        if not fused and self.positions * self.channels >= _LARGE:
            self.row = self.spatial[-1]

    def spread(self, per_channel):
        """Return what belongs to a channel in a shape to calculate with the volume."""
        if self.row == 1:
            return per_channel
        return ops.tile(per_channel, (1, *self.ones[:-1], self.row, 1))

    def weighted_sum(self, terms, offset):
        """Return the sum of ``x * gain`` over all terms ``(x, gain)``, and of the offset."""
        total = self.spread(offset)
        for x, gain in reversed(terms):
            total = x * self.spread(gain) + total
        return total

    def mean(self, x):
        """Return the means over a volume."""
        return spatial_sum(x, self.fused, keepdims=True) / self.positions

    def group_mean(self, per_channel):
        """Return the mean of its group for every channel."""
        members = self.channels // self.groups
        if members == 1:
            return per_channel
        grouped = ops.reshape(per_channel, (-1, self.groups, members))
        # `ops.repeat` would compute shapes in the graph, in 30 operations.
        mean = ops.tile(ops.mean(grouped, axis=-1, keepdims=True), (1, 1, members))
        return ops.reshape(mean, (-1, *self.ones, self.channels))
