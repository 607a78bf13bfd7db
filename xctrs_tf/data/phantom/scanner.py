"""What the scanner adds: a little blur and correlated noise."""

import numpy as np
from scipy import ndimage

# Blur of a neck protocol with a medium kernel, and noise at 1 mm voxels.
BLUR_MM = 0.45
NOISE_HU = 14.0
# In-plane correlation of the noise; unit energy keeps its strength.
KERNEL = np.float32([0.25, 0.9354, 0.25])


def scan(hu, spacing_mm, rng):
    """Blur and add noise.

    Noise falls with the square root of the voxel's volume, as averaging does.

    Args:
        hu: float32 CT numbers, changed in place.
        spacing_mm: edge of a voxel.
        rng: `numpy.random.Generator`.

    Returns:
        float32 CT numbers.
    """
    sigma = BLUR_MM / spacing_mm
    if sigma > 0.2:
        hu = ndimage.gaussian_filter(hu, sigma, truncate=3.0)
    noise = rng.standard_normal(hu.shape, dtype=np.float32)
    for axis in (0, 1):
        noise = ndimage.correlate1d(noise, KERNEL, axis)
    hu += noise * np.float32(NOISE_HU * min(1.6, spacing_mm**-0.75))
    return hu
