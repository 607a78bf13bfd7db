"""A 3D convolution whose gradients take less time on CPUs than TensorFlow's own."""

import tensorflow as tf

_UNIT_STRIDES_3D = [1, 1, 1, 1, 1]
_UNIT_STRIDES_2D = [1, 1, 1, 1]


def convolve(inputs, kernel):
    """Convolve volumes in float32 with stride 1 and padding "same".

    With few channels oneDNN's gradient of the kernel takes longer than the convolution
    itself. Here it is that of a 2D convolution of all planes, which has as many times the
    filters as the kernel has planes. The gradient of the inputs is a convolution with the
    mirrored kernel.

    Args:
        inputs: float32 tensor ``(batch, x, y, z, channels)``, of static shape but for the batch.
        kernel: float32 tensor or variable ``(width, width, width, channels, filters)``, the
            width odd.

    Returns:
        float32 tensor ``(batch, x, y, z, filters)``.
    """
    # A custom gradient would take a variable for one that its function uses.
    return _convolve(inputs, tf.convert_to_tensor(kernel))


@tf.custom_gradient
def _convolve(inputs, kernel):
    def gradient(upstream):
        mirrored = tf.transpose(tf.reverse(kernel, [0, 1, 2]), [0, 1, 2, 4, 3])
        of_inputs = tf.nn.conv3d(upstream, mirrored, _UNIT_STRIDES_3D, "SAME")
        return of_inputs, _kernel_gradient(inputs, upstream, kernel.shape)

    return tf.nn.conv3d(inputs, kernel, _UNIT_STRIDES_3D, "SAME"), gradient


def _kernel_gradient(inputs, upstream, shape):
    """Return the gradient of a kernel of this shape."""
    width, *_, channels, filters = shape
    plane = inputs.shape[2:4]
    if width == 1:
        columns = tf.reshape(inputs, [-1, channels])
        product = tf.matmul(columns, tf.reshape(upstream, [-1, filters]), transpose_a=True)
        return tf.reshape(product, shape)
    # Plane k of the kernel is multiplied with inputs that lie k - width // 2 planes ahead.
    shifted = [_ahead(upstream, width // 2 - k) for k in range(width)]
    gradient = tf.raw_ops.Conv2DBackpropFilter(
        input=tf.reshape(inputs, [-1, *plane, channels]),
        filter_sizes=[width, width, channels, width * filters],
        out_backprop=tf.reshape(tf.concat(shifted, axis=-1), [-1, *plane, width * filters]),
        strides=_UNIT_STRIDES_2D,
        padding="SAME",
    )
    gradient = tf.reshape(gradient, [width, width, channels, width, filters])
    return tf.transpose(gradient, [3, 0, 1, 2, 4])


def _ahead(volume, planes):
    """Return a volume whose plane x is plane x + planes of another one, or zero outside of it."""
    if planes == 0:
        return volume
    unchanged = [[0, 0]] * 3
    if planes > 0:
        return tf.pad(volume[:, planes:], [[0, 0], [0, planes], *unchanged])
    return tf.pad(volume[:, :planes], [[0, 0], [-planes, 0], *unchanged])
