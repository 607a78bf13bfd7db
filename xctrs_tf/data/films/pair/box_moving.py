"""Boxes of a film that are moved and scaled, and boxes that reach over its edge."""

import dataclasses
import math

import numpy as np


def moved_box(film, frame, box, up, scale):
    """Return a box that is moved up the patient and scaled about its middle.

    Args:
        film: `RawFilm`.
        frame: its `FilmFrame`.
        box: left, top, right, bottom in pixels of the file.
        up: distance in edges of the box, towards the top of the upright film.
        scale: factor of its edges.

    Returns:
        The box in whole pixels; it may reach over the film's edge.
    """
    across, down = frame.pixel_size(film) or film.pixel_shape
    left, top, right, bottom = box
    distance = up * (bottom - top) * down
    if frame.flips(film)[1]:
        distance = -distance
    # A film is flipped after it was rotated clockwise; here both are undone.
    angle = math.radians(frame.rotate_deg)
    middle = (
        (left + right) / 2 - math.sin(angle) * distance / across,
        (top + bottom) / 2 - math.cos(angle) * distance / down,
    )
    edges = round((right - left) * scale), round((bottom - top) * scale)
    first = [round(place - edge / 2) for place, edge in zip(middle, edges, strict=True)]
    return first[0], first[1], first[0] + edges[0], first[1] + edges[1]


def is_inside(film, box):
    """Return True if a box lies inside the film."""
    width, height = film.pixels.shape
    left, top, right, bottom = box
    return 0 <= left < right <= width and 0 <= top < bottom <= height


def extended_film(film, box):
    """Repeat the edges of a film so far that a box lies inside it.

    Args:
        film: `RawFilm`.
        box: left, top, right, bottom in pixels of the file.

    Returns:
        `RawFilm`, and the box on it.
    """
    if is_inside(film, box):
        return film, box
    width, height = film.pixels.shape
    left, top, right, bottom = box
    sides = max(0, -left), max(0, right - width)
    above, below = max(0, -top), max(0, bottom - height)
    # The top row is the last.
    widths = (sides, (below, above))
    pixels = np.pad(np.ma.getdata(film.pixels), widths, mode="edge")
    if np.ma.is_masked(film.pixels):
        mask = np.pad(np.ma.getmaskarray(film.pixels), widths, mode="edge")
        pixels = np.ma.masked_array(pixels, mask)
    moved = left + sides[0], top + above, right + sides[0], bottom + above
    return dataclasses.replace(film, pixels=pixels), moved


def strip_box(film, frame, box):
    """Return a box made as wide, in the upright film, as the film reaches to both sides.

    A box of a film that is rotated by another angle than a quarter turn stays as it is.

    Args:
        film: `RawFilm`.
        frame: its `FilmFrame`.
        box: left, top, right, bottom in pixels of the file.
    """
    left, top, right, bottom = box
    width, height = film.pixels.shape
    if frame.rotate_deg % 180 == 0:
        return 0, top, width, bottom
    if frame.rotate_deg % 90 == 0:
        return left, 0, right, height
    return box
