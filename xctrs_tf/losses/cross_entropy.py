"""Cross-entropy of the segmentation. Not in the paper: it speeds up the first steps."""

from keras import ops

# The smallest normal float32 keeps the logarithm finite where a probability is 0. Down to
# this bound the gradient is that of a cross-entropy of logits; below it there is none. A
# larger bound stops training where a network begins with large logits, as ConResNet does:
# voxels whose true class is less probable than the bound never learn.
SMALLEST_NORMAL = 2.0**-126
_VOXELS = (1, 2, 3)


def voxel_cross_entropy(y_true, y_pred):
    """Return -log of the true class's probability for every voxel.

    Args:
        y_true: one-hot labels, `(batch, x, y, z, classes)`.
        y_pred: probabilities, same shape.

    Returns:
        float32 `(batch, x, y, z)` in [0, 87.4].
    """
    y_true = ops.cast(y_true, "float32")
    y_pred = ops.maximum(ops.cast(y_pred, "float32"), SMALLEST_NORMAL)
    return -ops.sum(y_true * ops.log(y_pred), axis=-1)


def weighted_cross_entropy(y_true, y_pred, class_weights):
    """Return the mean cross-entropy over voxels weighted by their true class.

    Args:
        y_true: one-hot labels, `(batch, x, y, z, classes)`.
        y_pred: probabilities, same shape.
        class_weights: `(batch, classes)`; only their ratios matter.

    Returns:
        float32 scalar, mean over patients.
    """
    y_true = ops.cast(y_true, "float32")
    weights = ops.sum(y_true * class_weights[:, None, None, None, :], axis=-1)
    weighted = ops.sum(weights * voxel_cross_entropy(y_true, y_pred), axis=_VOXELS)
    return ops.mean(weighted / ops.sum(weights, axis=_VOXELS))


def cross_entropy(y_true, y_pred, balance=0.0):
    """Return the mean over patients and voxels of -log of the true class's probability.

    The Dice of a vertebra has almost no gradient as long as background is more
    probable everywhere: Dice alone needs many steps before the first vertebra
    appears.

    Args:
        y_true: one-hot labels, `(batch, x, y, z, classes)`.
        y_pred: probabilities, same shape.
        balance: exponent from 0 to 1: the weight of a voxel is the number of its
            class's voxels in this patient to the power of -balance. With 0 all
            voxels have the same weight, with 1 all classes, background included.

    Returns:
        float32 scalar in [0, 87.4].
    """
    if not balance:
        return ops.mean(voxel_cross_entropy(y_true, y_pred))
    voxels = ops.sum(ops.cast(y_true, "float32"), axis=_VOXELS)  # (batch, classes)
    class_weights = ops.maximum(voxels, 1.0) ** -balance
    return weighted_cross_entropy(y_true, y_pred, class_weights)
