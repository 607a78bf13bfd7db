"""Predictions of a network that is sure of the labels it is given, and one phantom for them."""

import functools

import numpy as np

from xctrs_tf.ct_segmentation.windows import Prediction
from xctrs_tf.data.phantom.phantom import make_phantom

SPACING_MM = 2.5
SURE = 0.9
NAMES = ("C1", "C2", "C3", "C4", "C5", "C6", "C7")


@functools.cache
def neck():
    """Return a phantom at 2.5 mm with the first ribs; do not change its arrays."""
    phantom = make_phantom(0, (48, 48, 60), SPACING_MM, noise=False)
    phantom.ct.flags.writeable = phantom.segmentation.flags.writeable = False
    return phantom


def prediction_of(labels, hu=None, sure=SURE, origin_mm=None):
    """Return a prediction of the labels 0..7, on the CT numbers of the phantom by default."""
    probabilities = np.full((*labels.shape, 8), (1 - sure) / 7, np.float16)
    np.put_along_axis(probabilities, labels[..., np.newaxis].astype(int), sure, -1)
    hu = neck().ct if hu is None else hu
    origin_mm = neck().origin_mm if origin_mm is None else origin_mm
    return Prediction(probabilities, np.asarray(hu, np.float32), SPACING_MM, origin_mm)


def relabelled(levels):
    """Return the labels of the phantom with other ones for some: ``{old: new}``."""
    table = np.arange(8, dtype=np.uint8)
    for old, new in levels.items():
        table[old] = new
    return table[neck().segmentation]


def upper_part(level, share):
    """Return a mask of the upper part of a vertebra of the phantom."""
    mask = neck().segmentation == level
    heights = np.broadcast_to(np.arange(mask.shape[2]), mask.shape)
    return mask & (heights > np.quantile(heights[mask], 1 - share))


def seen_from(bottom, top):
    """Return labels and CT numbers of a scan that shows some layers only, padded with air."""
    labels = np.zeros_like(neck().segmentation)
    hu = np.full(labels.shape, -1000.0, np.float32)
    labels[..., bottom:top] = neck().segmentation[..., bottom:top]
    hu[..., bottom:top] = neck().ct[..., bottom:top]
    return labels, hu


def heights_of(level):
    """Return the lowest and the highest layer of a vertebra of the phantom."""
    layers = np.flatnonzero((neck().segmentation == level).any(axis=(0, 1)))
    return int(layers[0]), int(layers[-1])


def one_piece_of_two():
    """Return labels and CT numbers of four blocks: C3, two of C4 with a thin bridge, and C6."""
    labels = np.zeros((40, 40, 50), np.uint8)
    for bottom, level in ((36, 3), (29, 4), (22, 4), (15, 6)):
        labels[14:26, 16:22, bottom : bottom + 4] = level
    labels[19:21, 18:20, 26:29] = 4
    hu = np.full(labels.shape, -1000.0, np.float32)
    hu[4:36, 4:36] = np.where(labels[4:36, 4:36] > 0, 400.0, 40.0)
    return labels, hu
