"""The blocks that the paper names, each once for 2D and 3D.

Every function takes a tensor, a `Style` and a ``name`` prefix, and returns a
tensor. The layer names that follow from the prefix are part of the checkpoint
format. Channels come last.
"""

import dataclasses

from keras import layers

from xctrs_tf.layers.normalization import FoldedGroupNormalization

_CONV = {2: layers.Conv2D, 3: layers.Conv3D}
_CONV_TRANSPOSE = {2: layers.Conv2DTranspose, 3: layers.Conv3DTranspose}
_UPSAMPLING = {
    # UpSampling2D alone has a choice of interpolation; nearest is its default.
    2: layers.UpSampling2D,
    3: layers.UpSampling3D,
}


@dataclasses.dataclass(frozen=True)
class Style:
    """What the blocks of one network have in common.

    Attributes:
        rank: 2 for films, 3 for volumes.
        normalization: ``"instance"`` (SpaDRNet, Sect. 3.1) or ``"group"``
            (MulSISNet, Sect. 3.1).
        channels_per_group: for group normalisation.
        epsilon: of the normalisation.
        negative_slope: of LeakyReLU.
    """

    rank: int
    normalization: str
    channels_per_group: int = 4
    epsilon: float = 1e-5
    negative_slope: float = 0.2

    def __post_init__(self):
        if self.rank not in _CONV:
            raise ValueError(f"rank must be 2 or 3, not {self.rank}")
        if self.normalization not in ("instance", "group"):
            raise ValueError(
                f"normalization must be 'instance' or 'group', not {self.normalization!r}"
            )


def convolution(x, filters, style, name, *, kernel_size=3, strides=1, use_bias=True):
    """A "same" convolution of the style's rank."""
    return _CONV[style.rank](
        filters, kernel_size, strides=strides, padding="same", use_bias=use_bias, name=name
    )(x)


def normalize(x, style, name):
    """Instance or group normalisation with affine parameters."""
    channels = x.shape[-1]
    if style.normalization == "instance":
        groups = channels
    else:
        groups = max(1, channels // style.channels_per_group)
    return FoldedGroupNormalization(groups=groups, epsilon=style.epsilon, name=name)(x)


def activate(x, style, name):
    """LeakyReLU."""
    return layers.LeakyReLU(negative_slope=style.negative_slope, name=name)(x)


def conv_norm_act(x, filters, style, name):
    """3-wide convolution with bias, normalisation, LeakyReLU."""
    x = convolution(x, filters, style, f"{name}_conv")
    x = normalize(x, style, f"{name}_norm")
    return activate(x, style, f"{name}_act")


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


def u_conv(x, filters, style, name):
    """UConv of Eq. 9: transposed convolution with stride 2, normalisation, LeakyReLU."""
    x = _CONV_TRANSPOSE[style.rank](
        filters, 3, strides=2, padding="same", use_bias=False, name=f"{name}_conv"
    )(x)
    x = normalize(x, style, f"{name}_norm")
    return activate(x, style, f"{name}_act")


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
