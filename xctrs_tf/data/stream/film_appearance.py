"""Random exposure and processing of a film.

The strengths were chosen beside real films (`experiments.studies.film_realism`).
"""

import numpy as np

from xctrs_tf.data.projection import film_effects as physics
from xctrs_tf.data.projection import film_processing as processing

# Exposure. Photons and saturation are relative to a pixel of median density.
FINE_STRUCTURE = (0.0015, 0.012)
FINE_STRUCTURE_MM = (0.75, 2.5)
SCATTER_FRACTION = (0.0, 0.45)
SCATTER_WIDTH_MM = (15.0, 60.0)
BLUR_MM = (0.1, 1.0)
PHOTONS = (10_000.0, 1_000_000.0)
SATURATION = 0.95  # probability
SATURATED_SIGNAL = (0.4, 4.0)
# Probability of digital processing, and what it then does. Gains are drawn for the finest band
# (as a factor on that of the middle), for the middle and for the coarsest.
PROCESSING = 0.92
BAND_SIGMA_MM = 1.25  # of the finest
BANDS = 6
FINEST_GAIN = (1.5, 6.0)
MIDDLE_GAIN = (1.2, 4.0)
COARSE_GAIN = (0.2, 0.8)
BASE_GAIN = (0.0, 0.6)
BAND_POWER = (0.85, 1.05)
DENSITY = (0.0, 0.6)
LOCAL_CONTRAST = 0.95  # probability
TILES = (2, 6)
SLOPE = (1.2, 4.0)
BRIGHTNESS = (0.75, 1.5)  # power after all that
RESAMPLING_BLUR = (0.0, 0.5)  # pixels
# Percentiles at which the window cuts a film: up to so much from either end. Air does not
# belong to the window of some films.
AIR_CUT = 0.1  # probability
SATURATED_DARK = (1.0, 20.0)
SATURATED_BRIGHT = 1.5
# Tone curves, of which each unprocessed film and some processed ones have one or none.
PROCESSED_TONE = 0.4  # probability
GAMMA = (0.6, 1.8)
S_CURVE = (0.5, 2.5)
CURVE_PIECES = 6
# Probabilities of borders and marks, and their sizes.
COLLIMATION = 0.2
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
        film = _enhance_bands(film, spacing_mm, rng)
    dark = SATURATED_DARK[int(rng.random() < AIR_CUT)]
    film = processing.saturate(film, rng.uniform(0, dark), 100 - rng.uniform(0, SATURATED_BRIGHT))
    if not is_processed or rng.random() < PROCESSED_TONE:
        film = _random_tone(film, rng)
    if is_processed:
        if rng.random() < LOCAL_CONTRAST:
            tiles = rng.integers(*TILES, 2, endpoint=True)
            film = processing.local_contrast(film, tiles, _log_uniform(SLOPE, rng))
        film = np.clip(film, 0, 1) ** np.float32(_log_uniform(BRIGHTNESS, rng))
        film = physics.detector_blur(film, rng.uniform(*RESAMPLING_BLUR))
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
    line_integrals = physics.fine_structure(
        line_integrals,
        _log_uniform(FINE_STRUCTURE, rng),
        rng.uniform(*FINE_STRUCTURE_MM) / spacing_mm,
        rng,
    )
    share = physics.transmission(line_integrals)
    width = rng.uniform(*SCATTER_WIDTH_MM) / spacing_mm
    share = physics.scatter_veil(share, rng.uniform(*SCATTER_FRACTION), width)
    share = physics.detector_blur(share, rng.uniform(*BLUR_MM) / spacing_mm)
    median = max(np.median(share), 1e-6)
    share = physics.quantum_noise(share, _log_uniform(PHOTONS, rng) / median, rng)
    if rng.random() < SATURATION:
        share = physics.detector_saturation(share, _log_uniform(SATURATED_SIGNAL, rng) * median)
    return physics.log_signal(share)


def _enhance_bands(film, spacing_mm, rng):
    """Amplify the bands of a film by random gains, which change smoothly from band to band."""
    middle = _log_uniform(MIDDLE_GAIN, rng)
    anchors = (middle * _log_uniform(FINEST_GAIN, rng), middle, _log_uniform(COARSE_GAIN, rng))
    bands = np.arange(BANDS)
    return processing.enhance_detail(
        film,
        np.exp(np.interp(bands, (0, 1.5, BANDS - 1), np.log(anchors))),
        base_gain=rng.uniform(*BASE_GAIN),
        power=rng.uniform(*BAND_POWER),
        density=rng.uniform(*DENSITY),
        sigma=BAND_SIGMA_MM / spacing_mm,
    )


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
