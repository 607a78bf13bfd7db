"""DenseBiasNet, as compared with in Table 3."""

import keras
from keras import layers, ops

from xctrs_tf.geometry import NUM_CLASSES
from xctrs_tf.layers.blocks import (
    Style,
    conv_norm_act,
    convolution,
    max_pool,
    transposed_convolution,
)
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
    """Densely biased network: every layer hands a few channels to all later ones.

    An hourglass of fourteen convolutions, two a level on the way down and up,
    without the skips of a U-Net. Beside its feature each layer k takes in the
    "biases" of the layers before k - 1, brought to its resolution.

    With the default arguments it has 1,568,788 trainable parameters where the
    paper's Table 3 has 1,568,820: the reading closest to that count, not a
    certain one (docs/baselines.md). The published variants are

    * ``state_a``: ``merge=False, previous_bias=False, learned_resampling=False,
      head_kernel_size=1``; 1,525,912 parameters, 1,735,864 with
      ``bias_channels=4``;
    * ``_a`` with a rate: the same with ``bias_rate=0.05, head_kernel_size=3``;
      1,562,072 parameters.

    Reference: Y. He, G. Yang, Y. Chen et al., "DPA-DenseBiasNet:
    semi-supervised 3D fine renal artery segmentation with dense biased network
    and deep priori anatomy", MICCAI 2019. Its semi-supervised features are not
    part of the network. Licence of the original
    (github.com/YutingHe-list/DenseBiasNet-pytorch): none given; this is an
    independent implementation.

    Other arguments, input and output are those of every segmentation network of
    `xctrs_tf.models.compared`. ``width`` leaves the biases alone.

    Args:
        filters: width of each level before ``width`` is applied, finest first.
        bias_channels: channels of every bias.
        bias_rate: takes the place of ``bias_channels``: that part of the
            layer's channels, rounded, at least 1.
        merge: whether a bias is a 1-wide convolution without bias of the
            layer's output, or its first channels.
        previous_bias: whether layer k takes in the bias of layer k - 1 too.
        learned_resampling: whether biases change resolution by convolutions of
            width and stride 2, plain and transposed, or by max-pooling and
            trilinear interpolation, as the features do.
        head_kernel_size: of the last convolution.
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
    """What a layer hands on, at every level where it has been asked for."""

    def __init__(self, x, level, name):
        self.level = level
        self.name = name
        self.versions = {level: x}

    def at(self, level, resample, style):
        """The bias at a level, in steps from the layer's own; each step is taken once."""
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
