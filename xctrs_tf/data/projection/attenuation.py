"""Attenuation of X-rays from CT numbers, in NumPy."""

import numpy as np

# Linear attenuation coefficients in 1/mm. Between air and water they follow the
# definition of the Hounsfield unit. Above water they rise faster at diagnostic tube
# voltages, because of the atomic number of bone (docs/fidelity.md).
WATER_MU = 0.0192
BONE_MU = 0.0573  # at 1000 HU


def attenuation(hu, bone_contrast=1.0):
    """Convert CT numbers to attenuation, as `drr.hu_to_mu` for arrays.

    Args:
        hu: array of CT numbers in HU.
        bone_contrast: factor on the rise above water. It is below 1 for a higher tube
            voltage and behind a thick patient, where the beam is hardened.

    Returns:
        float32 array of the same shape, in 1/mm, never negative.
    """
    mu = np.maximum(hu, -1000, dtype=np.float32)
    above = np.maximum(mu, 0)
    mu += 1000
    mu *= np.float32(WATER_MU / 1000)
    above *= np.float32((bone_contrast * (BONE_MU - WATER_MU) - WATER_MU) / 1000)
    mu += above
    return mu
