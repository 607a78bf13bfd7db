"""Cut of a box out of a film that is rotated about the box's centre."""

import math

import numpy as np
import scipy

_RIGHT_ANGLE = 90
# Pixels around a place that its interpolation needs: further ones weigh less than 1e-6.
_SUPPORT = 12
# A pixel that padding has a larger share of counts as padding.
_MAX_PADDING = 1e-6


def rotated_part(pixels, box, pixel_shape, rotate_deg):
    """Cut a box out of a film that is rotated about the box's centre.

    Multiples of 90 degrees move the box's pixels. For other angles each pixel is computed
    once, by a cubic spline and within the range of the film's values.

    Args:
        pixels: array ``[horizontal, vertical]``, the top row last; masked where there is
            no film.
        box: left, top, right, bottom in pixels, from the upper left corner.
        pixel_shape: width and height of a pixel in one unit.
        rotate_deg: angle, clockwise as a viewer sees it.

    Returns:
        Array ``[horizontal, vertical]`` of the box's shape, or of the exchanged shape after
        a quarter turn; masked where ``pixels`` is, and where the rotated box has no film.
    """
    turns, rest = divmod(rotate_deg, _RIGHT_ANGLE)
    if rest:
        rows = np.ma.asarray(pixels).T[::-1]
        return _interpolated(*_surroundings(rows, box, pixel_shape), pixel_shape, rotate_deg)
    left, top, right, bottom = box
    height = pixels.shape[1]
    part = pixels[left:right, height - bottom : height - top]
    # The second axis points up, so that numpy turns counter-clockwise.
    return np.rot90(part, -int(turns)) if turns else part


def _surroundings(rows, box, pixel_shape):
    """Return the part of a film that the rotated box can reach, and the box on it."""
    left, top, right, bottom = box
    across, down = pixel_shape
    diagonal = math.hypot((right - left) * across, (bottom - top) * down)
    reach_x, reach_y = (math.ceil(diagonal / 2 / edge) + _SUPPORT for edge in pixel_shape)
    first_x = max(0, (left + right) // 2 - reach_x)
    first_y = max(0, (top + bottom) // 2 - reach_y)
    part = rows[first_y : (top + bottom) // 2 + reach_y, first_x : (left + right) // 2 + reach_x]
    return part, (left - first_x, top - first_y, right - first_x, bottom - first_y)


def _interpolated(rows, box, pixel_shape, rotate_deg):
    values, mask = np.ma.getdata(rows), np.ma.getmaskarray(rows)
    own = values[~mask]
    low, high = (own.min(), own.max()) if own.size else (0.0, 0.0)
    film = np.where(mask, low, values)
    part = _transformed(film, box, pixel_shape, rotate_deg, order=3, mode="nearest")
    # Values that are not finite stay what they are, and are refused later.
    if np.isfinite(low) and np.isfinite(high):
        part = np.clip(part, low, high)
    padding = mask.astype(np.float32)
    share = _transformed(padding, box, pixel_shape, rotate_deg, order=1, mode="constant", cval=1.0)
    return np.ma.masked_array(part, share > _MAX_PADDING)[::-1].T


def _transformed(film, box, pixel_shape, rotate_deg, **options):
    """Return the rotated box's pixels ``[row, column]`` of a film ``[row, column]``."""
    left, top, right, bottom = box
    across, down = pixel_shape
    angle = math.radians(rotate_deg)
    cosine, sine = math.cos(angle), math.sin(angle)
    # Row and column on the film of those of the box. Rows point down, so that the film
    # turns clockwise where the places turn the other way.
    matrix = np.array([[cosine, -sine * across / down], [sine * down / across, cosine]])
    shape = bottom - top, right - left
    middle = np.array([top + bottom - 1, left + right - 1]) / 2
    offset = middle - matrix @ (np.array(shape) - 1) / 2
    return scipy.ndimage.affine_transform(film, matrix, offset, shape, np.float32, **options)
