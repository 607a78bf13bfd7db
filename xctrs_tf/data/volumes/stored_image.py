"""An image as its file stores it, and the most that is read."""

import dataclasses

import numpy as np

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
