"""Kernels: functions of tensors inside layers that a training step may compile; their sums."""

import contextlib
import math
import threading

import keras
from keras import ops

_state = threading.local()


@contextlib.contextmanager
def compiled_kernels(compiler, convolve=None):
    """Run the kernels and 3D convolutions of all layers by other functions, in this thread.

    Args:
        compiler: function with the arguments and the result of `run_kernel`, or None.
        convolve: function of inputs and kernel, both float32, that makes 3D convolutions
            with stride 1 and padding "same", or None.
    """
    before = _state.__dict__.copy()
    _state.compiler, _state.convolve = compiler, convolve
    try:
        yield
    finally:
        _state.__dict__.clear()
        _state.__dict__.update(before)


def run_kernel(kernel, settings, *tensors):
    """Run a kernel as it is or, within `compiled_kernels`, by the compiler.

    Args:
        kernel: function of ``tensors`` and of ``settings`` as keywords. A compiler that
            turns all of it into few loops adds ``fused=True``.
        settings: dict of hashable values.
        *tensors: tensors; the first one is the largest.

    Returns:
        What the kernel returns.
    """
    compiler = getattr(_state, "compiler", None)
    if compiler is None:
        return kernel(*tensors, **settings)
    return compiler(kernel, settings, *tensors)


def run_convolution(convolve, inputs, kernel):
    """Convolve volumes with stride 1 and padding "same", as `compiled_kernels` says.

    Args:
        convolve: function of inputs and kernel that is called outside of that context, and
            in other precisions.
        inputs: tensor ``(batch, x, y, z, channels)``.
        kernel: tensor or variable ``(*widths, channels, filters)``.

    Returns:
        Tensor ``(batch, x, y, z, filters)``.
    """
    other = getattr(_state, "convolve", None)
    if other is None or keras.backend.standardize_dtype(inputs.dtype) != "float32":
        return convolve(inputs, kernel)
    return other(inputs, ops.convert_to_tensor(kernel, "float32"))


def spatial_sum(x, fused=False, keepdims=False):
    """Sum over the spatial axes, one axis after the other.

    With channels last, the kernels of TensorFlow and ONNX Runtime sum over all axes
    at once as one running float32 sum. Over the 2,097,152 voxels of 128^3 a variance
    is then wrong in its third digit and a Dice in its fourth. Axis by axis no sum
    is longer than one axis; the speed is the same.

    Args:
        x: float32 tensor ``(batch, *spatial, channels)``.
        fused: True where XLA compiles the kernel. It splits long sums itself, so two sums take
            the place of one for each axis.
        keepdims: keep the spatial axes, with the length 1.

    Returns:
        float32 tensor ``(batch, channels)``, or ``(batch, *1, channels)``.
    """
    if not fused:
        for axis in range(len(x.shape) - 2, 0, -1):
            x = ops.sum(x, axis=axis, keepdims=keepdims)
        return x
    _, *spatial, channels = x.shape
    row = spatial[-1]
    rows = math.prod(spatial[:-1])
    x = ops.sum(ops.reshape(x, (-1, rows, row * channels)), axis=1)
    x = ops.sum(ops.reshape(x, (-1, row, channels)), axis=1)
    return ops.reshape(x, (-1, *(1 for _ in spatial), channels)) if keepdims else x
