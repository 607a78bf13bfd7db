"""Published objective of ConResNet: segmentation and changes between axial slices."""

from keras import ops

from xctrs_tf.layers.kernels import spatial_sum
from xctrs_tf.losses.cross_entropy import SMALLEST_NORMAL

_RESIDUAL_WEIGHTS = {"residual1": 1.0, "residual2": 0.5, "residual4": 0.5}
# Bounds of the residual heads' probabilities.
_RESIDUAL_BOUNDS = (1e-3, 1.0 - 1e-3)


def conresnet_objective(y_true, outputs):
    """Return ConResNet's loss: Dice, binary cross-entropy and the residual heads.

    The residual heads are weighted 1, 0.5 and 0.5, finest first.

    Args:
        y_true: one-hot labels, ``(batch, x, y, z, classes)``.
        outputs: dict with ``segmentation``, ``residual1``, ``residual2`` and
            ``residual4``, same shape.

    Returns:
        float32 scalar.
    """
    y_pred = outputs["segmentation"]
    loss = conresnet_dice_loss(y_true, y_pred) + binary_cross_entropy(y_true, y_pred)
    return loss + sum(
        weight * context_residual_loss(y_true, outputs[head])
        for head, weight in _RESIDUAL_WEIGHTS.items()
    )


def conresnet_dice_loss(y_true, y_pred):
    """Return 1 - Dice with one voxel added to the denominator alone.

    A class that a patient does not have adds 1 and has no gradient.

    Args:
        y_true: one-hot labels, ``(batch, x, y, z, classes)``.
        y_pred: probabilities, same shape.

    Returns:
        float32 scalar in (0, 1], mean over patients and all classes, background
        included.
    """
    y_true, y_pred = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")
    total = spatial_sum(y_true) + spatial_sum(y_pred)
    return 1.0 - ops.mean(2.0 * spatial_sum(y_true * y_pred) / (total + 1.0))


def binary_cross_entropy(y_true, y_pred):
    """Return the cross-entropy of every class against the rest, summed over classes.

    Args:
        y_true: one-hot labels, ``(batch, x, y, z, classes)``.
        y_pred: probabilities that sum to 1, same shape.

    Returns:
        float32 scalar: sum over classes, mean over patients and voxels.
    """
    y_true, y_pred = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")
    # At most one class has more than 1/2. In float32 the sum of the others keeps the
    # digits that 1 - p loses.
    likely = y_pred > 0.5
    rest = ops.sum(ops.where(likely, 0.0, y_pred), axis=-1, keepdims=True)
    ones = y_true * _log(y_pred)
    zeros = (1.0 - y_true) * _log(ops.where(likely, rest, 1.0 - y_pred))
    return -ops.mean(ops.sum(ones + zeros, axis=-1))


def context_residual_loss(y_true, y_pred):
    """Return ConResNet's cross-entropy of the label changes between axial slices.

    The target is 1 where the label differs from that of the slice below. Below the
    lowest slice there is nothing: its target is its label. Changes are rare: if t of
    a patient's V voxels are 1, each of them weighs ln(V / (t + 1)).

    Args:
        y_true: one-hot labels, ``(batch, x, y, z, classes)``, z upwards; the target
            is computed from them.
        y_pred: probabilities of a residual head, same shape; clipped to
            [0.001, 0.999].

    Returns:
        float32 scalar, mean over patients, voxels and classes.
    """
    y_true = ops.cast(y_true, "float32")
    changes = ops.abs(y_true[:, :, :, 1:] - y_true[:, :, :, :-1])
    target = ops.concatenate([y_true[:, :, :, :1], changes], axis=3)
    voxels = target.shape[1] * target.shape[2] * target.shape[3]
    weight = ops.log(voxels / (ops.sum(target, axis=(1, 2, 3), keepdims=True) + 1.0))
    y_pred = ops.clip(ops.cast(y_pred, "float32"), *_RESIDUAL_BOUNDS)
    return -ops.mean(weight * target * ops.log(y_pred) + (1.0 - target) * ops.log(1.0 - y_pred))


def _log(x):
    return ops.log(ops.maximum(x, SMALLEST_NORMAL))
