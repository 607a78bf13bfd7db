"""Image metrics: PSNR (Eq. 18) and SSIM (Eq. 17).

Volumes are `[x, y, z]`; all is computed in float64.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import scipy

from xctrs_tf.geometry import PLANE_AXIS

SSIM_K = (0.01, 0.03)


@dataclasses.dataclass(frozen=True)
class Window:
    """Window of SSIM's local means and covariances.

    Attributes:
        local_mean: function of an array and of the `axes` of the window.
        radius: voxels from its centre to its edge.
        sample_covariance: divide by the number of voxels less one.
    """

    local_mean: Callable
    radius: int
    sample_covariance: bool


# Z. Wang et al., "Image quality assessment: from error visibility to structural
# similarity", 2004.
GAUSSIAN_11 = Window(
    lambda x, axes: scipy.ndimage.gaussian_filter(x, sigma=1.5, radius=5, axes=axes),
    radius=5,
    sample_covariance=False,
)
# The default of scikit-image.
UNIFORM_7 = Window(
    lambda x, axes: scipy.ndimage.uniform_filter(x, size=7, axes=axes),
    radius=3,
    sample_covariance=True,
)


def psnr(y_true, y_pred, data_range=1.0):
    """Return the peak signal-to-noise ratio over the whole volume.

    Args:
        y_true: the CT, an array of any shape.
        y_pred: the reconstruction, same shape.
        data_range: the peak: width of the range of intensities.

    Returns:
        float, dB; infinite for equal volumes.

    Ge et al. (2022), Eq. 18.
    """
    error = np.mean(np.square(np.asarray(y_pred, np.float64) - np.asarray(y_true, np.float64)))
    if error == 0.0:
        return np.inf
    return float(10.0 * np.log10(data_range**2 / error))


def ssim_planes(y_true, y_pred, data_range=1.0, window=GAUSSIAN_11):
    """Return the mean SSIM of all axial, coronal and sagittal planes, the one reported.

    Args:
        y_true: the CT `[x, y, z]`, no side shorter than the window.
        y_pred: the reconstruction, same shape.
        data_range: width of the range of intensities.
        window: `Window`.

    Returns:
        float: the mean over the planes of each view, then over the three views.

    Ge et al. (2022), Eq. 17.
    """
    in_plane = [tuple({0, 1, 2} - {normal}) for normal in PLANE_AXIS.values()]
    return float(np.mean([_ssim(y_true, y_pred, axes, data_range, window) for axes in in_plane]))


def ssim_3d(y_true, y_pred, data_range=1.0, window=GAUSSIAN_11):
    """Return SSIM with a three-dimensional window.

    Args:
        y_true: the CT `[x, y, z]`, no side shorter than the window.
        y_pred: the reconstruction, same shape.
        data_range: width of the range of intensities.
        window: `Window`.

    Returns:
        float.

    Ge et al. (2022), Eq. 17.
    """
    return float(_ssim(y_true, y_pred, (0, 1, 2), data_range, window))


def ssim_of_moments(mean_true, mean_pred, variance_sum, covariance, data_range=1.0):
    """Return SSIM from means, variances and covariance.

    Args:
        mean_true: mean of the CT: a number, or an array of local means.
        mean_pred: mean of the reconstruction, same shape.
        variance_sum: variance of the CT plus variance of the reconstruction.
        covariance: covariance of the two.
        data_range: width of the range of intensities.

    Returns:
        SSIM, of the same shape.

    Ge et al. (2022), Eq. 17.
    """
    c1, c2 = ((k * data_range) ** 2 for k in SSIM_K)
    luminance = (2.0 * mean_true * mean_pred + c1) / (mean_true**2 + mean_pred**2 + c1)
    structure = (2.0 * covariance + c2) / (variance_sum + c2)
    return luminance * structure


def _ssim(y_true, y_pred, axes, data_range, window):
    """Return the mean SSIM of windows along the given axes.

    Only windows that lie inside the volume count, as in the original
    definition; the result does not depend on any padding.
    """
    first = np.asarray(y_true, np.float64)
    second = np.asarray(y_pred, np.float64)
    inside = tuple(
        slice(window.radius, -window.radius) if axis in axes else slice(None)
        for axis in range(first.ndim)
    )
    count = (2 * window.radius + 1) ** len(axes)
    scale = count / (count - 1) if window.sample_covariance else 1.0

    def local_mean(values):
        return window.local_mean(values, axes=axes)[inside]

    mean_1, mean_2 = local_mean(first), local_mean(second)
    variance_sum = scale * (local_mean(first**2 + second**2) - mean_1**2 - mean_2**2)
    covariance = scale * (local_mean(first * second) - mean_1 * mean_2)
    return np.mean(ssim_of_moments(mean_1, mean_2, variance_sum, covariance, data_range))
