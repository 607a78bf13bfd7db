"""Cross-entropy of the segmentation: not in the paper, a quicker start."""

from keras import ops

# Keeps the logarithm of a certain and wrong voxel finite.
_SMALLEST = 1e-7


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


def cross_entropy(y_true, y_pred, balanced=False):
    """Mean over patients and voxels of -log of the true class's probability.

    The Dice of a vertebra barely changes while background still outweighs it,
    so that Dice alone needs many steps before the first vertebra shows.

    Args:
        y_true: one-hot labels, `(batch, x, y, z, classes)`.
        y_pred: probabilities, same shape.
        balanced: whether each class that a patient has weighs alike, instead of
            each voxel; background is then one class in eight, not most of all.

    Returns:
        float32 scalar in [0, 16.2].
    """
    y_true = ops.cast(y_true, "float32")
    y_pred = ops.maximum(ops.cast(y_pred, "float32"), _SMALLEST)
    surprise = -y_true * ops.log(y_pred)  # (batch, x, y, z, classes)
    if not balanced:
        return ops.mean(ops.sum(surprise, axis=-1))
    voxels = ops.sum(y_true, axis=(1, 2, 3))  # (batch, classes)
    of_class = ops.sum(surprise, axis=(1, 2, 3)) / ops.maximum(voxels, 1.0)
    present = ops.cast(voxels > 0, "float32")
    return ops.mean(ops.sum(of_class, axis=-1) / ops.sum(present, axis=-1))
