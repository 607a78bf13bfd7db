"""The 3D deeply supervised network (DSN), as compared with in Table 3."""

from xctrs_tf.geometry import NUM_CLASSES
from xctrs_tf.layers.blocks import Style, max_pool, seq_conv, u_conv
from xctrs_tf.models.compared.common import class_probabilities, ct_input, segmentation_model
from xctrs_tf.models.sizes import check_size, scaled

# The convolutions of each level; a max-pooling stands between the levels.
LEVEL_FILTERS = ((32,), (64, 64), (128, 128), (256, 256))
# The level that each output grows from.
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
    """Deeply supervised network: an encoder and a stack of transposed convolutions.

    With ``training_heads=True`` and otherwise default arguments it has
    7,028,088 trainable parameters where the paper's Table 3 has 7,028,344;
    docs/baselines.md says what was read into it.

    Reference: Q. Dou, L. Yu, H. Chen, Y. Jin, X. Yang, J. Qin and P.-A. Heng,
    "3D deeply supervised network for automated segmentation of volumetric
    medical images", Medical Image Analysis 41, 2017. Licence of the original
    (github.com/yulequan/HeartSeg): none given; this is an independent
    implementation.

    Other arguments, input and output are those of every segmentation network of
    `xctrs_tf.models.compared`. With ``training_heads`` the output is a dict of
    ``segmentation`` and, of the same shape, ``aux1`` from the second level and
    ``aux2`` from the third.

    Args:
        level_filters: widths of each level's convolutions before ``width`` is
            applied, finest first.
        training_heads: whether the auxiliary outputs, which
            `xctrs_tf.losses.compared` supervises too, are built and given.
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
