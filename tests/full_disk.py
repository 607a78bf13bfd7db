"""A disk on which files cannot grow."""

import contextlib
import resource


@contextlib.contextmanager
def largest_file(size):
    """Let no file grow beyond this; the system answers as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
