"""SpaDRNet, the spatial decomposition-reconstruction network."""

import keras
from keras import layers, ops

from xctrs_tf.layers.basic_layers import Style, convolution
from xctrs_tf.layers.multiscale import (
    hierarchical_decoder,
    multi_path_encoder,
    multi_scale_fusion,
    scale_name,
)
from xctrs_tf.layers.view_alignment import align_views, pixel_shuffle
from xctrs_tf.models.sizes import check_size, scaled

# Filters of each path's nodes. Path 1 is the paper's 16 -> 32 -> 64 -> 128; the
# others are the regular design that comes closest to the paper's counts.
NODE_FILTERS = ((16, 32, 64, 128), (128, 128, 128), (256, 256), (512,))
# Channels of each scale's feature after pixelshuffle (C in Sect. 2.1.1).
DEPTH_FILTERS = (4, 8, 16, 32)


def SpaDRNet(
    size=128,
    width=1.0,
    *,
    node_filters=NODE_FILTERS,
    depth_filters=DEPTH_FILTERS,
    shared_encoder=True,
    batch_size=None,
    name="spadrnet",
):
    """Build the network that reconstructs a CT from two films.

    A 2D encoder extracts features of each film at four scales; pixelshuffle
    unfolds them along the rays; both views are aligned, fused across the scales
    in 3D and merged from coarse to fine.

    The paper does not print the layers. This is the regular design closest to
    its counts: 23,028,489 trainable parameters with the default arguments,
    where the paper has 22,992,322 (Table 2). See docs/fidelity.md.

    Args:
        size: pixels and voxels a side: 32, 64 or 128.
        width: factor of all filters.
        node_filters: filters of each node of each path before ``width`` is
            applied, finest path first.
        depth_filters: channels of each scale after pixelshuffle before
            ``width`` is applied, finest first.
        shared_encoder: use one 2D encoder for both views; False: one for each.
        batch_size: fixed batch size, for counting operations; None leaves it
            open.
        name: model name.

    Input shape:
        ``ap``: ``(batch, x, z, 1)`` and ``la``: ``(batch, y, z, 1)``, films in
        [0, 1], every axis of length ``size``.

    Output shape:
        ``ct``: ``(batch, x, y, z, 1)`` in float32; not bounded, trained on
        intensities in [0, 1].

    Returns:
        `keras.Model` from a dict of the two films to the CT.

    Raises:
        ValueError: if the size is not supported.

    Example:
        >>> import numpy as np
        >>> films = {view: np.zeros((1, 32, 32, 1), "float32") for view in ("ap", "la")}
        >>> tuple(SpaDRNet(size=32)(films).shape)
        (1, 32, 32, 32, 1)

    Ge et al. (2022), Sect. 2.1.
    """
    check_size(size)
    node_filters = [[scaled(f, width) for f in path] for path in node_filters]
    depth_filters = [scaled(f, width) for f in depth_filters]

    # === Layers ===
    def encoder(name, paths):
        return _encoder(size, node_filters, depth_filters, name, paths)

    # === Functional model ===
    ap = layers.Input((size, size, 1), batch_size=batch_size, name="ap")
    la = layers.Input((size, size, 1), batch_size=batch_size, name="la")
    if shared_encoder:
        # One call on both views, stacked along the batch, halves the kernel launches.
        stacked = encoder("encoder2d", "paths")(ops.concatenate([ap, la], axis=0))
        ap_features, la_features = zip(*(ops.split(f, 2, axis=0) for f in stacked), strict=True)
    else:
        # Weights are stored by the names of the layers, so both encoders have names of their own.
        ap_features = encoder("encoder2d_ap", "ap_paths")(ap)
        la_features = encoder("encoder2d_la", "la_paths")(la)

    style = Style(rank=3, normalization="instance")
    features = [  # Eq. 5 to 7
        align_views(ap_feature, la_feature, f"align_{scale_name(scale)}")
        for scale, (ap_feature, la_feature) in enumerate(zip(ap_features, la_features, strict=True))
    ]
    features = multi_scale_fusion(features, style, "fusion3d")  # Eq. 8
    x = hierarchical_decoder(features, style, "decoder")  # Eq. 9
    x = convolution(x, 1, style, "head")
    ct = layers.Activation("linear", dtype="float32", name="ct")(x)
    return keras.Model({"ap": ap, "la": la}, ct, name=name)


def _encoder(size, node_filters, depth_filters, name, paths_name):
    """Build the 2D collateral multi-paths of one view, up to pixelshuffle.

    From a film ``(batch, size, size, 1)`` to a list of four volumes, finest
    first: ``(batch, n, n, n, channels)`` with n = size, size / 2, size / 4 and
    size / 8, and the channels of ``depth_filters``.

    Ge et al. (2022), Eq. 2, 3, 4.
    """
    style = Style(rank=2, normalization="instance")
    paths = []
    for scale, (filters, channels) in enumerate(zip(node_filters, depth_filters, strict=True)):
        depth = size >> scale
        # A further node makes the channels that pixelshuffle unfolds.
        paths.append([*((f, f) for f in filters), (filters[-1], depth * channels)])

    film = layers.Input((size, size, 1), name="film")
    features = multi_path_encoder(film, paths, style, paths_name)
    volumes = [
        pixel_shuffle(feature, size >> scale, f"pixel_shuffle_{scale_name(scale)}")
        for scale, feature in enumerate(features)
    ]
    return keras.Model(film, volumes, name=name)
