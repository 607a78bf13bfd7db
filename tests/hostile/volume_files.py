"""NIfTI, NRRD and MetaImage files."""

import gzip
import struct

import numpy as np

from tests.hostile.parts import hole
from tests.hostile.register import content, film


def nifti(dims=(2, 32, 32), kind=16, bits=32, pixdim=(1.0, 1.0, 1.0), offset=352.0, data=None):
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into(f"<{len(dims)}h", header, 40, *dims)
    struct.pack_into("<hh", header, 70, kind, bits)
    struct.pack_into("<4f", header, 76, 1.0, *pixdim)
    struct.pack_into("<ff", header, 108, offset, 1.0)
    header[344:348] = b"n+1\0"
    values = np.arange(1024, dtype="<f4").tobytes() if data is None else data
    return bytes(header) + values


def with_nan():
    values = np.arange(1024, dtype="<f4")
    values[77] = np.nan
    return values.tobytes()


content("nan.nii", lambda: nifti(data=with_nan()))
content("infinite.nii.gz", lambda: gzip.compress(nifti(data=b"\0\0\x80\x7f" * 1024)))
content("cut.nii", lambda: nifti()[:2000])
content("cut.nii.gz", lambda: gzip.compress(nifti())[:-40])
content("negative.nii", lambda: nifti((2, -32, 32)))
content("no-voxels.nii", lambda: nifti((2, 0, 0)))
content("seven-axes.nii", lambda: nifti((7, 4, 4, 4, 4, 4, 1, 1)))
content("99-axes.nii", lambda: nifti((99, 32, 32)))
content("volume.nii", lambda: nifti((3, 16, 8, 8)))
content("32k.nii", lambda: nifti((2, 32767, 32767)))
content("no-pixel.nii", lambda: nifti(pixdim=(0.0, 0.0, 0.0)))
content("nan-pixel.nii", lambda: nifti(pixdim=(float("nan"),) * 3))
content("unknown-type.nii", lambda: nifti(kind=999))
content("colour.nii", lambda: nifti(kind=128, bits=24))
content("wild-offset.nii", lambda: nifti(offset=1e30))
content("negative-offset.nii", lambda: nifti(offset=-500.0))
content("bomb.nii.gz", lambda: gzip.compress(nifti((2, 32, 32)) + bytes(2**29), 1))
content(
    "nrrd-of-another.nrrd",
    b"NRRD0004\ntype: uint8\ndimension: 2\nsizes: 32 32\nencoding: raw\ndata file: secret.raw\n\n",
)
content(
    "nrrd-wild.nrrd",
    b"NRRD0004\ntype: uint8\ndimension: 2\nsizes: 99999999 99999999\nencoding: raw\n\n",
)
content(
    "mha-of-another.mha",
    b"ObjectType = Image\nNDims = 2\nDimSize = 32 32\n"
    b"ElementType = MET_UCHAR\nElementDataFile = secret.raw\n",
)
content(
    "mha-wild.mha",
    b"ObjectType = Image\nNDims = 2\nDimSize = 99999999 99999999\n"
    b"ElementType = MET_UCHAR\nElementDataFile = LOCAL\n",
)
film("film-and-hole.nii")(lambda path: hole(path, nifti()))
