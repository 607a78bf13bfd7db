"""Random appearance of films: scatter, exposure, local contrast, noise, borders, markers."""

import warnings

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter
from skimage.exposure import equalize_adapthist


def random_look(line_integrals, inside, rng):
    """Make a film as a detector and its software may show it.

    Args:
        line_integrals: ``(pixels, pixels)``, no unit.
        inside: boolean of the same shape: where the film is.
        rng: `numpy.random.Generator`.

    Returns:
        float32 film of the same shape, bone bright.
    """
    unit = len(line_integrals) / 96
    film = _exposed(line_integrals, rng, unit)
    low, high = np.percentile(film[inside], (rng.uniform(0, 20), 100 - rng.uniform(0, 15)))
    film = np.clip((film - low) / max(high - low, 1e-6), 0, 1) ** np.exp(rng.uniform(-1, 1))
    if rng.random() < 0.3:
        film = film + rng.uniform(-0.3, 0.3) * _ramp(len(film), rng)
    if rng.random() < 0.3:
        film = gaussian_filter(film, unit * rng.uniform(0.3, 1.2))
    if rng.random() < 0.5:
        film = film + _grain(film.shape, rng, unit)
    for _ in range(2):
        if rng.random() < 0.35:
            film = _sharpened(film, rng, unit)
    if rng.random() < 0.35:
        film = _adaptive(film, rng)
    return film.astype(np.float32)


def with_border(film, keep, rng):
    """Put a collimator's border around a film, at random places outside a box.

    Args:
        film: ``(pixels, pixels)``.
        keep: ``(low, high)`` corners in pixels that stay free.
        rng: `numpy.random.Generator`.

    Returns:
        Film of the same shape.
    """
    count = len(film)
    (left, lower), (right, upper) = np.clip(keep, 0, count)
    bounds = [
        rng.uniform(0, left), rng.uniform(right, count),
        rng.uniform(0, lower), rng.uniform(upper, count),
    ]  # fmt: skip
    for side, open_end in enumerate((0, count, 0, count)):
        if rng.random() < 0.35:
            bounds[side] = open_end
    x, y = np.meshgrid(np.arange(count), np.arange(count), indexing="ij")
    covered = (x < bounds[0]) | (x > bounds[1]) | (y < bounds[2]) | (y > bounds[3])
    level = np.quantile(film, rng.choice([0.0, 0.0, 0.05, 1.0]))
    return np.where(covered, level, film)


def with_markers(film, rng):
    """Burn letters and bars into a film.

    Args:
        film: ``(pixels, pixels)``.
        rng: `numpy.random.Generator`.

    Returns:
        Film of the same shape.
    """
    count = len(film)
    picture = Image.new("L", (count, count))
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.integers(1, 4)):
        x, y = rng.uniform(0, count, 2)
        size = count * rng.uniform(0.04, 0.12)
        if rng.random() < 0.6:
            draw.text((x, y), str(rng.choice(list("LRAP"))), 255, font_size=size)
        elif rng.random() < 0.5:
            draw.rectangle((x, y, x + size * rng.uniform(0.3, 2), y + size), 255)
        else:
            ends = rng.uniform(0, count, 2)
            draw.line((x, y, *ends), 255, width=max(1, round(count * rng.uniform(0.005, 0.02))))
    opacity = np.asarray(picture, np.float32)[::-1].T / 255
    level = np.quantile(film, rng.choice([0.0, 1.0, 1.0]))
    return film + opacity * (level - film)


def _exposed(line_integrals, rng, unit):
    share = np.exp(-np.asarray(line_integrals, np.float64))
    veil = rng.uniform(0, 0.8) * gaussian_filter(share, unit * rng.uniform(4, 14))
    return -np.log(share + veil + 1e-6)


def _ramp(count, rng):
    angle = rng.uniform(0, 2 * np.pi)
    x, y = np.meshgrid(*[np.linspace(-1, 1, count)] * 2, indexing="ij")
    return np.cos(angle) * x + np.sin(angle) * y


def _grain(shape, rng, unit):
    sigma = rng.uniform(0, 0.8) * unit
    noise = gaussian_filter(rng.standard_normal(shape), sigma)
    return 0.06 * rng.random() ** 2 * noise / noise.std()


def _sharpened(film, rng, unit):
    coarse = gaussian_filter(film, unit * np.exp(rng.uniform(0, 2.7)))
    return film + np.exp(rng.uniform(-1, 1.6)) * (film - coarse)


def _adaptive(film, rng):
    low, high = film.min(), film.max()
    if not high > low:
        return film
    kernel = max(2, int(len(film) / rng.uniform(3, 10)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return equalize_adapthist((film - low) / (high - low), kernel, rng.uniform(0.01, 0.1))
