"""Context residual network (ConResNet), a compared network of Table 3."""

import dataclasses

from keras import layers

from xctrs_tf.geometry import NUM_CLASSES
from xctrs_tf.layers.basic_layers import Style, convolution
from xctrs_tf.layers.blocks import norm_act, norm_act_conv, residual
from xctrs_tf.layers.slice_difference import SliceDifference
from xctrs_tf.models.compared.common import class_probabilities, ct_input, segmentation_model
from xctrs_tf.models.compared.linear_resampling import LinearDownSampling3D, LinearUpSampling3D
from xctrs_tf.models.sizes import check_size, scaled

FILTERS = (32, 64, 128, 256)
_NUM_BLOCKS = (1, 2, 2, 2)
_BOTTLENECK_BLOCKS = 2
_BOTTLENECK_DILATION = 2
_DROPOUT = 0.1
# Every decoder level has a residual head, named by the divisor of the level's
# resolution; the residual path starts at a quarter of the resolution.
_RESIDUAL_DIVISORS = (4, 2, 1)


def ConResNet(
    size=128,
    num_classes=NUM_CLASSES,
    width=1.0,
    *,
    filters=FILTERS,
    training_heads=False,
    batch_size=None,
    name="conresnet",
):
    """Build ConResNet: segment, guided by the differences between axial slices.

    With ``training_heads=True`` and otherwise default arguments it has the
    19,175,488 trainable parameters of the paper's Table 3. Biases and the
    3-wide convolution of the difference follow from that count; see
    docs/compared_networks.md.

    Reference: J. Zhang, Y. Xie, Y. Wang and Y. Xia, "Inter-slice context
    residual learning for 3D medical image segmentation", IEEE Transactions on
    Medical Imaging 40 (2), 2021. Licence of the original
    (github.com/jianpengz/ConResNet): GPL-3.0; this is an independent
    implementation and contains none of it. As there, all convolutions but the
    heads standardise their weights.

    Args:
        size: voxels a side: 32, 64 or 128.
        num_classes: number of classes, background included.
        width: factor of all filters.
        filters: filters of each level before ``width`` is applied, finest first.
        training_heads: add the residual outputs, which only
            `xctrs_tf.losses.compared.conresnet_objective` needs. The residual
            path itself is part of the network in both cases.
        batch_size: fixed batch size, for counting operations; None leaves it
            open.
        name: model name.

    Input shape:
        ``ct``: ``(batch, x, y, z, 1)``, intensities in [0, 1].

    Output shape:
        ``segmentation``: ``(batch, x, y, z, num_classes)``, probabilities in
        float32 that sum to 1.
        With ``training_heads`` a dict of ``segmentation`` and, of the same
        shape, ``residual1``, ``residual2`` and ``residual4``: for each class and
        voxel the probability that the label differs from the slice below, from
        features at 1, 1/2 and 1/4 of the resolution.

    Returns:
        `keras.Model`.

    Raises:
        ValueError: if the size is not supported.

    Ge et al. (2022), Table 3.
    """
    check_size(size)
    style = Style(
        rank=3,
        normalization="group",
        num_groups=8,
        negative_slope=0.0,
        weight_standardization=True,
    )
    head_style = dataclasses.replace(style, weight_standardization=False)
    filters = [scaled(f, width) for f in filters]

    # === Functional model ===
    ct = ct_input(size, batch_size)
    *skips, x = _encoder(ct, filters, style)
    x = layers.SpatialDropout3D(_DROPOUT, name="fusion_dropout")(norm_act(x, style, "fusion"))
    x = convolution(x, filters[2], style, "fusion_conv")
    change = SliceDifference(name="slice_difference")(ct)
    change = LinearDownSampling3D(_RESIDUAL_DIVISORS[0], name="slice_difference_s4")(change)

    outputs = {}
    decoder_filters = (filters[1], filters[0], filters[0])
    for divisor, skip, level_filters in zip(
        _RESIDUAL_DIVISORS, reversed(skips), decoder_filters, strict=True
    ):
        node = f"decoder_s{divisor}"
        x = LinearUpSampling3D(name=f"{node}_up")(x)
        x = layers.Add(name=f"{node}_skip")([x, skip])
        if divisor != _RESIDUAL_DIVISORS[0]:
            change = LinearUpSampling3D(name=f"{node}_residual_up")(change)
        x, change = _context_residual(x, change, level_filters, style, node)
        outputs[f"residual{divisor}"] = _residual_head(change, divisor, num_classes, head_style)
    outputs["segmentation"] = class_probabilities(x, num_classes, head_style, "segmentation")
    return segmentation_model(ct, outputs, training_heads, name)


def _encoder(x, filters, style):
    """Return the features of each level, finest first."""
    features = []
    for level, (level_filters, num_blocks) in enumerate(zip(filters, _NUM_BLOCKS, strict=True)):
        node = f"encoder_s{2**level}"
        if level:
            x = norm_act_conv(x, level_filters, style, f"{node}_down", strides=2, padding=1)
        else:
            x = convolution(x, level_filters, style, "stem")
        for block in range(1, num_blocks + 1):
            x = _residual_block(x, style, f"{node}_block{block}")
        features.append(x)
    for block in range(1, _BOTTLENECK_BLOCKS + 1):
        x = _residual_block(x, style, f"bottleneck_block{block}", _BOTTLENECK_DILATION)
    return [*features[:-1], x]


def _residual_block(x, style, name, dilation_rate=1):
    def branch(y):
        for index in (1, 2):
            y = norm_act_conv(y, x.shape[-1], style, f"{name}_{index}", dilation_rate=dilation_rate)
        return y

    return residual(x, branch, style, name, activation=False)


def _context_residual(x, change, filters, style, name):
    """Build one decoder level of the segmentation path and the residual path.

    The difference between the slices of ``x`` is added to ``change``; a sigmoid of
    the sum then weights ``x``.

    Args:
        x: segmentation feature ``(batch, x, y, z, channels)``.
        change: residual feature of the same resolution, or the 1-channel
            residual input.
        filters: channels of both results.
        style: `Style`.
        name: prefix of the layer names.

    Returns:
        ``(x, change)``, each ``(batch, x, y, z, filters)``.
    """
    x = norm_act_conv(x, filters, style, f"{name}_segmentation")
    difference = layers.Activation("sigmoid", name=f"{name}_probability")(x)
    difference = SliceDifference(name=f"{name}_difference")(difference)
    difference = convolution(difference, filters, style, f"{name}_difference_conv")
    if change.shape[-1] == 1:
        change = convolution(change, filters, style, f"{name}_residual_conv")
    elif change.shape[-1] != filters:
        change = norm_act_conv(change, filters, style, f"{name}_residual")
    change = layers.Add(name=f"{name}_residual_sum")([change, difference])
    change = norm_act_conv(change, filters, style, f"{name}_residual_out")
    gate = layers.Activation("sigmoid", name=f"{name}_gate")(change)
    gated = layers.Multiply(name=f"{name}_gated")([x, gate])
    return layers.Add(name=f"{name}_sum")([x, gated]), change


def _residual_head(change, divisor, num_classes, style):
    name = f"residual{divisor}"
    x = convolution(change, num_classes, style, f"{name}_head", kernel_size=1)
    if divisor > 1:
        x = LinearUpSampling3D(divisor, name=f"{name}_up")(x)
    return layers.Activation("sigmoid", dtype="float32", name=name)(x)
