"""Films of other parts of the body, computed from simple volumes of tubes and ellipsoids.

They resemble films of a chest and of a hand in the shapes that a network may react to:
two dark lungs, ribs and a spine; five rays of bones in a thin hand.
"""

import numpy as np

from xctrs_tf.data.films.film_normalisation import resize_film

# Voxels a side of the volume; its coordinates go from -1 to 1.
_SIDE = 64
_STEPS = np.linspace(-1, 1, _SIDE)
_SOFT, _BONE, _LUNG = 1.0, 2.0, 0.25


def chest_films(size, seed):
    """Return the films of a chest.

    Args:
        size: pixels a side.
        seed: of its proportions.

    Returns:
        Dict of ``ap`` and ``la``, float32 ``(size, size)``, bone bright.
    """
    rng = np.random.default_rng([1, seed])
    x, y, z = _axes()
    wide, deep, tall = rng.uniform(0.9, 1.1, 3)
    volume = _SOFT * ((x / (0.9 * wide)) ** 2 + (y / (0.6 * deep)) ** 2 + 0 * z <= 1)
    for side in (-1, 1):
        lung = _ellipsoid((side * 0.42, -0.02, 0.05), (0.3 * wide, 0.42 * deep, 0.75 * tall))
        volume = np.where(lung, _LUNG, volume)
    volume = np.where(_ellipsoid((0.12, -0.15, -0.3), (0.3, 0.28, 0.35)), _SOFT, volume)
    shells = (x / (0.85 * wide)) ** 2 + (y / (0.55 * deep)) ** 2
    height = (z + 0.5 * y) * 11 + rng.uniform(0, 1)
    ribs = (np.abs(shells - 0.9) < 0.12) & (np.abs(height - np.round(height)) < 0.2)
    volume = np.where(ribs, _BONE, volume)
    spine = (x**2 + (y - 0.38) ** 2 <= 0.1**2) & (np.abs((z * 7) % 1 - 0.5) < 0.42)
    return _films(np.where(spine, _BONE, volume), size)


def hand_films(size, seed):
    """Return the films of a hand.

    Args:
        size: pixels a side.
        seed: of its proportions.

    Returns:
        Dict of ``ap`` and ``la``, float32 ``(size, size)``, bone bright.
    """
    rng = np.random.default_rng([2, seed])
    volume = _SOFT * _ellipsoid((0.0, 0.0, -0.35), (0.42, 0.14, 0.4))
    volume = np.maximum(volume, _SOFT * _tube((0, 0, -1), (0, 0, -0.5), 0.24))
    for ray, angle in enumerate(np.deg2rad([-55, -16, -4, 8, 20])):
        direction = np.array([np.sin(angle), rng.uniform(-0.1, 0.1), np.cos(angle)])
        start = np.array([(ray - 2) * 0.16, 0.0, -0.55])
        length = rng.uniform(0.9, 1.1) * (0.8 if ray == 0 else 1.3)
        volume = np.maximum(volume, _SOFT * _tube(start, start + length * direction, 0.1))
        for low, high in ((0.03, 0.42), (0.47, 0.7), (0.74, 0.86), (0.9, 0.98)):
            ends = (start + share * length * direction for share in (low, high))
            volume = np.where(_tube(*ends, 0.05), _BONE, volume)
    for side in (-0.1, 0.1):
        volume = np.where(_tube((side, 0, -1), (side, 0, -0.68), 0.07), _BONE, volume)
    return _films(volume, size)


def _axes():
    return np.meshgrid(_STEPS, _STEPS, _STEPS, indexing="ij", sparse=True)


def _ellipsoid(middle, radii):
    return sum(((a - m) / r) ** 2 for a, m, r in zip(_axes(), middle, radii, strict=True)) <= 1


def _tube(start, end, radius):
    """Return the voxels within a distance of a line from start to end."""
    start, end = np.asarray(start, float), np.asarray(end, float)
    line, reach = end - start, radius + 2 / _SIDE
    volume = np.zeros((_SIDE,) * 3, bool)
    # Far from the line nothing has to be computed.
    near = tuple(
        slice(*np.searchsorted(_STEPS, (min(ends) - reach, max(ends) + reach)))
        for ends in zip(start, end, strict=True)
    )
    axes = np.meshgrid(*(_STEPS[part] for part in near), indexing="ij", sparse=True)
    away = [axis - part for axis, part in zip(axes, start, strict=True)]
    along = sum(a * part for a, part in zip(away, line, strict=True)) / (line @ line)
    along = np.clip(along, 0, 1)
    distance = sum((a - along * part) ** 2 for a, part in zip(away, line, strict=True))
    volume[near] = distance <= radius**2
    return volume


def _films(volume, size):
    films = {"ap": volume.sum(axis=1), "la": volume.sum(axis=0)}
    return {view: resize_film(film, size) for view, film in films.items()}
