"""Single Keras layers in 2D or 3D: convolution, sampling, normalisation, activation.

Every function takes a tensor, a `Style` and a layer name, and returns a tensor.
Layer names are part of the checkpoint format. Channels come last. ``*spatial``
stands for the two axes of a film or the three axes of a volume.
"""

import dataclasses
import math

from keras import initializers, layers

from xctrs_tf.layers.activations import LeakyReLU
from xctrs_tf.layers.convolutions import Convolution2D, Convolution3D
from xctrs_tf.layers.normalization import FoldedGroupNormalization
from xctrs_tf.layers.upsampling import NearestUpSampling2D, NearestUpSampling3D
from xctrs_tf.layers.weight_standardization import WeightStandardizedConv3D

_CONV = {2: Convolution2D, 3: Convolution3D}
_ZERO_PADDING = {2: layers.ZeroPadding2D, 3: layers.ZeroPadding3D}
_CROPPING = {2: layers.Cropping2D, 3: layers.Cropping3D}
_CONV_TRANSPOSE = {2: layers.Conv2DTranspose, 3: layers.Conv3DTranspose}
_UPSAMPLING = {2: NearestUpSampling2D, 3: NearestUpSampling3D}
_MAX_POOLING = {2: layers.MaxPooling2D, 3: layers.MaxPooling3D}

# Runs are short: with the usual 0.99 the statistics would still contain the
# first steps at the end.
_BATCH_MOMENTUM = 0.9
# Added to the variance by every normalisation.
_EPSILON = 1e-5


@dataclasses.dataclass(frozen=True)
class Style:
    """Settings that the layers of one network share.

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
        negative_slope: slope of LeakyReLU below 0; with 0 it is ReLU.
        initial_stddev: standard deviation of the normal distribution that the
            kernels are drawn from; None stands for the default of Keras.
        weight_standardization: standardise the weights of each filter of a 3D
            convolution (not of a transposed one).

    Raises:
        ValueError: if the rank or the normalisation is not one of the above, or for
            weight standardisation in 2D.

    Ge et al. (2022), Sect. 3.1.
    """

    rank: int
    normalization: str
    channels_per_group: int = 4
    num_groups: int | None = None
    affine: bool = True
    negative_slope: float = 0.2
    initial_stddev: float | None = None
    weight_standardization: bool = False

    def __post_init__(self):
        if self.rank not in _CONV:
            raise ValueError(f"rank must be 2 or 3, not {self.rank}")
        if self.normalization not in ("instance", "group", "batch"):
            raise ValueError(
                f"normalization must be 'instance', 'group' or 'batch', not {self.normalization!r}"
            )
        if self.weight_standardization and self.rank != 3:
            raise ValueError("weight standardisation is for rank 3 only")

    @property
    def normalizes_channels(self):
        """True if the normalisation takes away what was added to a whole channel."""
        return self.normalization in ("instance", "batch")

    def kernel_initializer(self):
        """Return the initializer of one layer's kernel.

        Every layer needs its own: one that is shared gives layers of the same shape
        the same values.
        """
        if self.initial_stddev is None:
            return "glorot_uniform"
        return initializers.RandomNormal(stddev=self.initial_stddev)


def convolution(x, filters, style, name, *, kernel_size=3, padding="same", **options):
    """Apply a convolution.

    Args:
        x: tensor ``(batch, *spatial, channels)``.
        filters: output channels.
        style: `Style`; chooses `Convolution2D`, `Convolution3D` or `WeightStandardizedConv3D`.
        name: layer name.
        kernel_size: width of the kernel.
        padding: ``"same"``, or the number of zeros before and after every spatial
            axis. With stride 2 and a 3-wide kernel the two differ: "same" pads at
            the end only.
        **options: other arguments of the Keras layer, e.g. ``strides``.

    Returns:
        Tensor ``(batch, *spatial / strides, filters)`` with "same" padding.
    """
    if padding != "same":
        x = _ZERO_PADDING[style.rank](padding, name=f"{name}_padding")(x)
        padding = "valid"
    kind = WeightStandardizedConv3D if style.weight_standardization else _CONV[style.rank]
    layer = kind(
        filters,
        kernel_size,
        padding=padding,
        kernel_initializer=style.kernel_initializer(),
        name=name,
        **options,
    )
    return layer(x)


def transposed_convolution(
    x, filters, style, name, *, kernel_size=3, strides=2, use_bias=True, padding="same"
):
    """Apply a transposed convolution.

    Args:
        x: tensor ``(batch, *spatial, channels)``.
        filters: output channels.
        style: `Style`; its rank chooses the Keras layer.
        name: layer name.
        kernel_size: width of the kernel.
        strides: factor of the enlargement.
        use_bias: add a bias.
        padding: ``"same"``, or the number of values that the full result, which
            is ``kernel_size - strides`` longer than the output, loses before every
            spatial axis; the others are lost at the end. With stride 2 and a 3-wide
            kernel "same" loses one at the end and ``padding=1`` one before.

    Returns:
        Tensor ``(batch, *spatial * strides, filters)``.
    """
    layer = _CONV_TRANSPOSE[style.rank](
        filters,
        kernel_size,
        strides=strides,
        padding="same" if padding == "same" else "valid",
        use_bias=use_bias,
        kernel_initializer=style.kernel_initializer(),
        name=name,
    )
    if padding == "same":
        return layer(x)
    cropping = ((padding, kernel_size - strides - padding),) * style.rank
    return _CROPPING[style.rank](cropping, name=f"{name}_cropping")(layer(x))


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


def upsample(x, factor, style, name):
    """Enlarge by nearest-neighbour upsampling.

    Args:
        x: tensor ``(batch, *spatial, channels)``.
        factor: whole number by which every spatial axis grows.
        style: `Style`; its rank chooses the Keras layer.
        name: layer name.

    Returns:
        Tensor ``(batch, *spatial * factor, channels)``.
    """
    return _UPSAMPLING[style.rank](factor, name=name)(x)


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
        return layers.BatchNormalization(momentum=_BATCH_MOMENTUM, epsilon=_EPSILON, name=name)(x)
    if style.normalization == "instance":
        groups = channels
    elif style.num_groups:
        groups = math.gcd(style.num_groups, channels)
    else:
        groups = max(1, channels // style.channels_per_group)
    return FoldedGroupNormalization(
        groups=groups, epsilon=_EPSILON, center=style.affine, scale=style.affine, name=name
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
    return LeakyReLU(negative_slope=style.negative_slope, name=name)(x)
