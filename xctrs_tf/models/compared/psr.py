"""Patient-specific reconstruction (PSR), a compared network of Table 2."""

import keras
from keras import layers

from xctrs_tf.layers.basic_layers import (
    Style,
    activate,
    convolution,
    normalize,
    transposed_convolution,
)
from xctrs_tf.layers.blocks import conv_norm_act, residual, u_conv
from xctrs_tf.layers.view_alignment import pixel_shuffle
from xctrs_tf.models.compared.common import ct_from_slices, film_inputs
from xctrs_tf.models.sizes import check_size, num_halvings, scaled

ENCODER_FILTERS = (256, 512, 1024, 2048, 4096)
GENERATOR_FILTERS = (1024, 512, 256, 128, 64)


def PSR(
    size=128,
    width=1.0,
    *,
    encoder_filters=ENCODER_FILTERS,
    generator_filters=GENERATOR_FILTERS,
    batch_size=None,
    name="psr",
):
    """Build PSR: a 2D encoder, a transform to 3D and a 3D generator.

    The two films are the channels of one image. With the default arguments it
    has 519,430,977 trainable parameters (2 GB in float32, three times that with
    Adam), where the paper's Table 2 has 519,432,132; see docs/compared_networks.md.

    Where the original's program differs from this network:

    * no convolution has a bias; here all have one;
    * no normalisation after the 2D transform; here batch normalisation;
    * the code has 2048 channels and a depth of 2, and one 3D convolution follows; here
      1024 channels, a depth of 4, and two convolutions;
    * the first doubling halves the channels; here it keeps them;
    * the volume has 64 slices, from which the last convolution makes any number; here
      as many as pixels;
    * initial kernels from a normal distribution of variance 2 / (positions of the kernel
      x output channels); here those of Keras.

    The channels of its code are in another order, and the 1-wide convolution of the
    volume is not a transposed one: both change the layout of the weights only.

    Reference: L. Shen, W. Zhao and L. Xing, "Patient-specific reconstruction
    of volumetric computed tomography images from a single projection view via
    deep learning", Nature Biomedical Engineering 3 (11), 2019. Licence of the
    original (github.com/liyues/PatRecon): none given; its README reserves the
    copyright for Stanford and permits research only. This is an independent
    implementation.

    Patent: the original's authors have applied for a patent on the method
    (US 12,023,192 B2, WO 2020/113148). Check it before you use this network for
    more than a comparison.

    Five halvings reduce the films to a code of 4 pixels a side at size 128, and of
    2 at size 64. At size 32 the fifth halving and the generator's first doubling
    are left out, so that the code keeps 2 pixels a side. In 3D the code has as
    many voxels as pixels a side, and accordingly fewer channels.

    Args:
        size: pixels and voxels a side: 32, 64 or 128.
        width: factor of all filters but the last, which are the depth.
        encoder_filters: filters of each halving before ``width`` is applied.
        generator_filters: filters of each doubling before ``width`` is applied.
        batch_size: fixed batch size, for counting operations; None leaves it
            open.
        name: model name.

    Input shape:
        A dict of ``ap``: ``(batch, x, z, 1)`` and ``la``: ``(batch, y, z, 1)``,
        films in [0, 1].

    Output shape:
        ``ct``: ``(batch, x, y, z, 1)`` in float32, trained on intensities in
        [0, 1].

    Returns:
        `keras.Model`.

    Raises:
        ValueError: if the size is not supported.

    Ge et al. (2022), Table 2.
    """
    check_size(size)
    style = Style(rank=2, normalization="batch", negative_slope=0.0)
    style3d = Style(rank=3, normalization="batch", negative_slope=0.0)
    steps = num_halvings(size, len(encoder_filters))
    keeps_all_steps = steps == len(encoder_filters)
    transform_filters = scaled(generator_filters[0], width)
    encoder_filters = [scaled(f, width) for f in encoder_filters[:steps]]
    generator_filters = [scaled(f, width) for f in generator_filters[-steps:]]

    # === Functional model ===
    films = film_inputs(size, batch_size)
    x = layers.Concatenate(name="films")([films["ap"], films["la"]])
    for step, filters in enumerate(encoder_filters, start=1):
        x = _halve(x, filters, style, f"encoder{step}", plain=step == 1)
    x = conv_norm_act(x, x.shape[-1], style, "transform2d", kernel_size=1)
    x = pixel_shuffle(x, size >> steps, "code")
    for index in (1, 2):
        x = _pointwise(x, transform_filters, style3d, f"transform3d_{index}")
    for step, filters in enumerate(generator_filters, start=1):
        node = f"generator{step}"
        x = u_conv(x, filters, style3d, f"{node}_up", kernel_size=4, use_bias=True)
        # The first doubling has no second convolution; at size 32 it is left out.
        if step > 1 or not keeps_all_steps:
            x = u_conv(x, filters, style3d, node, strides=1, use_bias=True)
    x = _pointwise(x, 1, style3d, "volume")
    x = layers.Reshape((size,) * 3, name="volume_slices")(x)
    x = convolution(x, size, style, "slices_conv", kernel_size=1)
    return keras.Model(films, ct_from_slices(x, size), name=name)


def _halve(x, filters, style, name, plain):
    """Build a convolution with stride 2 and a residual block.

    With ``plain`` the convolution has no normalisation and no activation.
    """
    options = {"kernel_size": 4, "strides": 2}
    if plain:
        x = convolution(x, filters, style, f"{name}_down", **options)
    else:
        x = conv_norm_act(x, filters, style, f"{name}_down", **options)

    def branch(x):
        return normalize(convolution(x, filters, style, f"{name}_conv"), style, f"{name}_norm")

    return residual(x, branch, style, name)


def _pointwise(x, filters, style, name):
    x = transposed_convolution(x, filters, style, f"{name}_conv", kernel_size=1, strides=1)
    return activate(x, style, f"{name}_act")
