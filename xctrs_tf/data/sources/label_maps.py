"""Label maps: from the numbers in a collection's label files to C1..C7 = 1..7."""

import dataclasses

import numpy as np

from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VERTEBRAE

_NUMBERS = range(1, len(VERTEBRAE) + 1)

# Number in the file -> number here. VerSe, CTSpine1K and RSNA 2022 count from
# C1 = 1; TotalSegmentator counts upwards from the sacrum, from different first numbers
# in its two versions.
CERVICAL = {number: number for number in _NUMBERS}
TOTALSEGMENTATOR = {51 - number: number for number in _NUMBERS}
TOTALSEGMENTATOR_V1 = {42 - number: number for number in _NUMBERS}

# Largest error of a whole number that a header's scale was applied to.
_ROUNDING = 1e-3

NAMED = {
    "cervical": CERVICAL,
    "totalsegmentator": TOTALSEGMENTATOR,
    "totalsegmentator_v1": TOTALSEGMENTATOR_V1,
}


def parse_label_map(text):
    """Parse a label map of the command line.

    Args:
        text: a name of `NAMED`, or pairs such as ``20:1,21:2`` (number in the
            file, then 1..7 for C1..C7).

    Returns:
        Dict from number in the file to number here.

    Raises:
        UserError: neither of the two, or C1..C7 do not occur once each.
    """
    if text in NAMED:
        return NAMED[text]
    try:
        pairs = [tuple(map(int, pair.split(":"))) for pair in text.split(",")]
        label_map = dict(pairs)
    except ValueError as error:
        raise UserError(
            f"--label_map={text}: write it as 20:1,21:2,... or name one of {', '.join(NAMED)}"
        ) from error
    if sorted(there for there, _ in pairs) != sorted(label_map) or 0 in label_map:
        raise UserError(f"--label_map={text}: a number of the file stands twice, or is 0")
    if sorted(label_map.values()) != list(_NUMBERS):
        raise UserError(f"--label_map={text}: name each of 1..7 (C1..C7) once after a colon")
    return label_map


def apply_label_map(labels, label_map, file):
    """Renumber labels so that C1..C7 are 1..7 and all others 0.

    Args:
        labels: `Volume` of a file's labels.
        label_map: dict from number in the file to number here.
        file: name of the file, for the error.

    Returns:
        `Volume`, uint8, 1..7 = C1..C7, 0 elsewhere.

    Raises:
        UserError: the values are not whole numbers.
    """
    stored = labels.array
    if np.issubdtype(stored.dtype, np.floating):
        stored = np.rint(stored)
        if np.abs(stored - labels.array).max() > _ROUNDING:
            raise UserError(f"{file}: holds fractions; labels are whole numbers")
    array = np.zeros(stored.shape, np.uint8)
    for there, here in label_map.items():
        array[stored == there] = here
    return dataclasses.replace(labels, array=array)


def binary_mask(mask, file):
    """Return where a mask of one class is set; one that was resampled linearly is cut at a half.

    Args:
        mask: `Volume` of a file of one class.
        file: name of the file, for the error.

    Returns:
        Boolean array.

    Raises:
        UserError: neither 0 and one other number, nor shares from 0 to 1.
    """
    array = mask.array
    low, high = float(array.min()), float(array.max())
    if np.issubdtype(array.dtype, np.floating) and low > -0.5 and high < 1.5:
        # Interpolation of a higher order exceeds 0 and 1 a little.
        return array > 0.5
    if low < 0 or not np.all((array == 0) | (array == high)):
        raise UserError(f"{file}: values from {low:g} to {high:g}; a mask has 0 and one other")
    return array > 0
