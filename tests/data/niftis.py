"""NIfTI files written field by field, also such as no program should write."""

import gzip
import struct

import numpy as np
from scipy.spatial.transform import Rotation

# Datatype code and NumPy type.
KINDS = {"u1": 2, "i2": 4, "i4": 8, "f4": 16, "f8": 64, "u2": 512}


def lps_to_ras(spacing_mm, origin_mm, direction=None):
    """Return the RAS affine ``4 x 4`` of a grid along LPS, or along ``direction``."""
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if direction is None else np.asarray(direction)) * spacing_mm
    affine[:3, 3] = origin_mm
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def nifti_bytes(
    array,
    sform=None,
    qform=None,
    pixdim=None,
    kind="i2",
    slope=0.0,
    intercept=0.0,
    unit=2,
    shape=None,
    bitpix=None,
    offset=352.0,
    magic=b"n+1\0",
):
    """Return a NIfTI-1 file.

    Args:
        array: ``[i, j, k]``.
        sform, qform: RAS affines ``4 x 4``; None for code 0.
        pixdim: three sizes, by default those of the affine.
        kind: NumPy type of the voxels.
        slope, intercept, unit, bitpix, offset, magic: fields of the header.
        shape: another shape than the array's.
    """
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    shape = array.shape if shape is None else shape
    struct.pack_into("<8h", header, 40, len(shape), *shape, *[1] * (7 - len(shape)))
    bits = 8 * np.dtype(kind).itemsize if bitpix is None else bitpix
    struct.pack_into("<hh", header, 70, KINDS[kind], bits)
    base = sform if sform is not None else qform
    if pixdim is None:
        pixdim = (1.0,) * 3 if base is None else np.linalg.norm(base[:3, :3], axis=0)
    handed = 1.0
    if qform is not None:
        rotation = qform[:3, :3] / np.linalg.norm(qform[:3, :3], axis=0)
        if np.linalg.det(rotation) < 0:
            handed, rotation = -1.0, rotation * [1, 1, -1]
        x, y, z, w = Rotation.from_matrix(rotation).as_quat()
        sign = -1 if w < 0 else 1
        struct.pack_into("<6f", header, 256, sign * x, sign * y, sign * z, *qform[:3, 3])
    struct.pack_into("<4f", header, 76, handed, *pixdim)
    struct.pack_into("<fff", header, 108, offset, slope, intercept)
    header[123] = unit
    struct.pack_into("<hh", header, 252, int(qform is not None), int(sform is not None))
    if sform is not None:
        struct.pack_into("<12f", header, 280, *sform[:3].ravel())
    header[344:348] = magic
    return bytes(header) + np.asarray(array).astype("<" + kind).tobytes(order="F")


def write_nifti(path, array, *args, **fields):
    """Write `nifti_bytes`, packed where the name ends in ``.gz``; return the path."""
    content = nifti_bytes(array, *args, **fields)
    path.write_bytes(gzip.compress(content, 1) if path.name.lower().endswith(".gz") else content)
    return path
