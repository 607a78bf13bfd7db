"""Single-image tomography (SIT), as compared with in Table 2."""

import keras
from keras import layers

from xctrs_tf.layers.blocks import Style, conv_norm_act, convolution, max_pool, residual
from xctrs_tf.models.compared.common import ct_from_slices, film_inputs
from xctrs_tf.models.compared.depthwise import DoublingDepthwiseConv2D
from xctrs_tf.models.sizes import check_size, scaled

STEM_FILTERS = 64
# What the two blocks at full resolution widen to; then the width stays.
FILTERS = (128, 256)
# Residual blocks after each pooling.
NUM_BLOCKS = (1, 3, 4, 5)


def SIT(
    size=128,
    width=1.0,
    *,
    num_blocks=NUM_BLOCKS,
    batch_size=None,
    name="sit",
):
    """Single-image tomography: a 2D residual U-Net whose channels become the depth.

    It sees one film; here the AP film, so that the LA input stays unused. With
    the default arguments it has the 8,354,112 trainable parameters of the
    paper's Table 2. The number of blocks follows from that count, their
    placement from the operations; see docs/baselines.md.

    Reference: P. Henzler, V. Rasche, T. Ropinski and T. Ritschel,
    "Single-image tomography: 3D volumes from 2D cranial X-rays", Computer
    Graphics Forum 37 (2), 2018. Licence: no code of the authors is public; a
    re-implementation (github.com/kylekma/X2CT) is under the GPL or LGPL, its
    files do not agree. This is an independent implementation. The original's
    second stage, a fusion to high resolution, is not part of it.

    Other arguments, input and output are those of every reconstruction network of
    `xctrs_tf.models.compared`. Four poolings lead to
    ``size / 16`` pixels a side at every size; the last width is the depth,
    whatever ``width`` is.

    Args:
        num_blocks: residual blocks after each pooling, finest level first.
    """
    check_size(size)
    style = Style(rank=2, normalization="batch", negative_slope=0.0)

    # === Functional model ===
    films = film_inputs(size, batch_size)
    stem_filters = scaled(STEM_FILTERS, width)
    x = conv_norm_act(films["ap"], stem_filters, style, "stem", kernel_size=7, use_bias=False)
    for index, filters in enumerate(FILTERS, start=1):
        x = _bottleneck(x, scaled(filters, width), style, f"encoder0_{index}")
    skips = []
    for level, blocks in enumerate(num_blocks, start=1):
        skips.append(x)
        x = max_pool(x, style, f"encoder{level}_pool")
        for index in range(1, blocks + 1):
            x = _bottleneck(x, x.shape[-1], style, f"encoder{level}_{index}")
    for level, skip in reversed(list(enumerate(skips))):
        x = DoublingDepthwiseConv2D(name=f"decoder{level}_up")(x)
        x = layers.Add(name=f"decoder{level}_skip")([x, skip])
        if level:
            x = _bottleneck(x, x.shape[-1], style, f"decoder{level}")
    x = conv_norm_act(x, x.shape[-1], style, "out", kernel_size=1)
    x = convolution(x, size, style, "slices_conv", kernel_size=1)
    return keras.Model(films, ct_from_slices(x, size), name=name)


def _bottleneck(x, filters, style, name):
    """Residual block of a 1-wide and two 3-wide convolutions."""
    keeps = x.shape[-1] == filters
    inner = filters // 2 if keeps else x.shape[-1]

    def branch(x):
        widths_and_kernels = ((inner, 1), (inner, 3), (filters, 3))
        for index, (width, kernel_size) in enumerate(widths_and_kernels, start=1):
            node = f"{name}_{index}"
            x = conv_norm_act(x, width, style, node, kernel_size=kernel_size, use_bias=False)
        return x

    def shortcut(x):
        return conv_norm_act(x, filters, style, f"{name}_skip", kernel_size=1, use_bias=False)

    return residual(x, branch, style, name, shortcut=None if keeps else shortcut)
