"""Films with two marks instead of a neck, and a network that finds them without training."""

import math

import numpy as np

from xctrs_tf.geometry import VIEWS

HEIGHT = 60.0


def marked_film(shape, centre, angle_deg=0.0, mirrored=False, height=HEIGHT):
    """Return a film ``[horizontal, vertical]``: a bright disc, and a dark bar above it.

    The bar lies half a height above the disc and reaches a third of it to the left.
    """
    x, y = np.meshgrid(*(np.arange(count) + 0.5 for count in shape), indexing="ij")
    x, y = (x - centre[0]) / height, (y - centre[1]) / height
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    across, up = cos * x + sin * y, cos * y - sin * x
    across = -across if mirrored else across
    disc = np.hypot(across, up) < 0.08
    bar = (np.abs(up - 0.5) < 0.05) & (across > -0.33) & (across < 0.03)
    return 3 * (disc.astype(np.float32) - bar)


def find_marks(windows):
    """Answer as the network of `build_finder` does, for both views alike."""
    answers = np.zeros((len(windows), len(VIEWS), 5), np.float32)
    answers[..., 0] = -10
    places = (np.arange(windows.shape[1]) + 0.5) / windows.shape[1] - 0.5
    for window, answer in zip(windows, answers, strict=True):
        bright, dark = (places[np.argwhere(sign * window[..., 0] > 0.1)] for sign in (1, -1))
        if len(bright) and len(dark):
            answer[:] = _answer(bright.mean(0), dark, len(bright) < len(dark))
    return answers


def _answer(centre, dark, is_bar):
    away = dark - centre
    far = np.hypot(*away.T)
    nearest = away[far < far.min() * 1.06].mean(0)
    farthest = away[far.argmax()]
    angle = math.atan2(-nearest[0], nearest[1])
    is_left = nearest[0] * farthest[1] - nearest[1] * farthest[0] > 0
    score = 5 - 4 * abs(angle) if is_left and is_bar else -5
    height = 2 * (np.hypot(*nearest) + 1e-6) / 0.91
    return score, *centre, math.log(height), angle
