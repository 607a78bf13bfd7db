"""Protocols of PSNR and SSIM in the field, which differ by several decibels.

A protocol is a function of the CT and its reconstruction, both `[x, y, z]` in
[0, 1], and of the window in HU that [0, 1] stands for. It returns a dict with
`psnr` (dB), `ssim` and further values that its authors print. Tables print the
first line of each docstring; docs/metrics.md describes the conventions in full
and names their sources.
"""

import numpy as np

from xctrs_tf.metrics.image import UNIFORM_7, psnr, ssim_3d, ssim_of_moments, ssim_planes

# X2CT-GAN stores CT numbers as HU + 1024, clipped; PerX2CT does the same.
STORED_OFFSET_HU = 1024.0
STORED_MAX = 2500.0
# The peak is that of 12 bits although no value exceeds STORED_MAX: 4.29 dB more.
STORED_PEAK = 4095.0
# Value that both programs print for equal slices, instead of infinity.
EQUAL_DB = 100.0


def xctrs_protocol(y_true, y_pred, window_hu):
    """PSNR of the volume, peak 1; SSIM of 11 x 11 Gaussian windows, mean over planes.

    Args:
        y_true: the CT.
        y_pred: the reconstruction, same shape.
        window_hu: not used; both volumes are compared as they are.

    Returns:
        dict of `psnr` (dB), `ssim` (planes) and `ssim_3d`.
    """
    del window_hu
    return {
        "psnr": psnr(y_true, y_pred),
        "ssim": ssim_planes(y_true, y_pred),
        "ssim_3d": ssim_3d(y_true, y_pred),
    }


def x2ct_protocol(y_true, y_pred, window_hu):
    """X2CT-GAN: PSNR of the volume, peak 4095 on 0..2500; SSIM of 7 x 7 windows over planes.

    Args:
        y_true: the CT.
        y_pred: the reconstruction, same shape.
        window_hu: window `(low, high)` in HU that [0, 1] stands for.

    Returns:
        dict of `psnr` (dB), `psnr_planes` (dB: mean over the planes of each
        view, then over the views) and `ssim`.
    """
    true, pred = _scaled(y_true, window_hu), _scaled(y_pred, window_hu)
    squared_error = _squared_error(true, pred)
    return {
        "psnr": float(_decibels(squared_error.mean())),
        "psnr_planes": _psnr_planes(squared_error),
        "ssim": ssim_planes(true, pred, window=UNIFORM_7),
    }


def perx2ct_protocol(y_true, y_pred, window_hu):
    """PerX2CT: PSNR mean over planes, peak 4095 on 0..2500; SSIM of 7 x 7 x 7 windows, range 2.

    Args:
        y_true: the CT.
        y_pred: the reconstruction, same shape.
        window_hu: window `(low, high)` in HU that [0, 1] stands for.

    Returns:
        dict of `psnr` (dB) and `ssim`.
    """
    true, pred = _scaled(y_true, window_hu), _scaled(y_pred, window_hu)
    return {
        "psnr": _psnr_planes(_squared_error(true, pred)),
        # Its code gives no range; scikit-image then used that of floats, [-1, 1].
        "ssim": ssim_3d(true, pred, data_range=2.0, window=UNIFORM_7),
    }


def literal_protocol(y_true, y_pred, window_hu):
    """X-CTRSNet as printed: PSNR with each CT's own maximum; SSIM of the volume's moments.

    Eq. 17 has no window: its means, variances and covariance are those of the
    volume. The peak MAX of y_CT in Eq. 18 is the largest intensity of this CT.

    Args:
        y_true: the CT.
        y_pred: the reconstruction, same shape.
        window_hu: not used; both volumes are compared as they are.

    Returns:
        dict of `psnr` (dB) and `ssim`.

    Ge et al. (2022), Eq. 17, 18.
    """
    del window_hu
    true, pred = np.asarray(y_true, np.float64), np.asarray(y_pred, np.float64)
    mean_true, mean_pred = true.mean(), pred.mean()
    covariance = np.mean((true - mean_true) * (pred - mean_pred))
    return {
        "psnr": psnr(true, pred, data_range=true.max()),
        "ssim": float(ssim_of_moments(mean_true, mean_pred, true.var() + pred.var(), covariance)),
    }


PROTOCOLS = {
    "xctrs": xctrs_protocol,
    "literal": literal_protocol,
    "x2ct": x2ct_protocol,
    "perx2ct": perx2ct_protocol,
}


def _scaled(values, window_hu):
    """Convert intensities of a window to those of both programs: [0, 1] in float32."""
    low, high = window_hu
    hu = low + np.asarray(values, np.float64) * (high - low)
    stored = np.clip(hu + STORED_OFFSET_HU, 0.0, STORED_MAX)
    return np.float32(stored / STORED_MAX)


def _squared_error(true, pred):
    """Return the squared error of stored CT numbers, truncated as in both programs.

    They multiply in float32, where some whole numbers come out a little smaller and
    are truncated to the next lower one.
    """
    true, pred = (np.trunc(scaled * np.float32(STORED_MAX)) for scaled in (true, pred))
    return np.square(true.astype(np.float64) - pred)


def _decibels(mean_squared_error):
    with np.errstate(divide="ignore"):
        decibels = 10.0 * np.log10(STORED_PEAK**2 / mean_squared_error)
    return np.where(mean_squared_error == 0.0, EQUAL_DB, decibels)


def _psnr_planes(squared_error):
    views = [_decibels(squared_error.mean(axis=tuple({0, 1, 2} - {normal}))) for normal in range(3)]
    return float(np.mean([view.mean() for view in views]))
