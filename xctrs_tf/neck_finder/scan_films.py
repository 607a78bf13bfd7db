"""Films of a whole scan, in random poses and from random distances, with the place of C1..C7."""

import dataclasses

import numpy as np
import scipy

from xctrs_tf.data.projection.array_projection import project_array
from xctrs_tf.data.projection.drr import hu_to_mu
from xctrs_tf.data.volumes.cervical_crop import cervical_box_mm, upright_scan
from xctrs_tf.data.volumes.volume import Volume

PIXEL_MM = 2.0
# Rotations in degrees out of the film's plane, about x, y and z.
_POSE_DEG = {"ap": (15.0, 0.0, 8.0), "la": (0.0, 8.0, 8.0)}
_SOURCE_MM = (900.0, 1700.0)
_SHARE_PARALLEL = 0.2
# A slice of the body has more tissue than this; a film ends this far inside the scan.
_BODY_HU, _BODY_MM2, _END_MM = -300.0, 5000.0, 6.0


@dataclasses.dataclass(frozen=True)
class ScanFilm:
    """A film of a whole scan.

    Attributes:
        view: ``"ap"`` or ``"la"``.
        line_integrals: float16 ``[horizontal, vertical]``; the centre of C1..C7 is in the middle.
        low_mm: the lowest line that the scan reaches, relative to the middle.
        high_mm: the highest.
        neck_mm: width and height of the box of C1..C7.
    """

    view: str
    line_integrals: np.ndarray
    low_mm: float
    high_mm: float
    neck_mm: tuple


def scan_films(ct, labels, view, count, rng, stretch=0.0):
    """Project a scan several times.

    Args:
        ct: `Volume` in HU.
        labels: `Volume` in the same space, 1..7 = C1..C7.
        view: ``"ap"`` or ``"la"``.
        count: number of films.
        rng: `numpy.random.Generator`.
        stretch: each film shows the patient wider, deeper and taller by factors of up to
            1 + stretch, or narrower, each of its own: other proportions of the body.

    Returns:
        List of `ScanFilm`.
    """
    low, high = cervical_box_mm(labels)
    centre = (low + high) / 2
    edge = int(np.ceil((high - low).max() / PIXEL_MM))
    ct = _body(upright_scan(ct, edge, PIXEL_MM, low))
    mu = np.asarray(hu_to_mu(ct.array), np.float32)
    across = 0 if view == "ap" else 1
    films = []
    for _ in range(count):
        factors = np.exp(rng.uniform(-1, 1, 3) * np.log1p(stretch))
        spacing = np.array(ct.spacing_mm) * factors
        origin = (np.array(ct.origin_mm) - centre) * factors
        last = origin + (np.array(ct.array.shape) - 1) * spacing
        half = np.maximum(-origin, last)[[across, 2]]
        pixels = tuple(2 * int(np.ceil(edge / PIXEL_MM)) for edge in half)
        pose = rng.uniform(-1, 1, 3) * _POSE_DEG[view]
        source = None if rng.random() < _SHARE_PARALLEL else rng.uniform(*_SOURCE_MM)
        film = project_array(mu, spacing, origin, view, pixels, PIXEL_MM, source, pose)
        films.append(
            ScanFilm(
                view,
                film.astype(np.float16),
                origin[2] + _END_MM,
                last[2] - _END_MM,
                tuple(((high - low) * factors)[[across, 2]]),
            )
        )
    return films


def _body(ct):
    """Cut a scan to what holds tissue, and to the slices that hold enough of it."""
    inside = ct.array > _BODY_HU
    area = inside.sum((0, 1)) * ct.spacing_mm[0] * ct.spacing_mm[1]
    inside = inside & (area > _BODY_MM2)
    (box,) = scipy.ndimage.find_objects(inside.astype(np.uint8))
    origin = np.array(ct.origin_mm) + [part.start for part in box] * np.array(ct.spacing_mm)
    return Volume(ct.array[box], ct.spacing_mm, tuple(origin.tolist()))
