"""Pause of Python's garbage collector."""

import contextlib
import gc


@contextlib.contextmanager
def gc_paused():
    """Context manager in which the garbage collector does not run.

    While millions of objects are made that live on, it would walk over them again and again.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
