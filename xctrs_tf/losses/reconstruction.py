"""Voxel losses of the reconstruction: the MAE of Eq. 11, and the compared networks' MSE."""

from keras import ops


def mean_absolute_error(y_true, y_pred):
    """Return the mean absolute difference of two volumes.

    The paper prints a norm without a scale. The mean does not depend on the size
    of the volume: one loss weight suits 32, 64 and 128 voxels a side.

    Args:
        y_true: CT in [0, 1], `(batch, x, y, z, 1)`.
        y_pred: reconstruction, same shape.

    Returns:
        float32 scalar, mean over patients and voxels.

    Ge et al. (2022), Eq. 11.
    """
    difference = ops.cast(y_pred, "float32") - ops.cast(y_true, "float32")
    return ops.mean(ops.abs(difference))


def mean_squared_error(y_true, y_pred):
    """Return the mean squared difference of two volumes, the loss of SIT, PSR and X2CT-GAN.

    Args:
        y_true: CT in [0, 1], `(batch, x, y, z, 1)`.
        y_pred: reconstruction, same shape.

    Returns:
        float32 scalar, mean over patients and voxels.
    """
    difference = ops.cast(y_pred, "float32") - ops.cast(y_true, "float32")
    return ops.mean(ops.square(difference))
