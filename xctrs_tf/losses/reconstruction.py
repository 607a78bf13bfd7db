"""Voxel losses of the reconstruction: Eq. 11, and that of the compared networks."""

from keras import ops


def mean_absolute_error(y_true, y_pred):
    """Mean absolute difference of two volumes.

    The paper prints an unscaled norm; the mean does not depend on the size of
    the volume, so that one loss weight serves 32, 64 and 128 voxels a side.

    Args:
        y_true: CT in [0, 1], `(batch, x, y, z, 1)`.
        y_pred: reconstruction, same shape.

    Returns:
        float32 scalar, mean over patients and voxels.
    """
    difference = ops.cast(y_pred, "float32") - ops.cast(y_true, "float32")
    return ops.mean(ops.abs(difference))


def mean_squared_error(y_true, y_pred):
    """Mean squared difference of two volumes: what SIT, PSR and X2CT-GAN minimise.

    Arguments and result are those of `mean_absolute_error`.
    """
    difference = ops.cast(y_pred, "float32") - ops.cast(y_true, "float32")
    return ops.mean(ops.square(difference))
