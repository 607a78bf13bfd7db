"""Pictures without a neck, made at random: hands, blobs, sticks, noise, blank films."""

import numpy as np
from scipy.ndimage import gaussian_filter


def no_neck(pixels, rng):
    """Make a picture that shows no neck.

    Args:
        pixels: edge.
        rng: `numpy.random.Generator`.

    Returns:
        float32 ``(pixels, pixels)``, in the unit of line integrals.
    """
    kind = rng.choice([_hand, _blobs, _sticks, _clouds, _blank], p=[0.3, 0.2, 0.2, 0.2, 0.1])
    return kind(pixels, rng).astype(np.float32)


def _hand(pixels, rng):
    """Fingers of several bones each, a palm, and a wrist."""
    turn = rng.uniform(0, 2 * np.pi)
    palm = np.array([0.5, 0.5]) + rng.uniform(-0.1, 0.1, 2)
    size = rng.uniform(0.2, 0.4)
    film = 0.5 * _capsule(pixels, palm, palm, size * 0.9)
    film += 0.5 * _capsule(pixels, palm, palm - size * 3 * _direction(turn), size * 0.7)
    for finger in range(5):
        direction = _direction(turn + (finger - 2) * rng.uniform(0.15, 0.4))
        start = palm + size * 0.2 * direction
        for length in size * np.array([0.9, 0.7, 0.5, 0.35]) * rng.uniform(0.8, 1.2):
            end = start + length * direction
            film += 0.4 * _capsule(pixels, start, end, size * 0.16)
            film += rng.uniform(0.5, 1) * _capsule(pixels, start, end, size * 0.07)
            start = end + 0.05 * size * direction
    return film


def _blobs(pixels, rng):
    film = np.zeros((pixels, pixels))
    for _ in range(rng.integers(1, 9)):
        centre, radius = rng.uniform(0, 1, 2), rng.uniform(0.03, 0.4)
        stretch = np.exp(rng.uniform(-0.7, 0.7))
        film += rng.uniform(-0.5, 1) * _capsule(pixels, centre, centre, radius, stretch)
    return film + 0.1 * _clouds(pixels, rng)


def _sticks(pixels, rng):
    """Long bones, ribs or a grid of lines."""
    film = 0.3 * _clouds(pixels, rng)
    angle, spread = rng.uniform(0, np.pi), rng.choice([0.05, 0.3, 1.5])
    for _ in range(rng.integers(1, 12)):
        direction = _direction(angle + rng.normal() * spread)
        middle, half = rng.uniform(0, 1, 2), rng.uniform(0.1, 0.7)
        ends = middle - half * direction, middle + half * direction
        film += rng.uniform(0.2, 1) * _capsule(pixels, *ends, rng.uniform(0.01, 0.1))
    return film


def _clouds(pixels, rng):
    film = gaussian_filter(rng.standard_normal((pixels, pixels)), pixels * rng.uniform(0.01, 0.2))
    return film / film.std()


def _blank(pixels, rng):
    noise = rng.standard_normal((pixels, pixels))
    return 1 + rng.uniform(0, 0.2) * noise


def _direction(angle):
    return np.array([np.cos(angle), np.sin(angle)])


def _capsule(pixels, start, end, radius, stretch=1.0):
    """Return the thickness of a round stick between two points, on a square of edge 1."""
    places = (np.arange(pixels) + 0.5) / pixels
    x, y = np.meshgrid(places - start[0], places - start[1], indexing="ij")
    along = np.asarray(end) - start
    position = np.clip((x * along[0] + y * along[1]) / max(along @ along, 1e-9), 0, 1)
    squared = (x - position * along[0]) ** 2 * stretch + (y - position * along[1]) ** 2 / stretch
    return np.sqrt(np.maximum(radius**2 - squared, 0)) / radius
