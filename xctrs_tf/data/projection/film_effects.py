"""What a detector makes of line integrals: blur, scatter, quantum noise, film curve.

Line integrals are exact; a film is not. Each effect works alone and in the unit
that it belongs to; `film_effects` joins them in the order of physics: photons
pass the patient, scattered ones fall beside them as a veil, the detector blurs
what arrives and counts it, and its logarithm passes the contrast curve.
"""

import numpy as np
from scipy import ndimage


def transmission(line_integrals):
    """Share of the photons that pass, by Beer and Lambert."""
    return np.exp(-np.asarray(line_integrals, np.float64))


def log_signal(share):
    """Line integrals that would let this share of the photons pass."""
    return -np.log(share)


def scatter_veil(share, fraction, width_pixels):
    """Add scattered photons, spread far and wide.

    Args:
        share: primary photons ``[horizontal, vertical]``, 1 without a patient.
        fraction: scattered photons among all that arrive, over the whole film;
            0 to below 1. Necks without a grid have about 0.3 to 0.5.
        width_pixels: standard deviation of their spread.

    Returns:
        Array of the same shape; its mean is the primary's over ``1 - fraction``.
    """
    veil = ndimage.gaussian_filter(share, width_pixels, mode="reflect")
    return share + fraction / (1 - fraction) * veil


def detector_blur(share, sigma_pixels):
    """Blur by a Gaussian: MTF(f) = exp(-2 (pi sigma f)^2), f in cycles per pixel.

    Args:
        share: photons ``[horizontal, vertical]``.
        sigma_pixels: standard deviation of the point spread.

    Returns:
        Array of the same shape and mean.
    """
    return ndimage.gaussian_filter(share, sigma_pixels, mode="reflect")


def quantum_noise(share, photons, rng):
    """Count photons instead of knowing their number.

    Args:
        share: expected photons, 1 without a patient.
        photons: how many reach a pixel without a patient.
        rng: `numpy.random.Generator`.

    Returns:
        Array of the same shape: mean ``share`` and variance ``share / photons``
        where many arrive; at least one is counted, so that it has a logarithm.
    """
    return np.maximum(rng.poisson(share * photons), 1) / photons


def contrast_curve(signal, gamma, middle=0.5):
    """The S-shaped curve of Hurter and Driffield, by which films and viewers darken.

    Args:
        signal: array in [0, 1].
        gamma: steepness in the middle; the ends stay 0 and 1.
        middle: value in (0, 1) where it is steepest.

    Returns:
        Array of the same shape in [0, 1]: a logistic function, scaled.
    """
    # A logistic function's slope in its middle is a quarter of its factor.
    low, high, curve = (_logistic(4 * gamma * (x - middle)) for x in (0.0, 1.0, signal))
    return (curve - low) / (high - low)


def film_effects(
    line_integrals,
    seed=0,
    photons=None,
    scatter_fraction=0.0,
    scatter_width_pixels=0.0,
    blur_pixels=0.0,
    gamma=None,
):
    """A film with the effects that are asked for; with none, the line integrals.

    Args:
        line_integrals: ``[horizontal, vertical]``, no unit.
        seed: of the noise.
        photons: a pixel's photons without a patient (`quantum_noise`); None for
            no noise.
        scatter_fraction: `scatter_veil`.
        scatter_width_pixels: `scatter_veil`.
        blur_pixels: `detector_blur`.
        gamma: `contrast_curve`, on the film between its extremes; None for none.

    Returns:
        float32 film of the same shape, bone bright.
    """
    share = transmission(line_integrals)
    if scatter_fraction:
        share = scatter_veil(share, scatter_fraction, scatter_width_pixels)
    if blur_pixels:
        share = detector_blur(share, blur_pixels)
    if photons is not None:
        share = quantum_noise(share, photons, np.random.default_rng(seed))
    film = log_signal(share)
    if gamma is not None:
        low, high = film.min(), film.max()
        film = low + (high - low) * contrast_curve((film - low) / (high - low), gamma)
    return film.astype(np.float32)


def _logistic(x):
    return 1 / (1 + np.exp(-x))
