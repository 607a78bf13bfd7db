"""Generator of X2CT-GAN, a compared network of Table 2."""

import dataclasses

import keras
from keras import layers, ops

from xctrs_tf.geometry import VIEWS
from xctrs_tf.layers.basic_layers import Style, activate, convolution
from xctrs_tf.layers.blocks import conv_norm_act, norm_act, norm_act_conv, seq_conv, u_conv
from xctrs_tf.layers.multiscale import scale_name
from xctrs_tf.layers.view_alignment import align_view, repeat_along_rays, view_of
from xctrs_tf.models.compared.common import film_inputs, float32_output
from xctrs_tf.models.sizes import check_size, num_halvings, scaled

STEM_FILTERS = 64
GROWTH = 32
DENSE_LAYERS = (6, 12, 24, 16, 6)
# Filters of every level of the 3D decoders, finest first, and of the code.
DECODER_FILTERS = (16, 16, 32, 64, 128, 256)
# Filters of a dense layer's bottleneck, in multiples of the growth.
_BOTTLENECK = 4
_DROPOUT = 0.5

# Standard deviation of the kernels' initial values, those of the discriminator too.
INITIAL_STDDEV = 0.02

_FILM_STYLE = Style(
    rank=2,
    normalization="instance",
    affine=False,
    negative_slope=0.0,
    initial_stddev=INITIAL_STDDEV,
)
_VOLUME_STYLE = dataclasses.replace(_FILM_STYLE, rank=3)


def X2CTGAN(
    size=128,
    width=1.0,
    *,
    growth=GROWTH,
    dense_layers=DENSE_LAYERS,
    decoder_filters=DECODER_FILTERS,
    shared_views=False,
    training_heads=False,
    batch_size=None,
    name="x2ctgan",
):
    """Build X2CT-GAN's generator: an encoder and a decoder per view, and one for both.

    A DenseNet encodes each film. Its features reach the view's 3D decoder
    through a fully connected layer (connection A) and as skips that are repeated
    along the rays (connection B). At every level the features of the two
    decoders are brought to the axes of the CT and averaged; the average replaces
    both and is the input of the third decoder (connection C), whose output is
    the CT.

    With ``training_heads=True`` and otherwise default arguments it has the
    61,740,467 trainable parameters of the published two-view generator;
    without, 24,834 fewer: the last layers of the views' decoders. The paper's
    Table 2 has 23,564,691 and does not say how. The closest known reduction is
    ``growth=24, shared_views=True, decoder_filters=(8, 16, 32, 64, 128, 256)``
    with 23,587,431; it is fitted to the count and proves nothing
    (docs/compared_networks.md).

    With the weights of the published two-view generator it gives the same CT. Convolutions
    of stride 2 have their zero, and transposed ones lose their voxel, before the image
    and not, as "same" padding has it, behind it. Only the order of the weights differs:
    arrays run z, y, x there; the code of connection A has its channels first; and the
    fused decoder concatenates the average before its own feature.

    Reference: X. Ying, H. Guo, K. Ma, J. Wu, Z. Weng and Y. Zheng, "X2CT-GAN:
    reconstructing CT from biplanar X-rays with generative adversarial
    networks", CVPR 2019. Licence of the original (github.com/kylekma/X2CT):
    GPLv3 by its headers, LGPL-3.0 by its licence file; this is an independent
    implementation and contains none of it.

    Five halvings lead to a code of 4 voxels a side at size 128, and of 2 at size
    64. At size 32 the last dense block and the decoders' coarsest level are left
    out, so that the code keeps 2 voxels a side.

    Args:
        size: pixels and voxels a side: 32, 64 or 128.
        width: factor of all filters.
        growth: channels that each layer of a dense block adds.
        dense_layers: number of layers of each dense block.
        decoder_filters: filters of every level of the decoders, finest first,
            and of the code, before ``width`` is applied.
        shared_views: use one encoder and one decoder for both views.
        training_heads: add the reconstructions ``ct_ap`` and ``ct_la`` of the
            two views' decoders.
        batch_size: fixed batch size, for counting operations; None leaves it
            open.
        name: model name.

    Input shape:
        A dict of ``ap``: ``(batch, x, z, 1)`` and ``la``: ``(batch, y, z, 1)``,
        films in [0, 1].

    Output shape:
        ``ct``: ``(batch, x, y, z, 1)`` in float32, at least 0, trained on
        intensities in [0, 1].
        With ``training_heads`` a dict of ``ct`` and, of the same shape and in the
        same axes, ``ct_ap`` and ``ct_la``.

    Returns:
        `keras.Model`.

    Raises:
        ValueError: if the size is not supported.

    Ge et al. (2022), Table 2.
    """
    check_size(size)
    steps = num_halvings(size, len(dense_layers))
    filters = [scaled(f, width) for f in (*decoder_filters[:steps], decoder_filters[-1])]
    growth = scaled(growth, width)

    # === Functional model ===
    films = film_inputs(size, batch_size)
    branches = _branches(films, shared_views)
    features = {
        branch: _encoder(film, growth, dense_layers[:steps], width, f"{branch}_encoder")
        for branch, film in branches.items()
    }
    streams = {
        branch: _connection_a(levels.pop(), size >> steps, filters[-1], f"{branch}_code")
        for branch, levels in features.items()
    }
    x, streams = _connection_c(streams, "code")
    for level in reversed(range(steps)):
        scale = scale_name(level)
        for branch, levels in features.items():
            node = f"{branch}_{scale}"
            link = _connection_b(levels[level], size >> level, filters[level], f"{node}_link")
            streams[branch] = _merge(streams[branch], link, node)
        mean, streams = _connection_c(streams, scale)
        x = _refine(_merge(x, mean, f"fused_{scale}"), 1, f"fused_{scale}")
        for branch, stream in streams.items():
            # At full resolution all decoders have one convolution.
            streams[branch] = _refine(stream, 2 if level else 1, f"{branch}_{scale}")

    outputs = {"ct": float32_output(_volume(x, "fused"), "ct")}
    volumes = {branch: _volume(stream, branch) for branch, stream in streams.items()}
    for view, volume in _views(volumes).items():
        aligned = align_view(volume, view, f"align_{view}")
        outputs[f"ct_{view}"] = float32_output(aligned, f"ct_{view}")
    return keras.Model(films, outputs if training_heads else outputs["ct"], name=name)


def _branches(views, shared):
    """Return the input of each branch of the network, as a dict.

    One tensor per view; if the views share weights, one tensor ``views`` with both
    stacked along the batch. Instance normalisation keeps the samples apart.
    """
    if not shared:
        return dict(views)
    return {"views": ops.concatenate([views[view] for view in VIEWS], axis=0)}


def _views(branches):
    """Return the tensor of each view: the inverse of `_branches`."""
    if "views" not in branches:
        return branches
    return dict(zip(VIEWS, ops.split(branches["views"], 2, axis=0), strict=True))


def _encoder(film, growth, dense_layers, width, name):
    """Build a film's DenseNet; return the feature of every level, finest first, and the code."""
    x = ops.pad(film, ((0, 0), (3, 3), (3, 3), (0, 0)), mode="reflect")
    x = layers.Conv2D(
        scaled(STEM_FILTERS, width),
        7,
        kernel_initializer=_FILM_STYLE.kernel_initializer(),
        name=f"{name}_stem_conv",
    )(x)
    x = norm_act(x, _FILM_STYLE, f"{name}_stem")
    features = [x]
    for step, num_layers in enumerate(dense_layers, start=1):
        node = f"{name}_block{step}"
        x = norm_act_conv(x, x.shape[-1], _FILM_STYLE, f"{node}_down", strides=2, padding=1)
        for index in range(1, num_layers + 1):
            x = _dense_layer(x, growth, f"{node}_{index}")
        if step < len(dense_layers):
            x = norm_act_conv(x, x.shape[-1] // 2, _FILM_STYLE, f"{node}_half", kernel_size=1)
        features.append(x)
    return features


def _dense_layer(x, growth, name):
    new = norm_act_conv(x, _BOTTLENECK * growth, _FILM_STYLE, f"{name}_1", kernel_size=1)
    new = norm_act_conv(new, growth, _FILM_STYLE, f"{name}_2")
    return layers.Concatenate(name=f"{name}_concat")([x, new])


def _connection_a(x, size, filters, name):
    """Turn a film's code into a volume ``(batch, size, size, size, filters)`` by a dense layer."""
    x = layers.GlobalAveragePooling2D(name=f"{name}_mean")(x)
    x = layers.Dense(
        size**3 * filters,
        kernel_initializer=_FILM_STYLE.kernel_initializer(),
        name=f"{name}_dense",
    )(x)
    x = layers.Dropout(_DROPOUT, name=f"{name}_dropout")(x)
    x = activate(x, _VOLUME_STYLE, f"{name}_act")
    return layers.Reshape((size, size, size, filters), name=f"{name}_volume")(x)


def _connection_b(x, size, filters, name):
    """Turn a film's feature into a volume in the view's axes: repeat along the rays, convolve."""
    x = conv_norm_act(x, filters, _FILM_STYLE, f"{name}_film", kernel_size=1)
    x = repeat_along_rays(x, size, name)
    return conv_norm_act(x, filters, _VOLUME_STYLE, f"{name}_volume")


def _connection_c(streams, name):
    """Return the mean of the views in the axes of the CT, and the same for every branch."""
    views = _views(streams)
    aligned = [align_view(x, view, f"{name}_align_{view}") for view, x in views.items()]
    mean = layers.Average(name=f"{name}_mean")(aligned)
    back = {view: view_of(mean, view, f"{name}_{view}") for view in views}
    return mean, _branches(back, "views" in streams)


def _merge(x, skip, name):
    """Double the resolution, concatenate the skip and halve the channels."""
    filters = skip.shape[-1]
    x = u_conv(x, filters, _VOLUME_STYLE, f"{name}_up", use_bias=True, padding=1)
    x = layers.Concatenate(name=f"{name}_concat")([x, skip])
    return conv_norm_act(x, filters, _VOLUME_STYLE, f"{name}_merge")


def _refine(x, num_convolutions, name):
    return seq_conv(x, (x.shape[-1],) * num_convolutions, _VOLUME_STYLE, name)


def _volume(x, name):
    x = convolution(x, 1, _VOLUME_STYLE, f"{name}_head", kernel_size=7)
    return activate(x, _VOLUME_STYLE, f"{name}_head_act")
