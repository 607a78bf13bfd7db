"""Cross-entropy of the segmentation: not in the paper, a quicker start."""

from keras import ops

# Keeps the logarithm of a certain and wrong voxel finite.
_SMALLEST = 1e-7
_VOXELS = (1, 2, 3)


def voxel_cross_entropy(y_true, y_pred):
    """-log of the true class's probability, of every voxel.

    Args:
        y_true: one-hot labels, `(batch, x, y, z, classes)`.
        y_pred: probabilities, same shape.

    Returns:
        float32 `(batch, x, y, z)` in [0, 16.2].
    """
    y_true = ops.cast(y_true, "float32")
    y_pred = ops.maximum(ops.cast(y_pred, "float32"), _SMALLEST)
    return -ops.sum(y_true * ops.log(y_pred), axis=-1)


def weighted_cross_entropy(y_true, y_pred, class_weights):
    """Mean over voxels, each weighted by its true class.

    Args:
        y_true: one-hot labels, `(batch, x, y, z, classes)`.
        y_pred: probabilities, same shape.
        class_weights: `(batch, classes)`; only their ratios count.

    Returns:
        float32 scalar in [0, 16.2], mean over patients.
    """
    y_true = ops.cast(y_true, "float32")
    weights = ops.sum(y_true * class_weights[:, None, None, None, :], axis=-1)
    weighted = ops.sum(weights * voxel_cross_entropy(y_true, y_pred), axis=_VOXELS)
    return ops.mean(weighted / ops.sum(weights, axis=_VOXELS))


def cross_entropy(y_true, y_pred, balance=0.0):
    """Mean over patients and voxels of -log of the true class's probability.

    The Dice of a vertebra barely changes while background still outweighs it,
    so that Dice alone needs many steps before the first vertebra shows.

    Args:
        y_true: one-hot labels, `(batch, x, y, z, classes)`.
        y_pred: probabilities, same shape.
        balance: exponent from 0 to 1: a voxel weighs as much as its class has
            voxels in this patient, to the power of -balance. 0: each voxel
            alike; 1: each class alike, background one in eight, not most of all.

    Returns:
        float32 scalar in [0, 16.2].
    """
    if not balance:
        return ops.mean(voxel_cross_entropy(y_true, y_pred))
    voxels = ops.sum(ops.cast(y_true, "float32"), axis=_VOXELS)  # (batch, classes)
    return weighted_cross_entropy(y_true, y_pred, ops.maximum(voxels, 1.0) ** -balance)
