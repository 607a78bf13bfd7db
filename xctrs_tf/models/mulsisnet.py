"""MulSISNet, the multi-scale space interoperability segmentation network."""

import keras
from keras import layers

from xctrs_tf.geometry import NUM_CLASSES
from xctrs_tf.layers.basic_layers import Style, convolution
from xctrs_tf.layers.multiscale import hierarchical_decoder, multi_path_encoder
from xctrs_tf.models.sizes import check_size, scaled

# Filters of the four paths. The paper does not print them; with these the
# parameters and operations equal the paper's exactly (docs/fidelity.md).
FILTERS = (16, 32, 64, 128)
# Nodes of each path: the indices in Eq. 14.
NUM_NODES = (5, 4, 3, 2)


def MulSISNet(
    size=128,
    num_classes=NUM_CLASSES,
    width=1.0,
    *,
    filters=FILTERS,
    num_nodes=NUM_NODES,
    channels_per_group=4,
    batch_size=None,
    name="mulsisnet",
):
    """Build the network that segments a CT.

    Four paths of 3D features exchange their information at every node; a decoder
    merges the last node of each. With the default arguments it has the paper's
    4,410,136 trainable parameters (Table 3).

    Args:
        size: voxels a side: 32, 64 or 128.
        num_classes: number of classes, background included.
        width: factor of all filters.
        filters: filters of each path before ``width`` is applied, finest first.
        num_nodes: number of nodes of each path, finest first.
        channels_per_group: channels of each group in the group normalisation.
        batch_size: fixed batch size, for counting operations; None leaves it
            open.
        name: model name.

    Input shape:
        ``ct``: ``(batch, size, size, size, 1)``, intensities in [0, 1].

    Output shape:
        ``segmentation``: ``(batch, size, size, size, num_classes)``,
        probabilities in float32 that sum to 1.

    Returns:
        `keras.Model`.

    Raises:
        ValueError: if the size is not supported.

    Example:
        >>> import numpy as np
        >>> ct = np.zeros((1, 32, 32, 32, 1), "float32")
        >>> tuple(MulSISNet(size=32)(ct).shape)
        (1, 32, 32, 32, 8)

    Ge et al. (2022), Sect. 2.2.
    """
    check_size(size)
    style = Style(rank=3, normalization="group", channels_per_group=channels_per_group)
    # Every node of a path is SeqConv with the same filters twice.
    paths = [
        [(scaled(path_filters, width),) * 2] * nodes
        for path_filters, nodes in zip(filters, num_nodes, strict=True)
    ]

    # === Functional model ===
    ct = layers.Input((size, size, size, 1), batch_size=batch_size, name="ct")
    features = multi_path_encoder(ct, paths, style, "encoder")  # Eq. 12, 13
    x = hierarchical_decoder(features, style, "decoder")  # Eq. 14
    x = convolution(x, num_classes, style, "head", kernel_size=1)
    # float32 under every precision policy: 16 bits do not resolve small probabilities.
    segmentation = layers.Softmax(dtype="float32", name="segmentation")(x)
    return keras.Model(ct, segmentation, name=name)
