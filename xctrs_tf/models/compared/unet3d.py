"""3D U-Net, a compared network of Table 3."""

import functools

import keras

from xctrs_tf.geometry import NUM_CLASSES
from xctrs_tf.layers.basic_layers import Style
from xctrs_tf.layers.blocks import conv_norm_act, seq_conv, u_conv
from xctrs_tf.layers.multiscale import hierarchical_decoder, scale_name
from xctrs_tf.models.compared.common import class_probabilities, ct_input
from xctrs_tf.models.sizes import check_size, scaled

FILTERS = (16, 32, 64, 128)


def UNet3D(
    size=128,
    num_classes=NUM_CLASSES,
    width=1.0,
    *,
    filters=FILTERS,
    batch_size=None,
    name="unet3d",
):
    """Build 3D U-Net: an encoder, a decoder, and skips between them.

    With the default arguments it has the 1,755,416 trainable parameters of the
    paper's Table 3. The filters, the convolutions with stride 2 in place of
    pooling, and group normalisation follow from that count; see
    docs/compared_networks.md.

    Reference: O. Cicek, A. Abdulkadir, S. S. Lienkamp, T. Brox and
    O. Ronneberger, "3D U-Net: learning dense volumetric segmentation from
    sparse annotation", MICCAI 2016. Licence: this is an independent implementation;
    public ones (github.com/wolny/pytorch-3dunet, github.com/ellisdg/3DUnetCNN)
    have the MIT licence and other widths.

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
    style = Style(rank=3, normalization="group")

    # === Functional model ===
    ct = x = ct_input(size, batch_size)
    skips = []
    for scale, level_filters in enumerate(filters):
        node = f"encoder_{scale_name(scale)}"
        if scale:
            x = conv_norm_act(x, x.shape[-1], style, f"{node}_down", strides=2)
        x = seq_conv(x, (scaled(level_filters, width),) * 2, style, node)
        skips.append(x)
    upsample = functools.partial(u_conv, use_bias=True)
    x = hierarchical_decoder(skips, style, "decoder", upsample)
    segmentation = class_probabilities(x, num_classes, style, "segmentation", kernel_size=3)
    return keras.Model(ct, segmentation, name=name)
