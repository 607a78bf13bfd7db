"""NumPy's files, read by several threads at a time."""

import numpy as np

# Each time one thread has to be interrupted amid a short parse by another that parses too.
_ATTEMPTS = 5


def read_arrays(file, names):
    """Read arrays of an ``.npz`` file.

    Args:
        file: path.
        names: of the arrays.

    Returns:
        Dict of arrays.

    Raises:
        OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile: it is damaged.
    """

    def read():
        with open(file, "rb") as stream, np.load(stream, allow_pickle=False) as stored:
            return {name: stored[name] for name in names}

    return _again_if_threads_met(read)


def read_array(file):
    """Read the array of an ``.npy`` file.

    Args:
        file: path.

    Returns:
        The array.
    """
    return _again_if_threads_met(lambda: np.load(file, allow_pickle=False))


def _again_if_threads_met(read):
    """Call a function, and again where CPython failed and not the file.

    NumPy parses an array's header as a Python literal. CPython 3.11 has one count of
    the nesting for all threads that parse, and raises SystemError ("AST constructor
    recursion depth mismatch") where two of them met.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return read()
        except SystemError:
            continue
    return read()
