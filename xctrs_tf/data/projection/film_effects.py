"""Film effects on line integrals: scatter, blur, quantum noise and contrast curve.

Each effect is a function of its own, in the unit in which it acts. `film_effects`
applies them in the order of physics: photons pass the patient, scattered photons
add a veil, the detector blurs and counts what arrives, and the logarithm of the
count passes the contrast curve.
"""

import numpy as np
import scipy


def transmission(line_integrals):
    """Apply the Beer-Lambert law.

    Args:
        line_integrals: ``[horizontal, vertical]``, no unit.

    Returns:
        float64 share of the photons that pass, in (0, 1].
    """
    return np.exp(-np.asarray(line_integrals, np.float64))


def log_signal(share):
    """Return the line integrals of transmitted photons, the inverse of `transmission`."""
    return -np.log(share)


def scatter_veil(share, fraction, width_pixels):
    """Add scattered photons, spread by a wide Gaussian.

    Args:
        share: primary photons ``[horizontal, vertical]``, 1 without a patient.
        fraction: share of scattered photons among all that arrive on the film, from
            0 to below 1. Films of necks without a grid have about 0.3 to 0.5.
        width_pixels: standard deviation of their spread.

    Returns:
        Array of the same shape, whose mean is that of ``share`` over ``1 - fraction``.
    """
    veil = scipy.ndimage.gaussian_filter(share, width_pixels, mode="reflect")
    return share + fraction / (1 - fraction) * veil


def detector_blur(share, sigma_pixels):
    """Blur by a Gaussian with MTF(f) = exp(-2 (pi sigma f)^2), f in cycles per pixel.

    Args:
        share: photons ``[horizontal, vertical]``.
        sigma_pixels: standard deviation of the point spread function.

    Returns:
        Array of the same shape and mean.
    """
    return scipy.ndimage.gaussian_filter(share, sigma_pixels, mode="reflect")


def fine_structure(line_integrals, strength, sigma_pixels, rng):
    """Add structures finer than the CT's voxels, such as trabeculae, as a random texture.

    Args:
        line_integrals: ``[horizontal, vertical]``, no unit.
        strength: standard deviation of the texture, as a share of the line integral.
        sigma_pixels: standard deviation of the Gaussian that blurs white noise to the texture.
        rng: `numpy.random.Generator`.

    Returns:
        float32 array of the same shape.
    """
    noise = rng.standard_normal(np.shape(line_integrals), np.float32)
    noise = scipy.ndimage.gaussian_filter(noise, sigma_pixels, mode="reflect")
    return (line_integrals * (1 + strength / noise.std() * noise)).astype(np.float32)


def detector_saturation(share, limit):
    """Let a detector approach a largest signal, as beside the patient.

    Args:
        share: photons ``[horizontal, vertical]``, 1 without a patient.
        limit: the largest signal, in the same unit. A pixel of so many photons has half of it.

    Returns:
        Array of the same shape, below ``limit``.
    """
    return share / (1 + share / limit)


def quantum_noise(share, photons, rng):
    """Replace the expected photons by a Poisson count.

    Args:
        share: expected photons, 1 without a patient.
        photons: photons that reach a pixel without a patient.
        rng: `numpy.random.Generator`.

    Returns:
        Array of the same shape, with mean ``share`` and variance ``share / photons``
        where many photons arrive. At least one is counted, so that its logarithm
        exists.
    """
    return np.maximum(rng.poisson(share * photons), 1) / photons


def contrast_curve(signal, gamma, middle=0.5):
    """Apply the S-shaped Hurter-Driffield curve of films and viewers.

    Args:
        signal: array in [0, 1].
        gamma: slope in the middle, before the ends are scaled to 0 and 1.
        middle: value in (0, 1) where the curve is steepest.

    Returns:
        Array of the same shape in [0, 1]: a logistic function, scaled.
    """
    # The slope of a logistic function in its middle is a quarter of its factor.
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
    """Apply the chosen effects to line integrals; by default none.

    Args:
        line_integrals: ``[horizontal, vertical]``, no unit.
        seed: seed of the noise.
        photons: photons of a pixel without a patient (`quantum_noise`); None for
            no noise.
        scatter_fraction: share of scattered photons (`scatter_veil`).
        scatter_width_pixels: standard deviation of their spread.
        blur_pixels: standard deviation of the point spread (`detector_blur`).
        gamma: slope of the `contrast_curve` between the film's extremes; None for
            no curve.

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
