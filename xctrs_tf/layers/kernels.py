"""Kernels: functions of tensors inside layers that a training step may compile."""

import contextlib
import threading

_state = threading.local()


@contextlib.contextmanager
def compiled_kernels(compiler):
    """Let a compiler run the kernels of all layers that this thread calls within the context.

    Args:
        compiler: function with the arguments and the result of `run_kernel`, or None.
    """
    before = getattr(_state, "compiler", None)
    _state.compiler = compiler
    try:
        yield
    finally:
        _state.compiler = before


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
