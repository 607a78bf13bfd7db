"""Dice loss of the segmentation (Eq. 15)."""

from keras import ops

from xctrs_tf.layers.kernels import spatial_sum

SMOOTH = 1e-5


def one_hot(labels, num_classes):
    """Convert integer labels to probabilities of 0 and 1.

    Args:
        labels: integers `(batch, x, y, z)`, 0 = background.
        num_classes: number of classes, background included.

    Returns:
        float32 `(batch, x, y, z, num_classes)` of zeros and ones.
    """
    return ops.one_hot(ops.cast(labels, "int32"), num_classes, dtype="float32")


def soft_dice(y_true, y_pred, smooth=SMOOTH):
    """Return the Dice of probabilities for each patient and class.

    The patients of a batch are not pooled: a small vertebra missed in one patient
    counts as much as a large one in another.

    `smooth` is added to the numerator and the denominator. A class that is absent
    from both volumes therefore scores 1; one that is absent from `y_true` but
    predicted scores about 0. `smooth` also bounds the gradient: through a softmax
    an absent class with predicted volume v gets at most
    v * smooth / (v + smooth)^2, which is at most 1/4.

    Args:
        y_true: probabilities or one-hot labels, `(batch, x, y, z, classes)`.
        y_pred: probabilities, same shape.
        smooth: number of voxels added to both sides of the fraction, > 0.

    Returns:
        float32 `(batch, classes)` in (0, 1].

    Ge et al. (2022), Eq. 15.
    """
    y_true = ops.cast(y_true, "float32")
    y_pred = ops.cast(y_pred, "float32")
    overlap = spatial_sum(y_true * y_pred)
    total = spatial_sum(y_true) + spatial_sum(y_pred)
    return (2.0 * overlap + smooth) / (total + smooth)


def dice_loss(y_true, y_pred, include_background=False):
    """Return 1 - Dice, averaged over patients and classes.

    The paper's equation has no class axis; here the vertebrae are averaged with
    equal weight. Background fills most of a neck and its Dice is always near 1;
    by default it is left out.

    Args:
        y_true: probabilities or one-hot labels, `(batch, x, y, z, classes)`,
            class 0 = background.
        y_pred: probabilities, same shape.
        include_background: include class 0 in the mean.

    Returns:
        float32 scalar in [0, 1).

    Ge et al. (2022), Eq. 15.
    """
    dice = soft_dice(y_true, y_pred)
    return 1.0 - ops.mean(dice if include_background else dice[:, 1:])
