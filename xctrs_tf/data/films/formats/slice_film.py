"""Films from volume files of one slice: NIfTI, NRRD and MetaImage."""

import numpy as np

from xctrs_tf.data.films.raw_film import RawFilm, check_size, flip_remarks
from xctrs_tf.data.volumes.volume import read_stored_image
from xctrs_tf.errors import UserError

SLICE_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha")
# LPS axis and name of the directions in which an upright film's two indices grow.
_UPRIGHT = {"ap": ((0, "left"), (2, "superior")), "la": ((1, "posterior"), (2, "superior"))}
_UNSET = (
    "pixels of 1 x 1 mm by its header, as programs write it that know no size (--ap_pixel_mm, "
    "--la_pixel_mm correct it)"
)
# Cosine of the largest tilt of an axis against the patient's.
_MIN_COSINE = 0.7


def read_slice_film(path, view):
    """Read a film from a volume file of one slice ``[horizontal, vertical]``.

    A header whose slice stands upright in the patient decides the flips. One whose slice
    lies across the patient, as programs write it that know no patient, says nothing:
    its film is taken to have its top row last.

    Args:
        path: the file, a `pathlib.Path`.
        view: ``"ap"`` or ``"la"``.

    Returns:
        `RawFilm` with the pixel size of the header.

    Raises:
        UserError: damaged, too large, of several slices, its pixels are in another file, or
            its header is that of another view.
    """
    image = read_stored_image(path, lambda shape: check_size(path, *_film_shape(path, shape)))
    axes = _film_axes(image.array.shape)
    pixels = image.array.reshape([image.array.shape[axis] for axis in axes]).astype(np.float32)
    pixel_mm = tuple(float(image.spacing_mm[axis]) for axis in axes)
    flips = _flips(path, image.affine, axes, view)
    remark = _UNSET if pixel_mm == (1.0, 1.0) else None
    told = flip_remarks(flips, "the header")
    return RawFilm(pixels, pixel_mm, pixel_mm, *flips, remarks=told, scale_remark=remark)


def _film_axes(shape):
    """Return the two axes of a film, without the one of a single slice."""
    if len(shape) == 2:
        return 0, 1
    return tuple(axis for axis in range(3) if axis != _slice_axis(shape))


def _slice_axis(shape):
    """Return the axis across the slice: the last one of a single voxel."""
    return max(axis for axis in range(3) if shape[axis] == 1)


def _film_shape(path, shape):
    if len(shape) not in (2, 3) or (len(shape) == 3 and 1 not in shape):
        words = " x ".join(map(str, shape))
        raise UserError(f"{path}: {words} values; a film has one slice")
    return tuple(shape[axis] for axis in _film_axes(shape))


def _flips(path, affine, axes, view):
    """Return whether left and right, and whether top and bottom, must be exchanged."""
    if affine is None:
        return False, False
    columns = np.asarray(affine, float)[:, list(axes)]
    directions = columns / np.maximum(np.linalg.norm(columns, axis=0), 1e-12)
    if np.abs(directions[2]).max() < _MIN_COSINE:
        return False, False
    flips = []
    for name, direction, (axis, word) in zip(
        ("columns", "rows"), directions.T, _UPRIGHT[view], strict=True
    ):
        if abs(direction[axis]) < _MIN_COSINE:
            raise UserError(
                f"{path}: its {name} do not run to {word} by its header, which is not an upright "
                f"{view.upper()} film; turn it, exchange the films or correct the header"
            )
        flips.append(bool(direction[axis] < 0))
    return tuple(flips)
