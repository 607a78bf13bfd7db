"""Compilation of the layers' kernels with XLA, for CPUs."""

import concurrent.futures
import functools
import math

import tensorflow as tf

# Number of values from which on compiling a kernel saves time over a training.
_COMPILED_VALUES = 2**19


class KernelCompiler:
    """Compiler for `xctrs_tf.layers.kernels.compiled_kernels`.

    On a CPU TensorFlow runs a normalisation as a dozen operations, each with all of the volume
    read and written. XLA makes a few loops of them. Convolutions stay outside, since XLA's are
    several times slower than oneDNN's.

    A kernel is traced once for all layers whose tensors have the same shapes. Another thread
    compiles it while the rest of the step is traced.
    """

    def __init__(self):
        self._functions = {}
        self._thread = concurrent.futures.ThreadPoolExecutor(max_workers=1)

    def __call__(self, kernel, settings, *tensors):
        """Run a kernel; `xctrs_tf.layers.kernels.run_kernel` has the arguments."""
        if tf.executing_eagerly() or tf.config.functions_run_eagerly():
            return kernel(*tensors, **settings)
        specs = tuple(tf.TensorSpec(each.shape, each.dtype) for each in tensors)
        key = (kernel, *settings.items(), *specs)
        if key not in self._functions:
            self._functions[key] = self._trace(kernel, settings, specs)
        return self._functions[key](*tensors)

    def _trace(self, kernel, settings, specs):
        fused = math.prod(length or 1 for length in specs[0].shape) >= _COMPILED_VALUES
        function = functools.partial(kernel, **settings, fused=fused)
        traced = tf.function(function, jit_compile=fused, autograph=False)
        traced = traced.get_concrete_function(*specs)
        if fused and all(spec.shape.is_fully_defined() for spec in specs):
            self._thread.submit(_run_on_zeros, traced, specs)
        return traced


def _run_on_zeros(kernel, specs):
    """Run a traced kernel, so that TensorFlow has its compiled form."""
    # What is called outside of a graph is compiled for that use alone.
    run = tf.function(kernel, autograph=False)
    run(*(tf.zeros(spec.shape, spec.dtype) for spec in specs))
