"""CT numbers in HU as network intensities in [0, 1], and back."""

import numpy as np

from xctrs_tf.errors import UserError

# Air, also outside the scan: a patient is surrounded by it.
AIR_HU = -1000.0

# From air to dense cortical bone; metal is clipped.
WINDOW_HU = (-1000.0, 1500.0)

# The lowest CT number of 12-bit scanners. What is below fills the corners that the
# scanner does not see.
LOWEST_HU = -1024
# The largest 16-bit number with the usual intercept of -1024, which metal reaches in scans of the
# extended CT scale; padding read as unsigned is above.
HIGHEST_HU = 2**15 - 1 - 1024


def padding_to_air(hu):
    """Replace CT numbers below -1024 HU, which fill the corners of a scan, by air.

    Args:
        hu: array of CT numbers in HU.

    Returns:
        The array, or where it has padding, a changed copy.
    """
    if hu.min() >= LOWEST_HU:
        return hu
    return np.where(hu < LOWEST_HU, hu.dtype.type(AIR_HU), hu)


def check_hu(path, hu):
    """Refuse values that no CT has.

    Args:
        path: the file, for the error.
        hu: array of CT numbers in HU.

    Raises:
        UserError: values above `HIGHEST_HU`, such as padding read as unsigned numbers.
    """
    highest = hu.max()
    if highest > HIGHEST_HU:
        raise UserError(
            f"{path}: values up to {highest:g}, which are no CT numbers (padding read as unsigned, "
            "or another scale); save it in HU"
        )


def normalise_hu(hu):
    """Clip CT numbers to `WINDOW_HU` and scale them to [0, 1].

    Args:
        hu: array or tensor of CT numbers in HU.

    Returns:
        float32 array of the same shape.
    """
    low, high = WINDOW_HU
    return ((np.clip(hu, low, high) - low) / (high - low)).astype(np.float32)


def denormalise_hu(values, window_hu=WINDOW_HU):
    """Invert `normalise_hu` inside the window; values are clipped to [0, 1] first.

    Args:
        values: array of network intensities.
        window_hu: lower and upper end of the window that was used, in HU.

    Returns:
        int16 array of CT numbers in HU.
    """
    low, high = window_hu
    return np.round(np.clip(values, 0.0, 1.0) * (high - low) + low).astype(np.int16)
