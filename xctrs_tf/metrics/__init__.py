"""Reported figures: NumPy, float64, never part of a graph."""

from xctrs_tf.metrics.image import PROTOCOLS, psnr, ssim_3d, ssim_planes
from xctrs_tf.metrics.overlap import dice_per_class

__all__ = ["PROTOCOLS", "dice_per_class", "psnr", "ssim_3d", "ssim_planes"]
