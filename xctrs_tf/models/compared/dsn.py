"""3D deeply supervised network (DSN), a compared network of Table 3."""

from xctrs_tf.geometry import NUM_CLASSES
from xctrs_tf.layers.basic_layers import Style, max_pool
from xctrs_tf.layers.blocks import seq_conv, u_conv
from xctrs_tf.models.compared.common import class_probabilities, ct_input, segmentation_model
from xctrs_tf.models.sizes import check_size, scaled

# Filters of each level's convolutions; max-pooling halves the resolution between levels.
LEVEL_FILTERS = ((32,), (64, 64), (128, 128), (256, 256))
# Level whose feature each output is upsampled from.
_HEADS = {"aux1": 1, "aux2": 2, "segmentation": 3}


def DSN(
    size=128,
    num_classes=NUM_CLASSES,
    width=1.0,
    *,
    level_filters=LEVEL_FILTERS,
    training_heads=False,
    batch_size=None,
    name="dsn",
):
    """Build DSN: an encoder and a stack of transposed convolutions.

    With ``training_heads=True`` and otherwise default arguments it has
    7,028,088 trainable parameters, where the paper's Table 3 has 7,028,344;
    docs/compared_networks.md lists the assumptions.

    Reference: Q. Dou, L. Yu, H. Chen, Y. Jin, X. Yang, J. Qin and P.-A. Heng,
    "3D deeply supervised network for automated segmentation of volumetric
    medical images", Medical Image Analysis 41, 2017. Licence of the original
    (github.com/yulequan/HeartSeg): none given; this is an independent
    implementation.

    Args:
        size: voxels a side: 32, 64 or 128.
        num_classes: number of classes, background included.
        width: factor of all filters.
        level_filters: filters of each level's convolutions before ``width`` is
            applied, finest first.
        training_heads: add the auxiliary outputs ``aux1`` and ``aux2``, which
            only `xctrs_tf.losses.compared.dsn_objective` needs.
        batch_size: fixed batch size, for counting operations; None leaves it
            open.
        name: model name.

    Input shape:
        ``ct``: ``(batch, x, y, z, 1)``, intensities in [0, 1].

    Output shape:
        ``segmentation``: ``(batch, x, y, z, num_classes)``, probabilities in
        float32 that sum to 1.
        With ``training_heads`` a dict of ``segmentation`` and, of the same
        shape, ``aux1`` from the second level and ``aux2`` from the third.

    Returns:
        `keras.Model`.

    Raises:
        ValueError: if the size is not supported.

    Ge et al. (2022), Table 3.
    """
    check_size(size)
    style = Style(rank=3, normalization="batch", negative_slope=0.0)

    # === Functional model ===
    ct = x = ct_input(size, batch_size)
    levels = []
    for level, filters in enumerate(level_filters, start=1):
        if level > 1:
            x = max_pool(x, style, f"level{level}_pool")
        x = seq_conv(x, [scaled(f, width) for f in filters], style, f"level{level}")
        levels.append(x)

    outputs = {}
    for head, level in _HEADS.items():
        x = levels[level]
        for step in reversed(range(level)):
            filters = levels[step].shape[-1]
            x = u_conv(x, filters, style, f"{head}_up{step + 1}", kernel_size=4, use_bias=True)
        outputs[head] = class_probabilities(x, num_classes, style, head)
    return segmentation_model(ct, outputs, training_heads, name)
