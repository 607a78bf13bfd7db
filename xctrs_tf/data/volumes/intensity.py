"""CT numbers in HU as network intensities in [0, 1], and back."""

import numpy as np

# Air, also outside the scan: a patient is surrounded by it.
AIR_HU = -1000.0

# From air to dense cortical bone; metal is clipped.
WINDOW_HU = (-1000.0, 1500.0)


def normalise_hu(hu, window_hu=WINDOW_HU):
    """Clip CT numbers to a window and scale them to [0, 1].

    Args:
        hu: array or tensor of CT numbers in HU.
        window_hu: lower and upper end of the window in HU.

    Returns:
        float32 array of the same shape.
    """
    low, high = window_hu
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
