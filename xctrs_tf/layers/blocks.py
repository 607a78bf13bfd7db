"""Building blocks of the networks, for 2D and 3D.

Every block is a function that takes a tensor, a `Style` and a ``name`` prefix,
and returns a tensor. The layer names made from the prefix are part of the
checkpoint format. Channels come last. ``*spatial`` stands for the two axes of a
film or the three axes of a volume.
"""

import dataclasses
import math

from keras import layers

from xctrs_tf.layers.normalization import FoldedGroupNormalization

_CONV = {2: layers.Conv2D, 3: layers.Conv3D}
_CONV_TRANSPOSE = {2: layers.Conv2DTranspose, 3: layers.Conv3DTranspose}
_UPSAMPLING = {
    # Nearest: the default of UpSampling2D, and the only choice of UpSampling3D.
    2: layers.UpSampling2D,
    3: layers.UpSampling3D,
}
_MAX_POOLING = {2: layers.MaxPooling2D, 3: layers.MaxPooling3D}

# Runs are short: with the usual 0.99 the statistics would still contain the
# first steps at the end.
_BATCH_MOMENTUM = 0.9


@dataclasses.dataclass(frozen=True)
class Style:
    """Settings that the blocks of one network share.

    Attributes:
        rank: 2 for films, 3 for volumes.
        normalization: ``"instance"`` (SpaDRNet), ``"group"`` (MulSISNet) or
            ``"batch"``.
        channels_per_group: channels of each group in group normalisation.
        num_groups: number of groups in group normalisation, used instead of
            ``channels_per_group``. Where it does not divide the channels, the
            greatest common divisor of the two is used.
        affine: if False, instance and group normalisation have no gain and no
            offset.
        epsilon: small number added to the variance.
        negative_slope: slope of LeakyReLU below 0; with 0 it is ReLU.

    Raises:
        ValueError: if the rank or the normalisation is not one of the above.

    Ge et al. (2022), Sect. 3.1.
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
    """Apply a convolution with "same" padding.

    Args:
        x: tensor ``(batch, *spatial, channels)``.
        filters: output channels.
        style: `Style`; its rank chooses ``Conv2D`` or ``Conv3D``.
        name: layer name.
        kernel_size: width of the kernel.
        **options: other arguments of the Keras layer, e.g. ``strides``.

    Returns:
        Tensor ``(batch, *spatial / strides, filters)``.
    """
    return _CONV[style.rank](filters, kernel_size, padding="same", name=name, **options)(x)


def transposed_convolution(x, filters, style, name, *, kernel_size=3, strides=2, use_bias=True):
    """Apply a transposed convolution with "same" padding.

    Args:
        x: tensor ``(batch, *spatial, channels)``.
        filters: output channels.
        style: `Style`; its rank chooses the Keras layer.
        name: layer name.
        kernel_size: width of the kernel.
        strides: factor of the enlargement.
        use_bias: add a bias.

    Returns:
        Tensor ``(batch, *spatial * strides, filters)``.
    """
    return _CONV_TRANSPOSE[style.rank](
        filters, kernel_size, strides=strides, padding="same", use_bias=use_bias, name=name
    )(x)


def max_pool(x, style, name):
    """Halve the resolution by max-pooling of 2 x 2 (x 2).

    Args:
        x: tensor ``(batch, *spatial, channels)``.
        style: `Style`; its rank chooses the Keras layer.
        name: layer name.

    Returns:
        Tensor ``(batch, *spatial / 2, channels)``.
    """
    return _MAX_POOLING[style.rank](2, name=name)(x)


def normalize(x, style, name):
    """Apply instance, group or batch normalisation.

    Args:
        x: tensor ``(batch, *spatial, channels)``.
        style: `Style`.
        name: layer name.

    Returns:
        Tensor of the same shape.

    Ge et al. (2022), Sect. 3.1.
    """
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
    """Apply LeakyReLU or, with a slope of 0, ReLU.

    Args:
        x: tensor of any shape.
        style: `Style`.
        name: layer name.

    Returns:
        Tensor of the same shape.
    """
    if style.negative_slope == 0:
        return layers.ReLU(name=name)(x)
    return layers.LeakyReLU(negative_slope=style.negative_slope, name=name)(x)


def norm_act(x, style, name):
    """Apply normalisation, then activation.

    Args:
        x: tensor ``(batch, *spatial, channels)``.
        style: `Style`.
        name: prefix of the layer names.

    Returns:
        Tensor of the same shape.
    """
    return activate(normalize(x, style, f"{name}_norm"), style, f"{name}_act")


def conv_norm_act(x, filters, style, name, **options):
    """Apply convolution, normalisation and activation.

    Args:
        x: tensor ``(batch, *spatial, channels)``.
        filters: output channels.
        style: `Style`.
        name: prefix of the layer names.
        **options: of `convolution`; by default 3 wide, stride 1, with bias.

    Returns:
        Tensor ``(batch, *spatial / strides, filters)``.
    """
    return norm_act(convolution(x, filters, style, f"{name}_conv", **options), style, name)


def norm_act_conv(x, filters, style, name, **options):
    """Apply normalisation, activation and convolution, in this order.

    Args:
        x: tensor ``(batch, *spatial, channels)``.
        filters: output channels.
        style: `Style`.
        name: prefix of the layer names.
        **options: of `convolution`; by default 3 wide, stride 1, with bias.

    Returns:
        Tensor ``(batch, *spatial / strides, filters)``.
    """
    return convolution(norm_act(x, style, name), filters, style, f"{name}_conv", **options)


def residual(x, branch, style, name, *, shortcut=None, activation=True):
    """Add a branch to its input.

    Args:
        x: tensor ``(batch, *spatial, channels)``.
        branch: function from ``x`` to the tensor that is added.
        style: `Style` of the activation after the sum.
        name: prefix of the layer names.
        shortcut: function from ``x`` to a tensor of the branch's shape; None
            stands for ``x`` itself.
        activation: apply the activation to the sum.

    Returns:
        Tensor of the branch's shape.
    """
    total = layers.Add(name=f"{name}_sum")([branch(x), shortcut(x) if shortcut else x])
    return activate(total, style, f"{name}_act") if activation else total


def seq_conv(x, filters, style, name):
    """Apply SeqConv: 3-wide convolutions one after the other.

    Each is followed by normalisation and activation.

    Args:
        x: tensor ``(batch, *spatial, channels)``.
        filters: output channels of each convolution, e.g. ``(32, 32)``.
        style: `Style`.
        name: prefix of the layer names.

    Returns:
        Tensor ``(batch, *spatial, filters[-1])``.

    Ge et al. (2022), Eq. 2, 3, 8, 9, 12, 13, 14.
    """
    for index, width in enumerate(filters, start=1):
        x = conv_norm_act(x, width, style, f"{name}_{index}")
    return x


def d_conv(x, filters, style, name):
    """Apply DConv: a 3-wide convolution with stride 2, then LeakyReLU.

    It has no bias and no normalisation; with either, the parameters and
    operations would differ from the paper's.

    Args:
        x: tensor ``(batch, *spatial, channels)``.
        filters: output channels.
        style: `Style`.
        name: prefix of the layer names.

    Returns:
        Tensor ``(batch, *spatial / 2, filters)``.

    Ge et al. (2022), Eq. 2, 13.
    """
    x = convolution(x, filters, style, f"{name}_conv", strides=2, use_bias=False)
    return activate(x, style, f"{name}_act")


def u_conv(x, filters, style, name, *, use_bias=False, **options):
    """Apply UConv: transposed convolution with stride 2, normalisation, activation.

    Args:
        x: tensor ``(batch, *spatial, channels)``.
        filters: output channels.
        style: `Style`.
        name: prefix of the layer names.
        use_bias: add a bias to the convolution.
        **options: of `transposed_convolution`; by default 3 wide, stride 2.

    Returns:
        Tensor ``(batch, *spatial * 2, filters)``.

    Ge et al. (2022), Eq. 9, 14.
    """
    x = transposed_convolution(x, filters, style, f"{name}_conv", use_bias=use_bias, **options)
    return norm_act(x, style, name)


def down(x, filters, steps, style, name):
    """Apply D: divide the resolution by ``2 ** steps``.

    One step is a `d_conv`. Several steps are 3-wide convolutions with stride 2
    and nothing between them; all but the last keep the channels of ``x``, as in
    HRNet.

    Args:
        x: tensor ``(batch, *spatial, channels)``.
        filters: output channels.
        steps: number of halvings, at least 1.
        style: `Style`.
        name: prefix of the layer names.

    Returns:
        Tensor ``(batch, *spatial / 2 ** steps, filters)``.

    Ge et al. (2022), Eq. 3, 8, 12.
    """
    if steps == 1:
        return d_conv(x, filters, style, name)
    source_filters = x.shape[-1]
    for step in range(1, steps + 1):
        width = filters if step == steps else source_filters
        x = convolution(x, width, style, f"{name}_conv{step}", strides=2, use_bias=False)
    return x


def up(x, filters, steps, style, name):
    """Apply U: multiply the resolution by ``2 ** steps``.

    A 1-wide convolution, normalisation and nearest upsampling. The first two run
    at the low resolution, where they cost up to 512 times less. The result is
    the same: upsampling repeats every value equally often, which changes
    neither mean nor variance.

    Args:
        x: tensor ``(batch, *spatial, channels)``.
        filters: output channels.
        steps: number of doublings, at least 1.
        style: `Style`.
        name: prefix of the layer names.

    Returns:
        Tensor ``(batch, *spatial * 2 ** steps, filters)``.

    Ge et al. (2022), Eq. 3, 8, 12.
    """
    x = convolution(x, filters, style, f"{name}_conv", kernel_size=1, use_bias=False)
    x = normalize(x, style, f"{name}_norm")
    return _UPSAMPLING[style.rank](2**steps, name=f"{name}_nearest")(x)
