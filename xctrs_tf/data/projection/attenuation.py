"""Attenuation of X-rays from CT numbers, in NumPy."""

import numpy as np

# Linear attenuation coefficients in 1/mm. Between air and water they follow the
# definition of the Hounsfield unit. Above water they rise faster at diagnostic tube
# voltages, because of the atomic number of bone (docs/fidelity.md).
WATER_MU = 0.0192
BONE_MU = 0.0573  # at 1000 HU
# Voxels at a time: few enough for the processor's cache.
_BLOCK = 2**16


def attenuation(hu, bone_contrast=1.0):
    """Convert CT numbers to attenuation, as `drr.hu_to_mu` for arrays.

    Args:
        hu: array of CT numbers in HU.
        bone_contrast: factor on the rise above water. It is below 1 for a higher tube
            voltage and behind a thick patient, where the beam is hardened.

    Returns:
        float32 array of the same shape, in 1/mm, never negative.
    """
    hu = np.ascontiguousarray(hu)
    mu = np.empty(hu.shape, np.float32)
    water = np.float32(WATER_MU / 1000)
    rise = np.float32((bone_contrast * (BONE_MU - WATER_MU) - WATER_MU) / 1000)
    given, result = hu.reshape(-1), mu.reshape(-1)
    for start in range(0, given.size, _BLOCK):
        part = result[start : start + _BLOCK]
        np.maximum(given[start : start + _BLOCK], -1000, out=part, casting="same_kind")
        above = np.maximum(part, 0)
        part += 1000
        part *= water
        above *= rise
        part += above
    return mu
