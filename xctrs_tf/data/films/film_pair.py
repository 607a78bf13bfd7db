"""The two films of a patient, brought to one voxel size."""

import dataclasses

import numpy as np

from xctrs_tf.data.films.film import cut_film
from xctrs_tf.data.films.film_frame import ASPECT_TOLERANCE
from xctrs_tf.data.films.raw_film import read_raw_film
from xctrs_tf.errors import UserError
from xctrs_tf.geometry import VIEWS


def read_film_pair(paths, frames, size, spacing_mm=None):
    """Read both films so that a pixel of each is a voxel's edge wide.

    A film's scale is known where its file or its frame tells the size of a pixel.
    With ``spacing_mm``, the square that the networks' pixels fill is cut out of such
    a film, around its crop box's centre; without it, the crop boxes are the squares,
    and their width in mm is the voxel size. A film of unknown scale is taken to show
    in its crop box as many mm as the network sees.

    Args:
        paths: dict of ``ap`` and ``la``, the files.
        frames: dict of a `FilmFrame` for each.
        size: pixels a side of the network.
        spacing_mm: edge of a voxel, or None.

    Returns:
        Dict of the films as `read_film` gives them, and the edge of a voxel in mm,
        which is None where nothing tells it.

    Raises:
        UserError: as `read_film` does, or the films show unlike widths.
    """
    raws = {view: read_raw_film(paths[view], view) for view in VIEWS}
    widths = {view: _width_mm(raws[view], frames[view]) for view in VIEWS}
    if spacing_mm is not None:
        known = [view for view in VIEWS if widths[view] is not None]
        cut = {view: dataclasses.replace(frames[view], spacing_mm=spacing_mm) for view in known}
        frames = {**frames, **cut}
    films = {view: cut_film(paths[view], raws[view], size, frames[view]) for view in VIEWS}
    return films, spacing_mm or _spacing_mm(widths, size)


def _width_mm(raw, frame):
    """Width of a film's crop box at the patient, or None."""
    pixel_mm = raw.pixel_mm if frame.pixel_mm is None else np.broadcast_to(frame.pixel_mm, 2)
    if pixel_mm is None:
        return None
    left, _, right, _ = frame.crop_box or (0, 0, *raw.pixels.shape)
    return float((right - left) * pixel_mm[0])


def _spacing_mm(widths, size):
    known = [width for width in widths.values() if width is not None]
    if not known:
        return None
    if max(known) - min(known) > ASPECT_TOLERANCE * max(known):
        raise UserError(
            f"films: AP shows {widths['ap']:.0f} mm and LA {widths['la']:.0f} mm; give "
            "--spacing_mm, or crop boxes of one width"
        )
    return sum(known) / len(known) / size
