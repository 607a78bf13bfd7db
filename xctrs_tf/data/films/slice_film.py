"""Films from volume files of one slice: NIfTI, NRRD and MetaImage."""

import gzip
import re
import zlib

import numpy as np
import SimpleITK as sitk

from xctrs_tf.data.films.raw_film import MAX_FILE_BYTES, RawFilm, check_pixels
from xctrs_tf.data.volumes.volume import READABLE, read_image_array
from xctrs_tf.errors import UserError

SLICE_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha")
# Lines of NRRD and MetaImage headers that name another file for the pixels.
_ELSEWHERE = re.compile(
    rb"^[ \t]*(?:data ?file[ \t]*:|ElementDataFile[ \t]*[=:][ \t]*(?!LOCAL[ \t\r]*$))",
    re.IGNORECASE | re.MULTILINE,
)


def read_slice_film(path):
    """Read a film from a volume file of one slice ``[horizontal, vertical]``.

    Args:
        path: the file, a `pathlib.Path`.

    Returns:
        `RawFilm` with the pixel size of the header.

    Raises:
        UserError: damaged, too large, of several slices, or its pixels are in
            another file.
    """
    name = path.name.lower()
    if name.endswith(".gz"):
        _check_inflated(path)
    elif not name.endswith(".nii"):
        _check_whole(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise UserError(f"{path}: damaged, or not {READABLE}") from error
    counts = reader.GetSize()
    if len(counts) not in (2, 3) or counts[2:] not in ((), (1,)):
        shape = " x ".join(map(str, counts))
        raise UserError(f"{path}: {shape} values; a film has one slice")
    check_pixels(path, *counts[:2])
    array = read_image_array(path)
    return RawFilm(array.reshape(counts[:2]).astype(np.float32), reader.GetSpacing()[:2])


def _check_whole(path):
    """Refuse a header that names another file for its pixels: it could be any file."""
    if _ELSEWHERE.search(path.read_bytes()):
        raise UserError(f"{path}: its pixels are in another file; save the film as one")


def _check_inflated(path):
    """Refuse a file that unpacks to more than any film, without holding it in memory."""
    left = MAX_FILE_BYTES
    try:
        with gzip.open(path) as stream:
            while chunk := stream.read(2**20):
                left -= len(chunk)
                if left < 0:
                    raise UserError(f"{path}: unpacks to over {MAX_FILE_BYTES / 1e6:.0f} MB")
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: damaged gzip; fetch the file again") from error
