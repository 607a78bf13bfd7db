"""CS2-Net, as compared with in Table 3."""

import functools

import keras
from keras import layers

from xctrs_tf.geometry import NUM_CLASSES
from xctrs_tf.layers.blocks import (
    Style,
    convolution,
    max_pool,
    residual,
    seq_conv,
    transposed_convolution,
)
from xctrs_tf.layers.multiscale import hierarchical_decoder, scale_name
from xctrs_tf.models.compared.attention import ChannelAttention, PositionAttention
from xctrs_tf.models.compared.common import class_probabilities, ct_input
from xctrs_tf.models.sizes import check_size, scaled

FILTERS = (16, 32, 64, 128, 256)
# Queries and keys have an eighth of the channels.
_ATTENTION_DIVISOR = 8
# Each of the three looks along an axis of its own.
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
    """CS2-Net in 3D: a residual U-Net with attention of positions and channels.

    With the default arguments it has 5,831,626 trainable parameters where the
    paper's Table 3 has 5,831,628; the two are unexplained (docs/baselines.md).

    Reference: L. Mou, Y. Zhao, H. Fu et al., "CS2-Net: deep learning
    segmentation of curvilinear structures in medical imaging", Medical Image
    Analysis 67, 2021. Licence of the original (github.com/iMED-Lab/CS-Net):
    MIT; this is an independent implementation. Its
    attention sees ``size / 16`` voxels a side.

    Other arguments, input and output are those of every segmentation network of
    `xctrs_tf.models.compared`.

    Args:
        filters: width of each level before ``width`` is applied, finest first.
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
    """The sum of both attentions and twice their input."""
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
