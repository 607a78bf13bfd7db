"""Published objective of CS2-Net, whose sums run over all voxels of a batch."""

from keras import ops

from xctrs_tf.layers.kernels import spatial_sum
from xctrs_tf.losses.cross_entropy import voxel_cross_entropy

_DICE_SMOOTHING = 1.0
# Keeps the weight of a class without predictions finite.
_SMALLEST_SHARE = 1e-6


def cs2net_objective(y_true, outputs):
    """Return CS2-Net's loss: (CE + 0.6 weighted CE + 0.4 Dice loss) / 3.

    The weight of a class is the sum of 1 - p over the sum of p, where p is its
    predicted probability; the weights get no gradient. Class weights, weighted mean
    and Dice take the patients of a batch together.

    Args:
        y_true: one-hot labels, ``(batch, x, y, z, classes)``.
        outputs: dict with ``segmentation``, same shape.

    Returns:
        float32 scalar.
    """
    y_true = ops.cast(y_true, "float32")
    y_pred = ops.cast(outputs["segmentation"], "float32")
    losses = voxel_cross_entropy(y_true, y_pred)
    y_fixed = ops.stop_gradient(y_pred)
    share = _pooled_sum(y_fixed) / _pooled_sum(ops.ones_like(y_fixed))
    class_weights = (1.0 - share) / ops.maximum(share, _SMALLEST_SHARE)
    weights = ops.sum(y_true * class_weights, axis=-1)
    weighted = ops.sum(weights * losses) / ops.sum(weights)
    return (ops.mean(losses) + 0.6 * weighted + 0.4 * pooled_dice_loss(y_true, y_pred)) / 3.0


def pooled_dice_loss(y_true, y_pred):
    """Return 1 - Dice with squares in the denominator, over all voxels of a batch.

    One voxel is added to the numerator and the denominator.

    Args:
        y_true: one-hot labels, ``(batch, x, y, z, classes)``.
        y_pred: probabilities, same shape.

    Returns:
        float32 scalar in [0, 1), mean over all classes, background included.
    """
    y_true, y_pred = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")
    overlap = _pooled_sum(y_true * y_pred)
    total = _pooled_sum(ops.square(y_true)) + _pooled_sum(ops.square(y_pred))
    return 1.0 - ops.mean((2.0 * overlap + _DICE_SMOOTHING) / (total + _DICE_SMOOTHING))


def _pooled_sum(x):
    """Sum over patients and voxels: ``(classes,)``."""
    return ops.sum(spatial_sum(x), axis=0)
