"""Reported metrics, computed by NumPy in float64."""

from xctrs_tf.metrics.image import psnr, ssim_3d, ssim_planes
from xctrs_tf.metrics.overlap import dice_per_class
from xctrs_tf.metrics.protocols import PROTOCOLS
from xctrs_tf.metrics.surface_distance import surface_per_class

__all__ = [
    "PROTOCOLS",
    "dice_per_class",
    "psnr",
    "ssim_3d",
    "ssim_planes",
    "surface_per_class",
]
