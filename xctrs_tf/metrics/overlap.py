"""Overlap of two segmentations: Dice (Eq. 19)."""

import numpy as np


def dice_per_class(y_true, y_pred, num_classes):
    """Return the Dice of every class but the background.

    A class that is absent from `y_true` has no Dice, predicted or not: its value is
    NaN, which the caller counts and leaves out of means. A class that is present
    but not predicted scores 0.

    Args:
        y_true: integer labels of any shape, 0 = background.
        y_pred: integer labels, same shape.
        num_classes: number of classes, background included.

    Returns:
        float64 array of `num_classes - 1` values in [0, 1] or NaN, that of
        class 1 first.

    Ge et al. (2022), Eq. 19.
    """
    y_true, y_pred = np.asarray(y_true).ravel(), np.asarray(y_pred).ravel()
    volume_true = np.bincount(y_true, minlength=num_classes)[1:]
    volume_pred = np.bincount(y_pred, minlength=num_classes)[1:]
    overlap = np.bincount(y_true[y_true == y_pred], minlength=num_classes)[1:]
    present = np.where(volume_true > 0, 1.0, np.nan)
    return present * 2.0 * overlap / np.maximum(volume_true + volume_pred, 1)
