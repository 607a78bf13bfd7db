"""Trilinear interpolation of volumes by whole factors, axis by axis.

The centres of the outermost voxels keep their places, and the voxels between them
are spread evenly ("align corners"), as in the original networks.
"""

import keras
import numpy as np
from keras import ops

SPATIAL_AXES = (1, 2, 3)


class _LinearResampling3D(keras.layers.Layer):
    """Resampling by the same factor along one axis after the other."""

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
            inputs = self._resample(inputs, self.factor, axis)
        return inputs

    def get_config(self):
        """Return the arguments of the layer, for saving."""
        return {**super().get_config(), "factor": self.factor}


def _enlarge(x, factor, axis):
    length = x.shape[axis]
    old = np.arange(length)
    phases = []
    for phase in range(factor):
        # The place of new voxel (factor * old + phase), from old voxel (old), in old voxels.
        shift = (phase * (length - 1) - old * (factor - 1)) / (factor * length - 1)
        neighbour = _neighbours(x, int(np.sum(shift > 0)), axis)
        weight = _along(np.abs(shift), axis, x)
        phases.append((1.0 - weight) * x + weight * neighbour)
    shape = [-1, *x.shape[1:]]
    shape[axis] *= factor
    return ops.reshape(ops.stack(phases, axis=axis + 1), shape)


def _neighbours(x, turn, axis):
    """Return the next voxel of each voxel up to ``turn``, and the previous one from there.

    Voxel 0 has no previous voxel and stands for itself.
    """

    def part(start, stop):
        return x[(slice(None),) * axis + (slice(start, stop),)]

    length = x.shape[axis]
    if turn:
        return ops.concatenate([part(1, turn + 1), part(turn - 1, length - 1)], axis=axis)
    return ops.concatenate([part(0, 1), part(0, length - 1)], axis=axis)


def _along(values, axis, x):
    """Return numbers as a constant that broadcasts from ``axis`` of ``x`` on."""
    shape = [1] * len(x.shape)
    shape[axis : axis + values.ndim] = values.shape
    return ops.convert_to_tensor(values.reshape(shape), dtype=x.dtype)


def _reduce(x, factor, axis):
    length = x.shape[axis] // factor
    cells = [-1, *x.shape[1:]]
    cells[axis : axis + 1] = [length, factor]
    x = ops.reshape(x, cells)
    # The place of a new voxel inside its cell of (factor) old voxels, from the cell's first.
    shift = np.arange(length) * (factor - 1) / max(length - 1, 1)
    weights = np.maximum(0.0, 1.0 - np.abs(shift[:, None] - np.arange(factor)))
    return ops.sum(x * _along(weights, axis, x), axis=axis + 1)


@keras.saving.register_keras_serializable("xctrs_tf")
class LinearUpSampling3D(_LinearResampling3D):
    """Trilinear enlargement by a whole factor.

    Args:
        factor: whole number, the same on every axis.
        **kwargs: arguments of `keras.layers.Layer`.

    Input shape:
        ``(batch, x, y, z, channels)``, spatial axes of fixed length.

    Output shape:
        ``(batch, factor * x, factor * y, factor * z, channels)``.
    """

    _resample = staticmethod(_enlarge)


@keras.saving.register_keras_serializable("xctrs_tf")
class LinearDownSampling3D(_LinearResampling3D):
    """Trilinear reduction by a whole factor.

    A new voxel is interpolated from the old voxels around its centre; the others
    have no weight. A single voxel has the place of the first old one.

    Args:
        factor: whole number, the same on every axis.
        **kwargs: arguments of `keras.layers.Layer`.

    Input shape:
        ``(batch, x, y, z, channels)``, spatial axes of fixed length that the
        factor divides.

    Output shape:
        ``(batch, x / factor, y / factor, z / factor, channels)``.
    """

    _resample = staticmethod(_reduce)
