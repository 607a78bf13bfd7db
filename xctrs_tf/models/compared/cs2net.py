"""CS2-Net, a compared network of Table 3, and its two attention layers."""

import functools
import math

import keras
from keras import layers, ops

from xctrs_tf.geometry import NUM_CLASSES
from xctrs_tf.layers.basic_layers import Style, convolution, max_pool, transposed_convolution
from xctrs_tf.layers.blocks import residual, seq_conv
from xctrs_tf.layers.multiscale import hierarchical_decoder, scale_name
from xctrs_tf.models.compared.common import class_probabilities, ct_input
from xctrs_tf.models.sizes import check_size, scaled

FILTERS = (16, 32, 64, 128, 256)
# The query and both keys have an eighth of the channels.
_ATTENTION_DIVISOR = 8
# Kernels of the query and the two keys: each along another axis.
_ATTENTION_KERNELS = {"q": (1, 3, 1), "k": (3, 1, 1), "j": (1, 1, 3)}


def CS2Net(
    size=128,
    num_classes=NUM_CLASSES,
    width=1.0,
    *,
    filters=FILTERS,
    batch_size=None,
    name="cs2net",
):
    """Build CS2-Net in 3D: a residual U-Net with attention of positions and channels.

    With the default arguments it has 5,831,626 trainable parameters, where the
    paper's Table 3 has 5,831,628; the difference of two is unexplained. The attention
    is applied at the coarsest level, which has ``size / 16`` voxels a side.

    The layers are those of the original's 3D network, with a softmax over the
    classes in place of its final sigmoid. What else differs is in
    docs/compared_networks.md.

    Reference: L. Mou, Y. Zhao, H. Fu et al., "CS2-Net: deep learning
    segmentation of curvilinear structures in medical imaging", Medical Image
    Analysis 67, 2021. Licence of the original (github.com/iMED-Lab/CS-Net):
    MIT; this is an independent implementation.

    Args:
        size: voxels a side: 32, 64 or 128.
        num_classes: number of classes, background included.
        width: factor of all filters.
        filters: filters of each level before ``width`` is applied, finest first.
        batch_size: fixed batch size, for counting operations; None leaves it
            open.
        name: model name.

    Input shape:
        ``ct``: ``(batch, x, y, z, 1)``, intensities in [0, 1].

    Output shape:
        ``segmentation``: ``(batch, x, y, z, num_classes)``, probabilities in
        float32 that sum to 1.

    Returns:
        `keras.Model`.

    Raises:
        ValueError: if the size is not supported.

    Ge et al. (2022), Table 3.
    """
    check_size(size)
    style = Style(rank=3, normalization="batch", negative_slope=0.0)

    # === Functional model ===
    ct = x = ct_input(size, batch_size)
    skips = []
    for scale, level_filters in enumerate(filters):
        node = f"encoder_{scale_name(scale)}"
        if scale:
            x = max_pool(x, style, f"{node}_pool")
        x = _residual_block(x, scaled(level_filters, width), style, node)
        skips.append(x)
    skips[-1] = _attention(skips[-1], style, "attention")
    upsample = functools.partial(transposed_convolution, kernel_size=2)
    x = hierarchical_decoder(skips, style, "decoder", upsample)
    segmentation = class_probabilities(x, num_classes, style, "segmentation")
    return keras.Model(ct, segmentation, name=name)


def _residual_block(x, filters, style, name):
    return residual(
        x,
        lambda x: seq_conv(x, (filters, filters), style, name),
        style,
        name,
        shortcut=lambda x: convolution(x, filters, style, f"{name}_shortcut", kernel_size=1),
    )


def _attention(x, style, name):
    """Add both attentions, each of which contains its input, and the input twice."""
    channels = x.shape[-1]
    inputs = [
        convolution(
            x,
            max(1, channels // _ATTENTION_DIVISOR),
            style,
            f"{name}_{key}",
            kernel_size=kernel_size,
        )
        for key, kernel_size in _ATTENTION_KERNELS.items()
    ]
    inputs.append(convolution(x, channels, style, f"{name}_v", kernel_size=1))
    positions = PositionAttention(name=f"{name}_positions")([*inputs, x])
    between_channels = ChannelAttention(name=f"{name}_channels")(x)
    return layers.Add(name=f"{name}_sum")([positions, between_channels, x, x])


class _GatedAttention(keras.layers.Layer):
    """Base of the attentions: adds the attended feature, times a learned scalar.

    The scalar starts at 0, so that the layer starts as the identity.
    """

    def build(self, input_shape):
        """Create the scalar.

        Args:
            input_shape: not used.
        """
        self.gate = self.add_weight(name="gate", shape=(), initializer="zeros")
        self.built = True

    def _gated(self, attended, x):
        return self.gate * ops.reshape(attended, (-1, *x.shape[1:])) + x


@keras.saving.register_keras_serializable("xctrs_tf")
class PositionAttention(_GatedAttention):
    """Attention between positions: CS2-Net's spatial attention.

    The output is ``gate * A^T V + x`` with ``A = softmax((Q K^T) (J K^T))``, where
    the rows of Q, K, J and V are positions and the softmax runs along the rows of A:
    row i says to which positions the value of position i is distributed. Products
    and softmax are computed in float32 under every precision policy.

    Input shape:
        A list of q, k, j ``(batch, x, y, z, c)`` and v, x
        ``(batch, x, y, z, channels)``, spatial axes of fixed length.

    Output shape:
        Same as ``x``.
    """

    def call(self, inputs):
        """Attend within each patient.

        Args:
            inputs: list of the tensors q, k, j, v and x.

        Returns:
            Tensor of the shape of x.
        """
        *features, x = inputs
        q, k, j, v = (_rows(feature) for feature in features)
        keys = ops.swapaxes(k, 1, 2)
        scores = ops.matmul(ops.matmul(q, keys), ops.matmul(j, keys))
        weights = ops.softmax(scores, axis=-1)
        attended = ops.matmul(ops.swapaxes(weights, 1, 2), v)
        return self._gated(ops.cast(attended, x.dtype), x)


@keras.saving.register_keras_serializable("xctrs_tf")
class ChannelAttention(_GatedAttention):
    """Attention between channels: CS2-Net's channel attention.

    The output is ``gate * softmax(max(E) - E) F + x`` with
    ``E = (F F^T) (F F^T)``, where the rows of F are channels: a channel attends
    most to those that are least like it. In float32 like `PositionAttention`.

    Input shape:
        ``(batch, x, y, z, channels)``, spatial axes of fixed length.

    Output shape:
        Same as the input.
    """

    def call(self, inputs):
        """Attend within each patient.

        Args:
            inputs: tensor ``(batch, x, y, z, channels)``.

        Returns:
            Tensor of the same shape.
        """
        positions = _rows(inputs)  # (batch, positions, channels): F^T
        alike = ops.matmul(ops.swapaxes(positions, 1, 2), positions)
        energy = ops.matmul(alike, alike)
        weights = ops.softmax(ops.max(energy, axis=-1, keepdims=True) - energy, axis=-1)
        attended = ops.matmul(positions, ops.swapaxes(weights, 1, 2))
        return self._gated(ops.cast(attended, inputs.dtype), inputs)


def _rows(x):
    """Return a feature as ``(batch, positions, channels)`` in float32."""
    _, *spatial, channels = x.shape
    return ops.reshape(ops.cast(x, "float32"), (-1, math.prod(spatial), channels))
