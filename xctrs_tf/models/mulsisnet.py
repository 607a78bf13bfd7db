"""MulSISNet: multi-scale space interoperability segmentation (Sect. 2.2)."""

import keras
from keras import layers

from xctrs_tf.geometry import NUM_CLASSES
from xctrs_tf.layers.blocks import Style, convolution
from xctrs_tf.layers.multiscale import hierarchical_decoder, multi_path_encoder
from xctrs_tf.models.sizes import check_size, scaled

# Recovered from the paper's counts, which they meet to the last digit: widths
# of the four paths, and nodes a path (Eq. 14).
FILTERS = (16, 32, 64, 128)
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
    """Segmentation network from a CT to class probabilities (Fig. 3c).

    With the default arguments it has the paper's 4,410,136 trainable
    parameters (Table 3).

    Args:
        size: voxels a side: 32, 64 or 128.
        num_classes: classes including the background.
        width: multiplies every width.
        filters: width of each path before ``width`` is applied, finest first.
        num_nodes: nodes of each path.
        channels_per_group: of the group normalisation.
        batch_size: fixes the batch; only for counting operations.
        name: model name, and prefix of no layer.

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
        >>> probabilities = MulSISNet(size=32)(ct)
    """
    check_size(size)
    style = Style(rank=3, normalization="group", channels_per_group=channels_per_group)
    paths = [
        [(scaled(path_filters, width),) * 2] * nodes
        for path_filters, nodes in zip(filters, num_nodes, strict=True)
    ]

    # === Functional model ===
    ct = layers.Input((size, size, size, 1), batch_size=batch_size, name="ct")
    features = multi_path_encoder(ct, paths, style, "encoder")
    x = hierarchical_decoder(features, style, "decoder")
    x = convolution(x, num_classes, style, "head", kernel_size=1)
    segmentation = layers.Softmax(dtype="float32", name="segmentation")(x)
    return keras.Model(ct, segmentation, name=name)
