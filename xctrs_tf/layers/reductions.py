"""Sums over volumes that keep their digits."""

from keras import ops


def spatial_sum(x):
    """Sum over the spatial axes, one after the other.

    A sum over all of them at once is a running one in the kernels of TensorFlow and
    ONNX Runtime where the channels come last: of the 2,097,152 voxels of 128^3 a
    variance comes out wrong in the third digit and a Dice in the fourth. In steps no
    sum is longer than an axis, at the same speed.

    Args:
        x: float32 ``(batch, *spatial, channels)``.

    Returns:
        float32 ``(batch, channels)``.
    """
    for axis in range(len(x.shape) - 2, 0, -1):
        x = ops.sum(x, axis=axis)
    return x
