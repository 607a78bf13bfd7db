"""Single-image tomography (SIT), a compared network of Table 2, and its upsampling layer."""

import keras
from keras import layers, ops

from xctrs_tf.layers.basic_layers import Style, convolution, max_pool
from xctrs_tf.layers.blocks import conv_norm_act, residual
from xctrs_tf.models.compared.common import ct_from_slices, film_inputs
from xctrs_tf.models.sizes import check_size, scaled

STEM_FILTERS = 64
# Filters of the two blocks at full resolution; all later blocks keep the last.
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
    """Build SIT: a 2D residual U-Net whose output channels are the depth.

    It uses the AP film alone; the LA film is an input without effect. With the
    default arguments it has the 8,354,112 trainable parameters of the paper's
    Table 2. The number of blocks follows from that count, their placement from
    the operations; see docs/compared_networks.md.

    Where the re-implementation named below differs from this network:

    * a film of 256 x 256 pixels and a stem of stride 2; here 128 x 128 and stride 1;
    * two more blocks of 128 channels before the first pooling;
    * 3, 3, 3 and 5 blocks after the poolings; here 1, 3, 4 and 5;
    * no convolution has a bias; here the last two have one;
    * a ReLU at the end; here none, so that values below 0 can occur;
    * initial kernels from N(0, 0.02) and gains of the normalisation from N(1, 0.02); here
      those of Keras.

    Reference: P. Henzler, V. Rasche, T. Ropinski and T. Ritschel,
    "Single-image tomography: 3D volumes from 2D cranial X-rays", Computer
    Graphics Forum 37 (2), 2018. Licence: no code of the authors is public; a
    re-implementation (github.com/kylekma/X2CT) is under the GPL or LGPL; its
    files differ. This is an independent implementation. The original's second
    stage, a fusion to high resolution, is not part of it.

    Args:
        size: pixels and voxels a side: 32, 64 or 128.
        width: factor of all filters but the last, which are the depth.
        num_blocks: residual blocks after each of the four poolings, finest level
            first.
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
    """Build a residual block of a 1-wide and two 3-wide convolutions."""
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


@keras.saving.register_keras_serializable("xctrs_tf")
class DoublingDepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """Depthwise transposed 4 x 4 convolution with stride 2, without bias.

    Keras has no such layer. This one inserts zeros between the pixels and applies
    a depthwise convolution. Along each axis a pixel contributes to the four
    nearest new pixels, so that the image is not shifted.

    Args:
        **kwargs: arguments of `keras.layers.DepthwiseConv2D`.

    Input shape:
        ``(batch, rows, columns, channels)``, of fixed lengths.

    Output shape:
        ``(batch, 2 * rows, 2 * columns, channels)``.
    """

    def __init__(self, **kwargs):
        fixed = {"kernel_size": 4, "padding": "same", "use_bias": False}
        super().__init__(**{**kwargs, **fixed})

    def call(self, inputs):
        """Enlarge one batch.

        Args:
            inputs: tensor ``(batch, rows, columns, channels)``.

        Returns:
            Tensor ``(batch, 2 * rows, 2 * columns, channels)``.
        """
        _, rows, columns, channels = inputs.shape
        # "Same" padding of a 4-wide kernel is 1 before and 2 after: with the pixel
        # second in each pair the result is centred.
        spread = ops.reshape(inputs, (-1, rows, 1, columns, 1, channels))
        spread = ops.pad(spread, ((0, 0), (0, 0), (1, 0), (0, 0), (1, 0), (0, 0)))
        return super().call(ops.reshape(spread, (-1, 2 * rows, 2 * columns, channels)))

    def compute_output_shape(self, input_shape):
        """Return the output shape: twice the rows and columns.

        Args:
            input_shape: tuple ``(batch, rows, columns, channels)``.

        Returns:
            Tuple of the same length.
        """
        batch, rows, columns, channels = input_shape
        return (batch, 2 * rows, 2 * columns, channels)
