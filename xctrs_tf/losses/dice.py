"""Dice loss of the segmentation (Eq. 15)."""

from keras import ops

from xctrs_tf.layers.reductions import spatial_sum

SMOOTH = 1e-5


def one_hot(labels, num_classes):
    """Integer labels as the probabilities that the Dice losses take.

    Args:
        labels: integers `(batch, x, y, z)`, 0 = background.
        num_classes: number of classes, background included.

    Returns:
        float32 `(batch, x, y, z, num_classes)` of zeros and ones.
    """
    return ops.one_hot(ops.cast(labels, "int32"), num_classes, dtype="float32")


def soft_dice(y_true, y_pred, smooth=SMOOTH):
    """Dice of probabilities, for each patient and class.

    Patients are never pooled: a small vertebra that one patient's segmentation
    misses is not outvoted by the volumes of the others.

    `smooth`, in voxels, stands in the numerator and the denominator. A class
    that is absent from both volumes therefore scores 1; absent from `y_true`
    but predicted, about 0. It also bounds the gradient: through a softmax no
    class with predicted volume v gets more than v * smooth / (v + smooth)^2,
    which is at most 1/4.

    Args:
        y_true: probabilities or one-hot labels, `(batch, x, y, z, classes)`.
        y_pred: probabilities, same shape.
        smooth: number of voxels added to both sides of the fraction, > 0.

    Returns:
        float32 `(batch, classes)` in (0, 1].
    """
    y_true = ops.cast(y_true, "float32")
    y_pred = ops.cast(y_pred, "float32")
    overlap = spatial_sum(y_true * y_pred)
    total = spatial_sum(y_true) + spatial_sum(y_pred)
    return (2.0 * overlap + smooth) / (total + smooth)


def dice_loss(y_true, y_pred, include_background=False):
    """1 - Dice, averaged over patients and classes (Eq. 15).

    The paper's equation has no class axis: the vertebrae are averaged with
    equal weight. Background fills most of a neck, so that its Dice is near 1
    whatever the vertebrae do; it is left out unless asked for.

    Args:
        y_true: probabilities or one-hot labels, `(batch, x, y, z, classes)`,
            class 0 = background.
        y_pred: probabilities, same shape.
        include_background: whether class 0 takes part in the mean.

    Returns:
        float32 scalar in [0, 1).
    """
    dice = soft_dice(y_true, y_pred)
    return 1.0 - ops.mean(dice if include_background else dice[:, 1:])
