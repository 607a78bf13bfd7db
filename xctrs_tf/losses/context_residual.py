"""ConResNet's loss of the differences between axial slices."""

from keras import ops

from xctrs_tf.layers.slice_difference import slice_difference

# Bounds of a probability, so that its logarithm stays moderate.
_CLAMP = (1e-3, 1.0 - 1e-3)


def binary_cross_entropy(y_true, y_pred, positive_weight=1.0):
    """Cross-entropy of every class against the rest.

    Args:
        y_true: zeros and ones, `(batch, x, y, z, classes)`.
        y_pred: probabilities, same shape; clamped to [0.001, 0.999].
        positive_weight: of the ones; a scalar or `(batch, 1, 1, 1, classes)`.

    Returns:
        float32 scalar, mean over patients, voxels and classes.
    """
    y_true = ops.cast(y_true, "float32")
    y_pred = ops.clip(ops.cast(y_pred, "float32"), *_CLAMP)
    ones = positive_weight * y_true * ops.log(y_pred)
    zeros = (1.0 - y_true) * ops.log(1.0 - y_pred)
    return -ops.mean(ones + zeros)


def context_residual_loss(y_true, y_pred):
    """Cross-entropy of where a class differs from the slice below.

    There are few such voxels; with V voxels of which t are of that kind they
    weigh ln(V / (t + 1)) each.

    Args:
        y_true: one-hot labels, `(batch, x, y, z, classes)`; the target is
            made from them.
        y_pred: probabilities of a residual head, same shape.

    Returns:
        float32 scalar.
    """
    target = slice_difference(ops.cast(y_true, "float32"))
    voxels = target.shape[1] * target.shape[2] * target.shape[3]
    positives = ops.sum(target, axis=(1, 2, 3), keepdims=True)
    return binary_cross_entropy(target, y_pred, ops.log(voxels / (positives + 1.0)))
