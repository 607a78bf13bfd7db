"""DenseBiasNet, a compared network of Table 3."""

import keras
from keras import layers, ops

from xctrs_tf.geometry import NUM_CLASSES
from xctrs_tf.layers.basic_layers import Style, convolution, max_pool, transposed_convolution
from xctrs_tf.layers.blocks import conv_norm_act
from xctrs_tf.layers.multiscale import scale_name
from xctrs_tf.models.compared.common import class_probabilities, ct_input
from xctrs_tf.models.compared.linear_resampling import LinearUpSampling3D
from xctrs_tf.models.sizes import check_size, scaled

FILTERS = (16, 32, 64, 128)


def DenseBiasNet(
    size=128,
    num_classes=NUM_CLASSES,
    width=1.0,
    *,
    filters=FILTERS,
    bias_channels=2,
    bias_rate=None,
    merge=True,
    previous_bias=True,
    learned_resampling=True,
    head_kernel_size=3,
    batch_size=None,
    name="densebiasnet",
):
    """Build DenseBiasNet: every layer passes a few channels to all later layers.

    Fourteen convolutions, two per level on the way down and on the way up,
    without the skips of a U-Net. The input of layer k is the output of layer
    k - 1 and the "biases" of the layers before, resampled to its resolution.

    With the default arguments it has 1,568,788 trainable parameters, where the
    paper's Table 3 has 1,568,820. It is the design closest to that count, not a
    certain one (docs/compared_networks.md). The published variants are

    * ``state_a``: ``merge=False, previous_bias=False, learned_resampling=False``;
      1,529,240 parameters, 1,739,192 with ``bias_channels=4``;
    * ``_a``: the same with ``bias_rate=0.1`` (the rate in its file) and
      ``head_kernel_size=1``; 1,558,744 parameters at the rate 0.05.

    Reference: Y. He, G. Yang, Y. Chen et al., "DPA-DenseBiasNet:
    semi-supervised 3D fine renal artery segmentation with dense biased network
    and deep priori anatomy", MICCAI 2019. Its semi-supervised features are not
    part of the network. Licence of the original
    (github.com/YutingHe-list/DenseBiasNet-pytorch): none given; this is an
    independent implementation.

    Args:
        size: voxels a side: 32, 64 or 128.
        num_classes: number of classes, background included.
        width: factor of all filters but those of the biases.
        filters: filters of each level before ``width`` is applied, finest first.
        bias_channels: channels of every bias.
        bias_rate: channels of a bias as a share of the layer's channels, rounded,
            at least 1; None uses ``bias_channels``.
        merge: compute a bias from the layer's output by a 1-wide convolution
            without bias; False takes the output's first channels.
        previous_bias: add the bias of layer k - 1 to the input of layer k.
        learned_resampling: resample biases by plain and transposed convolutions
            of width and stride 2; False uses max-pooling and trilinear
            interpolation, as for the features.
        head_kernel_size: kernel size of the last convolution.
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
    style = Style(rank=3, normalization="group", negative_slope=0.0)
    num_levels = len(filters)
    levels = [*range(num_levels), *reversed(range(num_levels - 1))]

    # === Functional model ===
    ct = x = ct_input(size, batch_size)
    resample = _learned_resample if learned_resampling else _resample
    biases = []
    for index, level in enumerate(levels):
        node = f"level{index + 1}"
        if index:
            x = _resample(x, level > levels[index - 1], style, node)
        for layer in (f"{node}_1", f"{node}_2"):
            given = biases if previous_bias else biases[:-1]
            if given:
                here = [bias.at(level, resample, style) for bias in given]
                x = layers.Concatenate(name=f"{layer}_concat")([x, *here])
            x = conv_norm_act(x, scaled(filters[level], width), style, layer)
            channels = max(1, round(bias_rate * x.shape[-1])) if bias_rate else bias_channels
            biases.append(_Bias(_bias(x, channels, merge, style, f"{layer}_bias"), level, layer))
    segmentation = class_probabilities(
        x, num_classes, style, "segmentation", kernel_size=head_kernel_size
    )
    return keras.Model(ct, segmentation, name=name)


class _Bias:
    """A layer's bias, resampled to the levels that use it."""

    def __init__(self, x, level, name):
        self.level = level
        self.name = name
        self.versions = {level: x}

    def at(self, level, resample, style):
        """Return the bias at a level; every step of the resampling is built once."""
        if level not in self.versions:
            downwards = level > self.level
            source = self.at(level - 1 if downwards else level + 1, resample, style)
            name = f"{self.name}_bias_{scale_name(level)}"
            self.versions[level] = resample(source, downwards, style, name)
        return self.versions[level]


def _bias(x, channels, merge, style, name):
    if merge:
        return convolution(x, channels, style, name, kernel_size=1, use_bias=False)
    return ops.split(x, [channels], axis=-1)[0]


def _resample(x, downwards, style, name):
    if downwards:
        return max_pool(x, style, f"{name}_pool")
    return LinearUpSampling3D(name=f"{name}_up")(x)


def _learned_resample(x, downwards, style, name):
    filters = x.shape[-1]
    if downwards:
        return convolution(x, filters, style, f"{name}_down", kernel_size=2, strides=2)
    return transposed_convolution(x, filters, style, f"{name}_up", kernel_size=2)
