"""The file of one patient in the prepared data folder (docs/architecture.md)."""

import hashlib
import os

import numpy as np

from xctrs_tf.data.dataset.manifest import MANIFEST
from xctrs_tf.data.dataset.npy_files import read_arrays
from xctrs_tf.data.dataset.sanity import check_films
from xctrs_tf.data.patient_ids import check_id
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import NUM_CLASSES

_AGAIN = "run experiments.prepare again"
# Dimensions and type of a patient's arrays.
_TYPES = {
    "ct": (3, "int16"),
    "segmentation": (3, "uint8"),
    "ap": (2, "float32"),
    "la": (2, "float32"),
}
# Names of the arrays of a kept scan, in `Case` and in a patient's file.
SCAN = ("scan", "scan_start")
# Size and time of the files that this process has compared with their hash.
_VERIFIED = set()


def patient_path(path, patient):
    """Return the path of a patient's arrays in a prepared folder."""
    return path / "patients" / f"{check_id(patient)}.npz"


def read_patient(file, content, size, with_scan=False):
    """Read and check the arrays of a patient's file.

    Args:
        file: its path, for the error.
        content: its bytes.
        size: voxels a side.
        with_scan: whether to read the scan around the crop too.

    Returns:
        Dict of ``ct``, ``segmentation``, ``ap`` and ``la``, and of `SCAN`.

    Raises:
        UserError: damaged, of another size or type, with a label over 7 or a blank film.
    """
    try:
        arrays = read_arrays(content, (*_TYPES, *(SCAN if with_scan else ())))
    except Exception as error:
        # The readers of zip files and of arrays raise many kinds.
        raise UserError(f"{file}: damaged; {_AGAIN}") from error
    for name, (rank, kind) in _TYPES.items():
        array = arrays[name]
        if array.shape != (size,) * rank:
            raise UserError(f"{file}: {name} not of size {size}; {_AGAIN}")
        if array.dtype != kind:
            raise UserError(f"{file}: {name} of type {array.dtype}, not {kind}; {_AGAIN}")
    highest = arrays["segmentation"].max()
    if highest >= NUM_CLASSES:
        raise UserError(f"{file}: a label {highest}; {_AGAIN}")
    if problem := check_films(arrays):
        raise UserError(f"{file}: {problem}; {_AGAIN}")
    if with_scan:
        _check_scan(file, arrays)
        arrays["scan_start"] = tuple(int(index) for index in arrays["scan_start"])
    return arrays


def _check_scan(file, arrays):
    scan, start = (arrays[name] for name in SCAN)
    if scan.dtype != "int16" or scan.ndim != 3 or start.dtype != "int64" or start.shape != (3,):
        raise UserError(f"{file}: scan of type {scan.dtype} and {scan.ndim} axes; {_AGAIN}")
    size = len(arrays["ct"])
    if np.any(start > 0) or np.any(start + scan.shape < size):
        raise UserError(f"{file}: its scan does not hold the crop; {_AGAIN}")
    inside = scan[tuple(slice(-before, size - before) for before in start)]
    if not np.array_equal(inside, arrays["ct"]):
        raise UserError(f"{file}: its scan is not that of the crop; {_AGAIN}")


def verified_content(file, sha256):
    """Return the bytes of a file, which are compared with their hash once in a process.

    Args:
        file: its path.
        sha256: hash of the manifest.

    Raises:
        UserError: missing, unreadable, damaged or changed.
    """
    try:
        with file.open("rb") as stream:
            status = os.fstat(stream.fileno())
            content = stream.read()
    except OSError as error:
        problem = "missing" if isinstance(error, FileNotFoundError) else error.strerror
        raise UserError(f"{file}: {problem}; run experiments.prepare again") from error
    key = (os.path.realpath(file), len(content), status.st_mtime_ns, status.st_ino, sha256)
    if key not in _VERIFIED:
        if hashlib.sha256(content).hexdigest() != sha256:
            raise UserError(
                f"{file}: damaged or changed since it was prepared (its sha256 is not that of "
                f"{MANIFEST}); run experiments.prepare again"
            )
        _VERIFIED.add(key)
    return content
