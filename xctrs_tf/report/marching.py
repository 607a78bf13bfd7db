"""Closed surfaces of a level set, by marching tetrahedra.

Every cube of eight samples is cut into six tetrahedra around its diagonal. A
tetrahedron has few cases and none of them is ambiguous, so that the surface is
closed and never meets itself, which marching cubes needs tables of exceptions
for. It has more triangles in exchange.
"""

import itertools

import numpy as np

# Corners of a unit cube as (x, y, z); a tetrahedron climbs from (0, 0, 0) to
# (1, 1, 1) along the axes in one of their six orders.
_PATHS = [
    np.cumsum([np.zeros(3, int), *np.eye(3, dtype=int)[list(order)]], axis=0)
    for order in itertools.permutations(range(3))
]
# Corners are kept off the samples, where triangles would shrink to points.
_OFF_SAMPLE = 0.01


def isosurface(field, level):
    """The surface where a field crosses a level.

    Args:
        field: array ``[x, y, z]``; what lies beyond its edge counts as below.
        level: float.

    Returns:
        ``(vertices, faces)``: float64 ``(n, 3)`` in voxels and int64 ``(m, 3)``,
        anticlockwise seen from where the field is below the level. Every edge
        belongs to two faces.
    """
    outside = min(float(np.min(field)), level) - 1.0
    field = np.pad(np.asarray(field, np.float64), 1, constant_values=outside)
    cubes = _crossed_cubes(field >= level)
    corners, faces = [], []
    for path in _PATHS:
        nodes = np.stack([np.ravel_multi_index((cubes + step).T, field.shape) for step in path], 1)
        # Orders that swap an odd number of axes make a mirrored tetrahedron.
        if np.linalg.det(np.diff(path, axis=0)) < 0:
            nodes = nodes[:, [1, 0, 2, 3]]
        corners += _cut_tetrahedra(nodes, field.ravel() >= level)
    edges = np.concatenate(corners) if corners else np.empty((0, 3, 2), int)
    edges, faces = np.unique(np.sort(edges.reshape(-1, 2), axis=1), axis=0, return_inverse=True)
    return _crossings(edges, field, level) - 1.0, faces.reshape(-1, 3)


def _crossed_cubes(inside):
    """Lowest corners ``(n, 3)`` of the cubes with corners on either side."""
    count = np.zeros(np.array(inside.shape) - 1, np.int8)
    for corner in itertools.product((0, 1), repeat=3):
        window = tuple(slice(c, c + n) for c, n in zip(corner, count.shape, strict=True))
        count += inside[window]
    return np.argwhere((count > 0) & (count < 8))


def _cut_tetrahedra(nodes, inside):
    """Triangles of right-handed tetrahedra ``(n, 4)``, as edges ``(m, 3, 2)`` of samples."""
    sides = inside[nodes]
    triangles = []
    for case in itertools.product((False, True), repeat=4):
        chosen = nodes[(sides == case).all(axis=1)]
        triangles += [chosen[:, triangle] for triangle in _CASES[case]]
    return triangles


def _triangles_of(case):
    """Triangles ``(3, 2)`` of a tetrahedron's edges, for one of the 16 cases."""
    inner = [i for i in range(4) if case[i]]
    outer = [i for i in range(4) if not case[i]]
    if not inner or not outer:
        return []
    if len(inner) == 2:
        (a, b), (c, d) = inner, outer
        ring = [(a, c), (a, d), (b, d), (b, c)]
        loops = [ring[:3], [ring[0], ring[2], ring[3]]]
    else:
        loops = [[(i, o) for i in inner for o in outer]]
    return [np.array(loop if _faces_outwards(loop, inner) else loop[::-1]) for loop in loops]


def _faces_outwards(loop, inner):
    tetrahedron = _PATHS[0].astype(float)
    a, b, c = (tetrahedron[list(edge)].mean(axis=0) for edge in loop)
    return np.cross(b - a, c - a) @ (a - tetrahedron[inner].mean(axis=0)) > 0


_CASES = {case: _triangles_of(case) for case in itertools.product((False, True), repeat=4)}


def _crossings(edges, field, level):
    """Where each edge between two samples crosses the level, by linear interpolation."""
    first, second = (
        np.stack(np.unravel_index(edges[:, end], field.shape), axis=1) for end in (0, 1)
    )
    low, high = (field.ravel()[edges[:, end]] for end in (0, 1))
    share = np.clip((level - low) / (high - low), _OFF_SAMPLE, 1 - _OFF_SAMPLE)
    return first + share[:, np.newaxis] * (second - first)
