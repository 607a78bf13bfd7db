"""The blocks that the networks are made of, each once for 2D and 3D.

Every function takes a tensor, a `Style` and a ``name`` prefix, and returns a
tensor. The layer names that follow from the prefix are part of the checkpoint
format. Channels come last.
"""

import dataclasses
import math

from keras import layers

from xctrs_tf.layers.normalization import FoldedGroupNormalization

_CONV = {2: layers.Conv2D, 3: layers.Conv3D}
_CONV_TRANSPOSE = {2: layers.Conv2DTranspose, 3: layers.Conv3DTranspose}
_UPSAMPLING = {
    # UpSampling2D alone has a choice of interpolation; nearest is its default.
    2: layers.UpSampling2D,
    3: layers.UpSampling3D,
}
_MAX_POOLING = {2: layers.MaxPooling2D, 3: layers.MaxPooling3D}

# Batches are small and runs short: the usual 0.99 would still remember the start.
_BATCH_MOMENTUM = 0.9


@dataclasses.dataclass(frozen=True)
class Style:
    """What the blocks of one network have in common.

    Attributes:
        rank: 2 for films, 3 for volumes.
        normalization: ``"instance"`` (SpaDRNet, Sect. 3.1), ``"group"``
            (MulSISNet, Sect. 3.1) or ``"batch"``.
        channels_per_group: for group normalisation.
        num_groups: for group normalisation with a fixed number of groups, or
            the largest one that divides it and the channels; takes the place
            of ``channels_per_group``.
        affine: whether instance and group normalisation have a gain and an
            offset.
        epsilon: of the normalisation.
        negative_slope: of LeakyReLU; 0 makes it ReLU.
    """

    rank: int
    normalization: str
    channels_per_group: int = 4
    num_groups: int | None = None
    affine: bool = True
    epsilon: float = 1e-5
    negative_slope: float = 0.2

    def __post_init__(self):
        if self.rank not in _CONV:
            raise ValueError(f"rank must be 2 or 3, not {self.rank}")
        if self.normalization not in ("instance", "group", "batch"):
            raise ValueError(
                f"normalization must be 'instance', 'group' or 'batch', not {self.normalization!r}"
            )


def convolution(x, filters, style, name, *, kernel_size=3, **options):
    """A "same" convolution of the style's rank; ``options`` are those of Keras."""
    return _CONV[style.rank](filters, kernel_size, padding="same", name=name, **options)(x)


def transposed_convolution(x, filters, style, name, *, kernel_size=3, strides=2, use_bias=True):
    """A "same" transposed convolution, which enlarges by ``strides``."""
    return _CONV_TRANSPOSE[style.rank](
        filters, kernel_size, strides=strides, padding="same", use_bias=use_bias, name=name
    )(x)


def max_pool(x, style, name):
    """Halve the resolution: the largest of 2 x 2 (x 2)."""
    return _MAX_POOLING[style.rank](2, name=name)(x)


def normalize(x, style, name):
    """Instance, group or batch normalisation."""
    channels = x.shape[-1]
    if style.normalization == "batch":
        return layers.BatchNormalization(
            momentum=_BATCH_MOMENTUM, epsilon=style.epsilon, name=name
        )(x)
    if style.normalization == "instance":
        groups = channels
    elif style.num_groups:
        groups = math.gcd(style.num_groups, channels)
    else:
        groups = max(1, channels // style.channels_per_group)
    return FoldedGroupNormalization(
        groups=groups, epsilon=style.epsilon, center=style.affine, scale=style.affine, name=name
    )(x)


def activate(x, style, name):
    """LeakyReLU or, with a slope of 0, ReLU."""
    if style.negative_slope == 0:
        return layers.ReLU(name=name)(x)
    return layers.LeakyReLU(negative_slope=style.negative_slope, name=name)(x)


def norm_act(x, style, name):
    """Normalisation and activation."""
    return activate(normalize(x, style, f"{name}_norm"), style, f"{name}_act")


def conv_norm_act(x, filters, style, name, **options):
    """Convolution, by default 3 wide with bias, normalisation, activation."""
    return norm_act(convolution(x, filters, style, f"{name}_conv", **options), style, name)


def norm_act_conv(x, filters, style, name, **options):
    """Pre-activation: normalisation, activation, convolution."""
    return convolution(norm_act(x, style, name), filters, style, f"{name}_conv", **options)


def residual(x, branch, style, name, *, shortcut=None, activation=True):
    """Residual block: a branch added to its input.

    Args:
        x: tensor ``(batch, *spatial, channels)``.
        branch: function from ``x`` to what is added.
        style: `Style` of the activation after the sum.
        name: prefix of the layer names.
        shortcut: function from ``x`` to a tensor of the branch's shape;
            without it ``x`` itself is added.
        activation: whether the sum is activated.

    Returns:
        Tensor of the branch's shape.
    """
    total = layers.Add(name=f"{name}_sum")([branch(x), shortcut(x) if shortcut else x])
    return activate(total, style, f"{name}_act") if activation else total


def seq_conv(x, filters, style, name):
    """SeqConv of Eq. 2, 3 and 8: sequential 3-wide convolutions.

    Args:
        x: tensor ``(batch, *spatial, channels)``.
        filters: the width of each convolution in turn, e.g. ``(32, 32)``.
        style: `Style`.
        name: prefix of the layer names.

    Returns:
        Tensor ``(batch, *spatial, filters[-1])``.
    """
    for index, width in enumerate(filters, start=1):
        x = conv_norm_act(x, width, style, f"{name}_{index}")
    return x


def d_conv(x, filters, style, name):
    """DConv of Eq. 2: a convolution with stride 2, then LeakyReLU.

    No bias and no normalisation: only so do the paper's counts come out.
    """
    x = convolution(x, filters, style, f"{name}_conv", strides=2, use_bias=False)
    return activate(x, style, f"{name}_act")


def u_conv(x, filters, style, name, *, use_bias=False, **options):
    """UConv of Eq. 9: transposed convolution with stride 2, normalisation, activation.

    ``options`` are those of `transposed_convolution`.
    """
    x = transposed_convolution(x, filters, style, f"{name}_conv", use_bias=use_bias, **options)
    return norm_act(x, style, name)


def down(x, filters, steps, style, name):
    """D of Eq. 3: from scale S down by ``2 ** steps``, to ``filters`` channels.

    One step is a DConv. Several steps are bare convolutions with stride 2 that
    keep the source's width until the last one, as in HRNet.
    """
    if steps == 1:
        return d_conv(x, filters, style, name)
    source_filters = x.shape[-1]
    for step in range(1, steps + 1):
        width = filters if step == steps else source_filters
        x = convolution(x, width, style, f"{name}_conv{step}", strides=2, use_bias=False)
    return x


def up(x, filters, steps, style, name):
    """U of Eq. 3: from scale S up by ``2 ** steps``, to ``filters`` channels.

    The 1-wide convolution and the normalisation run at the low resolution:
    nearest upsampling repeats values, which changes neither of the two, and
    the work is up to 512 times less.
    """
    x = convolution(x, filters, style, f"{name}_conv", kernel_size=1, use_bias=False)
    x = normalize(x, style, f"{name}_norm")
    return _UPSAMPLING[style.rank](2**steps, name=f"{name}_nearest")(x)
