"""Digitally reconstructed radiographs: CT numbers to attenuation to line integrals."""

import keras
from keras import ops

from xctrs_tf.geometry import RAY_AXIS

# Linear attenuation coefficients in 1/mm. Between air and water they follow the
# definition of the Hounsfield unit; above water bone's atomic number makes them
# rise faster at diagnostic tube voltages (docs/fidelity.md).
WATER_MU = 0.0192
BONE_MU = 0.0573  # at 1000 HU


def hu_to_mu(hu):
    """Attenuation of CT numbers: linear from air to water, and steeper above water.

    Args:
        hu: array or tensor of CT numbers in HU.

    Returns:
        float tensor of the same shape, in 1/mm, never negative.
    """
    hu = ops.cast(hu, keras.config.floatx())
    below = ops.clip(hu, -1000.0, 0.0) * (WATER_MU / 1000.0)
    above = ops.maximum(hu, 0.0) * ((BONE_MU - WATER_MU) / 1000.0)
    return WATER_MU + below + above


def parallel_projection(mu, spacing_mm, view):
    """Line integrals of attenuation along parallel rays.

    Only parallel rays keep every voxel of a ray in one pixel, which is what the
    networks' view alignment (Eq. 5, 6) takes for granted.

    Args:
        mu: attenuation ``(x, y, z)`` or ``(batch, x, y, z)`` in 1/mm.
        spacing_mm: voxel size along the rays.
        view: ``"ap"`` or ``"la"``.

    Returns:
        Line integrals (no unit): ``[x, z]`` for AP, ``[y, z]`` for LA, with the
        batch axis first where there was one.
    """
    return ops.sum(mu, axis=RAY_AXIS[view] - 3) * spacing_mm
