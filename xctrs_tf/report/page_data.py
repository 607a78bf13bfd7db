"""Data of the report page: pictures as PNG and arrays as deflated bytes, in base64."""

import base64
import io
import zlib

import numpy as np
from PIL import Image

from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.geometry import VERTEBRAE, screen
from xctrs_tf.report.meshes import thin
from xctrs_tf.style import LEVEL_HU, VERTEBRA_COLORS, WIDTH_HU

# Blue: the re-projection is darker than the film. Red: it is brighter.
_DARKER, _BRIGHTER = np.array([33, 102, 172]), np.array([178, 24, 43])
# Difference of two films in [0, 1] drawn in full colour.
FULL_ERROR = 0.5
# Cell of the coarsened surfaces. A finer one enlarges the file and looks no better.
SURFACE_CELL_MM = 1.5


def viewer_data(ct_hu, labels, meshes, spacing_mm):
    """Collect the arrays that the page's scripts display.

    Args:
        ct_hu: CT numbers ``[x, y, z]``.
        labels: integers ``[x, y, z]``, or None.
        meshes: dict from vertebra to `meshes.Mesh`.
        spacing_mm: edge of a voxel.

    Returns:
        Dict of JSON values, read by assets/data.js.
    """
    return {
        "shape": ct_hu.shape,
        "ct": packed(windowed(ct_hu)),
        "labels": None if labels is None else packed(labels.astype(np.uint8)),
        "start": _start(labels, ct_hu.shape),
        "spacing_mm": spacing_mm,
        "names": VERTEBRAE,
        "colors": [css_color(name) for name in VERTEBRAE],
        "meshes": _surfaces(meshes),
    }


def _start(labels, shape):
    """Return the voxel of the first planes: the middle of the labels."""
    if labels is None or not labels.any():
        return [side // 2 for side in shape]
    return np.round(np.argwhere(labels).mean(axis=0)).astype(int).tolist()


def _surfaces(meshes):
    """Quantise coarsened surfaces to 16 bits, centred and scaled to [-1, 1] together."""
    if not meshes:
        return []
    vertices = np.concatenate([mesh.vertices for mesh in meshes.values()])
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    half = np.max(high - low) / 2
    surfaces = []
    for name, mesh in meshes.items():
        small = thin(mesh, SURFACE_CELL_MM)
        unit = (small.vertices - (low + high) / 2) / half
        grid = np.round((np.clip(unit, -1, 1) + 1) / 2 * 65535).astype(np.uint16)
        surfaces.append(
            {
                "name": name,
                "color": css_color(name),
                "vertices": packed(grid),
                "faces": packed(small.faces.astype(np.uint32)),
            }
        )
    return surfaces


def css_color(name):
    """Return the colour of a vertebra as ``#rrggbb``."""
    rgb = VERTEBRA_COLORS[VERTEBRAE.index(name)]
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgb)


def packed(array):
    """Encode an array for the page's scripts.

    Args:
        array: array of numbers.

    Returns:
        str, base64 of the deflated bytes, little-endian and in C order.
    """
    data = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    return base64.b64encode(zlib.compress(data.tobytes(), 9)).decode("ascii")


def film_picture(film, view):
    """Encode a film, normalised and upright, as the data URI of a PNG.

    Args:
        film: film ``[horizontal, vertical]``.
        view: ``"ap"`` or ``"la"``.

    Returns:
        str.
    """
    return _png(np.round(255 * screen(normalise_film(film), view)).astype(np.uint8))


def error_picture(error, view):
    """Encode an error map as the data URI of a PNG: white is 0, red positive, blue negative.

    Args:
        error: re-projection less film ``[horizontal, vertical]``, both in [0, 1].
        view: ``"ap"`` or ``"la"``.

    Returns:
        str.
    """
    error = screen(np.clip(np.asarray(error) / FULL_ERROR, -1, 1), view)[..., np.newaxis]
    color = 255 + np.abs(error) * (np.where(error > 0, _BRIGHTER, _DARKER) - 255)
    return _png(np.round(color).astype(np.uint8))


def windowed(ct_hu):
    """Map CT numbers to the grey values of the bone window.

    Args:
        ct_hu: CT numbers.

    Returns:
        uint8 array; 0 below and 255 above the window.
    """
    low = LEVEL_HU - WIDTH_HU / 2
    share = (np.asarray(ct_hu, np.float32) - low) / WIDTH_HU
    return np.round(255 * np.clip(share, 0, 1)).astype(np.uint8)


def _png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
