"""Blocks of several layers: the paper's, and those that compared networks share.

Every block is a function that takes a tensor, a `Style` and a ``name`` prefix,
and returns a tensor. The layer names made from the prefix are part of the
checkpoint format. Channels come last. ``*spatial`` stands for the two axes of a
film or the three axes of a volume.
"""

from keras import layers

from xctrs_tf.layers.basic_layers import (
    activate,
    convolution,
    normalize,
    transposed_convolution,
    upsample,
)


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
    if style.normalizes_channels:
        options["bias_gradient"] = False
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
    return upsample(x, 2**steps, style, f"{name}_nearest")
