"""Compilation of the layers' kernels with XLA, for CPUs."""

import functools
import math

import tensorflow as tf

# A smaller tensor takes less time in all steps of a training than its kernel to compile.
_COMPILED_VALUES = 2**19


class KernelCompiler:
    """Compiler for `xctrs_tf.layers.kernels.compiled_kernels`.

    On a CPU TensorFlow runs a normalisation as a dozen operations, each with all of the volume
    read and written. XLA makes a few loops of them. Convolutions stay outside, since XLA's are
    several times slower than oneDNN's.

    A kernel is traced once for each shape of its tensors, whatever the number of layers
    that use it.
    """

    def __init__(self):
        self._functions = {}

    def __call__(self, kernel, settings, *tensors):
        """Run a kernel; `xctrs_tf.layers.kernels.run_kernel` has the arguments."""
        values = math.prod(each or 1 for each in tensors[0].shape)
        fused = values >= _COMPILED_VALUES and not tf.config.functions_run_eagerly()
        key = (kernel, *settings.items(), fused)
        if key not in self._functions:
            function = functools.partial(kernel, **settings, fused=fused)
            self._functions[key] = tf.function(function, jit_compile=fused, autograph=False)
        return self._functions[key](*tensors)
