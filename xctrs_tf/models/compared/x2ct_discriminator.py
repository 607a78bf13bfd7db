"""Discriminator that X2CT-GAN's generator is trained against."""

import keras
from keras import layers

from xctrs_tf.geometry import VIEWS
from xctrs_tf.layers.basic_layers import Style, activate, convolution
from xctrs_tf.layers.blocks import conv_norm_act
from xctrs_tf.layers.view_alignment import align_view, repeat_along_rays
from xctrs_tf.models.compared.common import ct_input, film_inputs, float32_output
from xctrs_tf.models.compared.x2ctgan import INITIAL_STDDEV
from xctrs_tf.models.sizes import check_size, scaled

FILTERS = (64, 128, 256, 512)
_STRIDES = (2, 2, 2, 1)


def X2CTDiscriminator(
    size=128,
    width=1.0,
    *,
    filters=FILTERS,
    batch_size=None,
    name="x2ct_discriminator",
):
    """Build X2CT-GAN's discriminator, a 3D PatchGAN.

    Given the films, it tells patches of a patient's CT from those of a
    reconstruction. The films are repeated along their rays and are further
    channels of the CT. Every convolution is 4 wide, with two zeros on both sides
    of every axis. With the default arguments it has 11,055,169 trainable parameters.
    With the same weights it gives the scores of the original, whose input has the CT as
    its last channel and whose arrays run z, y, x. Reference and licence are those of
    `xctrs_tf.models.compared.x2ctgan.X2CTGAN`.

    Args:
        size: pixels and voxels a side: 32, 64 or 128.
        width: factor of all filters.
        filters: filters of each convolution but the last before ``width`` is
            applied.
        batch_size: fixed batch size, for counting operations; None leaves it
            open.
        name: model name.

    Input shape:
        A dict of ``ct``: ``(batch, x, y, z, 1)``, ``ap``: ``(batch, x, z, 1)``
        and ``la``: ``(batch, y, z, 1)``, every axis of length ``size``.

    Output shape:
        ``(batch, n, n, n, 1)`` in float32, with n = 19, 11 and 7 at size 128, 64
        and 32: a score per patch, not bounded; `xctrs_tf.losses.compared.discriminator_loss` trains
        it towards 1 for a patient's CT and towards 0 for a reconstruction.

    Returns:
        `keras.Model`.

    Raises:
        ValueError: if the size is not supported.
    """
    check_size(size)
    style = Style(rank=3, normalization="instance", affine=False, initial_stddev=INITIAL_STDDEV)

    # === Functional model ===
    inputs = {"ct": ct_input(size, batch_size), **film_inputs(size, batch_size)}
    volumes = [
        align_view(repeat_along_rays(inputs[view], size, f"{view}_rays"), view, f"align_{view}")
        for view in VIEWS
    ]
    x = layers.Concatenate(name="inputs")([inputs["ct"], *volumes])
    for index, (layer_filters, strides) in enumerate(zip(filters, _STRIDES, strict=True), start=1):
        node, options = f"layer{index}", {"kernel_size": 4, "strides": strides, "padding": 2}
        layer_filters = scaled(layer_filters, width)
        if index == 1:
            x = convolution(x, layer_filters, style, f"{node}_conv", **options)
            x = activate(x, style, f"{node}_act")
        else:
            x = conv_norm_act(x, layer_filters, style, node, use_bias=False, **options)
    x = convolution(x, 1, style, "score_conv", kernel_size=4, padding=2)
    return keras.Model(inputs, float32_output(x, "score"), name=name)
