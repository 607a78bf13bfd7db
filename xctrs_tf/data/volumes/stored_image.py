"""An image as its file stores it, and the most that is read."""

import dataclasses
import math

import numpy as np

from xctrs_tf.errors import UserError

# 2048 slices of 512 x 512 voxels of two bytes.
MAX_BYTES = 2**30


@dataclasses.dataclass(frozen=True)
class StoredImage:
    """An image in the index order of its file.

    Attributes:
        array: ``[first index, second index, ...]``.
        spacing_mm: size of a voxel along each index.
        affine: ``3 x 4``, from three indices to LPS positions in mm, or None if the
            file does not tell which way its axes run.
    """

    array: np.ndarray
    spacing_mm: tuple
    affine: np.ndarray | None


def check_bytes(path, shape, kind):
    """Refuse an image with over `MAX_BYTES` of voxels, before they are read.

    Args:
        path: the file, for the message.
        shape: of the image.
        kind: `numpy.dtype` of the stored voxels.

    Raises:
        UserError: too many.
    """
    if math.prod(shape) * kind.itemsize > MAX_BYTES:
        voxels = " x ".join(map(str, shape))
        raise UserError(
            f"{path}: {voxels} voxels are over {MAX_BYTES / 1e6:.0f} MB; cut out the neck first"
        )
