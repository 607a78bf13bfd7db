"""Trilinear interpolation of volumes by whole factors, axis by axis."""

import keras
from keras import ops

SPATIAL_AXES = (1, 2, 3)


@keras.saving.register_keras_serializable("xctrs_tf")
class LinearUpSampling3D(keras.layers.Layer):
    """Trilinear enlargement by a whole factor.

    Voxels are cells, not points: the outer faces of the volume keep their places.
    Beyond the outermost voxel centres the values are constant.

    Args:
        factor: whole number, the same on every axis.
        **kwargs: arguments of `keras.layers.Layer`.

    Input shape:
        ``(batch, x, y, z, channels)``, spatial axes of fixed length.

    Output shape:
        ``(batch, factor * x, factor * y, factor * z, channels)``.
    """

    def __init__(self, factor=2, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        """Interpolate one batch.

        Args:
            inputs: tensor ``(batch, x, y, z, channels)``.

        Returns:
            Tensor of the output shape.
        """
        for axis in SPATIAL_AXES:
            inputs = _enlarge(inputs, self.factor, axis)
        return inputs

    def get_config(self):
        """Return the arguments of the layer, for saving."""
        return {**super().get_config(), "factor": self.factor}


def _enlarge(x, factor, axis):
    length = x.shape[axis]
    first, upper = ops.split(x, [1], axis=axis)
    lower, last = ops.split(x, [length - 1], axis=axis)
    before = ops.concatenate([first, lower], axis=axis)
    after = ops.concatenate([upper, last], axis=axis)
    phases = []
    for phase in range(factor):
        # Distance from the old voxel's centre to the new one's, in old voxels.
        shift = (phase + 0.5) / factor - 0.5
        neighbour = before if shift < 0 else after
        phases.append((1.0 - abs(shift)) * x + abs(shift) * neighbour)
    shape = [-1, *x.shape[1:]]
    shape[axis] *= factor
    return ops.reshape(ops.stack(phases, axis=axis + 1), shape)


@keras.saving.register_keras_serializable("xctrs_tf")
class LinearDownSampling3D(keras.layers.Layer):
    """Trilinear reduction by an even factor.

    On every axis a new voxel's centre lies midway between two old centres: a new
    voxel is the mean of the eight old voxels around its centre.

    Args:
        factor: even number, the same on every axis.
        **kwargs: arguments of `keras.layers.Layer`.

    Input shape:
        ``(batch, x, y, z, channels)``, spatial axes of fixed length that the
        factor divides.

    Output shape:
        ``(batch, x / factor, y / factor, z / factor, channels)``.

    Raises:
        ValueError: if the factor is odd.
    """

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        if factor % 2:
            raise ValueError(f"factor must be even, not {factor}")
        self.factor = factor

    def call(self, inputs):
        """Interpolate one batch.

        Args:
            inputs: tensor ``(batch, x, y, z, channels)``.

        Returns:
            Tensor of the output shape.
        """
        for axis in SPATIAL_AXES:
            cells = list(inputs.shape)
            cells[axis : axis + 1] = [cells[axis] // self.factor, self.factor]
            x = ops.reshape(inputs, (-1, *cells[1:]))
            middle = self.factor // 2
            inputs = ops.mean(ops.take(x, [middle - 1, middle], axis=axis + 1), axis=axis + 1)
        return inputs

    def get_config(self):
        """Return the arguments of the layer, for saving."""
        return {**super().get_config(), "factor": self.factor}
