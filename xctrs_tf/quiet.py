"""Silence for libraries that write to stderr by themselves."""

import contextlib
import os
import sys


@contextlib.contextmanager
def quiet_libraries():
    """Suppress all output to stderr within the context.

    The C libraries under the readers print remarks on damaged files there, past Python;
    the one line that the user needs comes as an exception.
    """
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
