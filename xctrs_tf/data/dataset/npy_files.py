"""NumPy files read by several threads at once."""

import io
import pathlib

import numpy as np

# A reading fails only if a thread switch falls into its short parse of the header.
_ATTEMPTS = 5


def read_arrays(file, names):
    """Read arrays of an ``.npz`` file.

    Args:
        file: path, or the content as bytes.
        names: names of the arrays.

    Returns:
        Dict of arrays.

    Raises:
        one of `xctrs_tf.files.NPZ_ERRORS`: the file is damaged.
    """

    def read():
        content = file if isinstance(file, bytes) else pathlib.Path(file).read_bytes()
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            return {name: stored[name] for name in names}

    return _retry(read)


def read_array(file):
    """Read the array of an ``.npy`` file.

    Args:
        file: path.

    Returns:
        The array.
    """
    return _retry(lambda: np.load(file, allow_pickle=False))


def _retry(read):
    """Call a reading function, and repeat it where CPython's parser fails.

    NumPy parses an array's header as a Python literal. CPython 3.11 counts the
    nesting of all parsing threads in one variable, and raises SystemError ("AST
    constructor recursion depth mismatch") when two of them interfere.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return read()
        except SystemError:
            continue
    return read()
