"""How near a reconstruction is to its CT: PSNR (Eq. 18) and SSIM (Eq. 17).

Volumes are `[x, y, z]`; everything is computed in float64.
"""

import numpy as np
from scipy import ndimage

from xctrs_tf.geometry import PLANE_AXIS

# The window of Z. Wang et al., "Image quality assessment: from error visibility
# to structural similarity", 2004: 11 wide, Gaussian.
SSIM_SIGMA = 1.5
SSIM_RADIUS = 5
SSIM_K = (0.01, 0.03)


def psnr(y_true, y_pred, data_range=1.0):
    """Peak signal-to-noise ratio over the whole volume (Eq. 18).

    Args:
        y_true: the CT.
        y_pred: the reconstruction, same shape.
        data_range: the peak: width of the range of intensities.

    Returns:
        float, dB; infinite for equal volumes.
    """
    error = np.mean(np.square(np.asarray(y_pred, np.float64) - np.asarray(y_true, np.float64)))
    if error == 0.0:
        return np.inf
    return float(10.0 * np.log10(data_range**2 / error))


def ssim_planes(y_true, y_pred, data_range=1.0):
    """SSIM of all axial, coronal and sagittal planes: the headline figure.

    Args:
        y_true: the CT `[x, y, z]`, at least 11 voxels a side.
        y_pred: the reconstruction, same shape.
        data_range: width of the range of intensities.

    Returns:
        float: the mean over the planes of each view, then over the three views.
    """
    in_plane = [tuple({0, 1, 2} - {normal}) for normal in PLANE_AXIS.values()]
    return float(np.mean([_ssim(y_true, y_pred, axes, data_range) for axes in in_plane]))


def ssim_3d(y_true, y_pred, data_range=1.0):
    """SSIM with a three-dimensional window.

    Args:
        y_true: the CT `[x, y, z]`, at least 11 voxels a side.
        y_pred: the reconstruction, same shape.
        data_range: width of the range of intensities.

    Returns:
        float.
    """
    return float(_ssim(y_true, y_pred, (0, 1, 2), data_range))


def xctrs_protocol(y_true, y_pred):
    """This project's figures for intensities in [0, 1].

    Args:
        y_true: the CT `[x, y, z]`.
        y_pred: the reconstruction, same shape.

    Returns:
        dict of `psnr` (dB), `ssim` (planes) and `ssim_3d`.
    """
    return {
        "psnr": psnr(y_true, y_pred),
        "ssim": ssim_planes(y_true, y_pred),
        "ssim_3d": ssim_3d(y_true, y_pred),
    }


# Papers differ by decibels in peak, window and range: a protocol has a name.
PROTOCOLS = {"xctrs": xctrs_protocol}


def _ssim(y_true, y_pred, axes, data_range):
    """Mean SSIM of windows along some axes.

    Only windows that lie inside the volume count, as in the original
    definition; nothing depends on how the borders are padded.
    """
    first = np.asarray(y_true, np.float64)
    second = np.asarray(y_pred, np.float64)
    inside = tuple(
        slice(SSIM_RADIUS, -SSIM_RADIUS) if axis in axes else slice(None)
        for axis in range(first.ndim)
    )

    def local_mean(values):
        return ndimage.gaussian_filter(values, SSIM_SIGMA, radius=SSIM_RADIUS, axes=axes)[inside]

    mean_1, mean_2 = local_mean(first), local_mean(second)
    variances = local_mean(first**2 + second**2) - mean_1**2 - mean_2**2
    covariance = local_mean(first * second) - mean_1 * mean_2
    c1, c2 = ((k * data_range) ** 2 for k in SSIM_K)
    luminance = (2.0 * mean_1 * mean_2 + c1) / (mean_1**2 + mean_2**2 + c1)
    structure = (2.0 * covariance + c2) / (variances + c2)
    return np.mean(luminance * structure)
