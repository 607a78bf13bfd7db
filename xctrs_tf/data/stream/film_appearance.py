"""Random exposure and processing of a film.

The strengths were chosen beside real films (`experiments.studies.film_realism`).
"""

import numpy as np

from xctrs_tf.data.projection import film_effects as physics
from xctrs_tf.data.projection import film_processing as processing

# Exposure. Photons are those of a pixel of median density.
SCATTER_FRACTION = (0.0, 0.4)
SCATTER_WIDTH_MM = (15.0, 60.0)
BLUR_MM = (0.1, 1.0)
PHOTONS = (1500.0, 100_000.0)
# Percentiles at which the window cuts a film: up to so much from either end, one of two at
# the dark end.
SATURATED_DARK = (2.0, 20.0)
SATURATED_BRIGHT = 3.0
# Tone curves, of which each film has one or none.
GAMMA = (0.6, 1.8)
S_CURVE = (0.5, 2.5)
CURVE_PIECES = 6
# Probability of digital processing, and what it then does.
PROCESSING = 0.75
DETAIL_GAIN = (1.5, 12.0)  # of the finest of the bands
DETAIL_BANDS = 4
LOCAL_CONTRAST = 0.8  # probability
TILES = (2, 5)
SLOPE = (1.5, 15.0)
# Probabilities of borders and marks, and their sizes.
COLLIMATION = 0.3
COVERED = 0.12  # of the film's edge, at most, on each side
COLLIMATION_DEG = 3.0
MARKER = 0.4
MARKER_HEIGHT = (0.05, 0.12)
MARKER_DISTANCE = (0.04, 0.2)  # from the nearest edge
CAPTION = 0.1
CAPTIONS = ("AP", "LAT", "ERECT", "PORTABLE", "C-SPINE", "1/2", "14:32")


def random_appearance(line_integrals, spacing_mm, rng):
    """Expose, process and mark a film at random.

    Args:
        line_integrals: ``[horizontal, vertical]``, no unit.
        spacing_mm: edge of a pixel.
        rng: `numpy.random.Generator`.

    Returns:
        float32 film of the same shape in [0, 1], bone bright.
    """
    film = _expose(line_integrals, spacing_mm, rng)
    is_processed = rng.random() < PROCESSING
    if is_processed:
        gain = _log_uniform(DETAIL_GAIN, rng)
        film = processing.enhance_detail(film, gain ** np.linspace(1, 0.25, DETAIL_BANDS))
    # Air belongs to the window of some films alone.
    dark = SATURATED_DARK[int(rng.integers(len(SATURATED_DARK)))]
    film = processing.saturate(film, rng.uniform(0, dark), 100 - rng.uniform(0, SATURATED_BRIGHT))
    film = _random_tone(film, rng)
    if is_processed and rng.random() < LOCAL_CONTRAST:
        tiles = int(rng.integers(*TILES, endpoint=True))
        film = processing.local_contrast(film, tiles, _log_uniform(SLOPE, rng))
    if rng.random() < COLLIMATION:
        edges = rng.uniform(0, COVERED, 4) * (rng.random(4) < 0.5)
        turn = rng.uniform(-COLLIMATION_DEG, COLLIMATION_DEG)
        film = processing.collimate(film, edges, turn, grey=float(rng.random() < 0.3))
    if rng.random() < MARKER:
        film = _mark(film, str(rng.choice(("L", "R"))), rng)
    if rng.random() < CAPTION:
        film = _mark(film, str(rng.choice(CAPTIONS)), rng)
    return np.clip(film, 0.0, 1.0)


def _expose(line_integrals, spacing_mm, rng):
    """Return the logarithm of a random count of photons."""
    share = physics.transmission(line_integrals)
    width = rng.uniform(*SCATTER_WIDTH_MM) / spacing_mm
    share = physics.scatter_veil(share, rng.uniform(*SCATTER_FRACTION), width)
    share = physics.detector_blur(share, rng.uniform(*BLUR_MM) / spacing_mm)
    photons = _log_uniform(PHOTONS, rng) / max(np.median(share), 1e-6)
    return physics.log_signal(physics.quantum_noise(share, photons, rng))


def _random_tone(film, rng):
    """Return a film through one of the tone curves."""
    kind = rng.integers(4)
    if kind == 0:
        return film ** np.float32(_log_uniform(GAMMA, rng))
    if kind == 1:
        curve = physics.contrast_curve(film, rng.uniform(*S_CURVE), rng.uniform(0.3, 0.7))
        return curve.astype(np.float32)
    if kind == 2:
        heights = processing.random_heights(CURVE_PIECES, rng)
        # Halfway to a straight line: no grey values become one.
        return processing.tone_curve(film, (heights + np.linspace(0, 1, len(heights))) / 2)
    return film


def _mark(film, text, rng):
    """Burn a text into a film near one of its edges."""
    height = rng.uniform(*MARKER_HEIGHT)
    near, along = rng.uniform(*MARKER_DISTANCE), rng.uniform(0.1, 0.9)
    if rng.random() < 0.5:
        near = 1 - near
    place = (near, along) if rng.random() < 0.7 else (along, near)
    return processing.burn_in(
        film, text, place, height, rng.uniform(0.8, 1.0), mirrored=rng.random() < 0.3
    )


def _log_uniform(limits, rng):
    return float(np.exp(rng.uniform(*np.log(limits))))
