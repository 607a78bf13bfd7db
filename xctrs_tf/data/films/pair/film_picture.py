"""Picture of two films: as the networks get them, and where they were cut out."""

import math
import textwrap

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from xctrs_tf.data.films.film_normalisation import fill_padding, normalise_film
from xctrs_tf.errors import UserError, one_line
from xctrs_tf.files import atomic_path
from xctrs_tf.geometry import VIEWS, screen

# Edge of a drawn film, space around it, and height of a line of text, in pixels.
_EDGE, _MARGIN, _LINE = 512, 24, 22
_LETTERS_A_LINE = 118
# Letters on the left and on the right of an upright film.
_SIDE_LETTERS = {"ap": ("R", "L"), "la": ("A", "P")}
_SCALE_BAR_MM = 50
_WHITE, _GREY, _ASKED, _USED, _REFUSED = "#ffffff", "#a0a0a0", "#ffb000", "#40d0ff", "#ff6060"


def draw_films(path, films, spacing_mm=None, pair=None):
    """Draw both films as the networks get them, superior on top, above the films they are from.

    Letters name the sides that the networks take for right, left, anterior and
    posterior: a film that shows another side there must be flipped. The films of the files
    have the boxes drawn that were cut out. A heading tells what was corrected or refused.

    Args:
        path: the PNG file.
        films: dict by view of the films ``(size, size)`` in [0, 1], ``[horizontal, vertical]``;
            a film that could not be cut out is left empty.
        spacing_mm: edge of their pixels; without it no scale is drawn.
        pair: `film_pair.FilmPair` they are from; without it only the films are drawn.
    """
    heading = _heading(pair)
    originals = {view: _original(pair, view) for view in VIEWS} if pair else {}
    top = _MARGIN + _LINE * len(heading)
    below = max((picture.height for picture, _ in originals.values()), default=0)
    height = top + _LINE + _EDGE + (below and _LINE + _MARGIN + below) + _MARGIN
    canvas = Image.new("RGB", (2 * (_EDGE + _MARGIN) + _MARGIN, height), "#000000")
    draw = ImageDraw.Draw(canvas)
    for number, (line, colour) in enumerate(heading):
        _write(draw, (_MARGIN, _MARGIN / 2 + _LINE * number), line, colour)
    for place, view in enumerate(VIEWS):
        left = _MARGIN + place * (_EDGE + _MARGIN)
        _draw_film(canvas, draw, (left, top), view, films.get(view), spacing_mm)
        if pair:
            corner = left, top + _LINE + _EDGE + _MARGIN
            _draw_original(canvas, draw, corner, pair, view, *originals[view])
    with atomic_path(path) as temporary:
        canvas.save(temporary, format="PNG")


def _heading(pair):
    if pair is None:
        return []
    lines = [(remark, _USED) for remark in pair.remarks]
    if pair.problem is not None:
        lines = [(f"refused: {pair.problem}", _REFUSED), *lines]
    return [
        (line, colour)
        for text, colour in lines
        for line in textwrap.wrap(one_line(text), _LETTERS_A_LINE)
    ]


def _draw_film(canvas, draw, corner, view, film, spacing_mm):
    """Draw one film as the network gets it, with its title above."""
    left, top = corner
    if film is None:
        _write(draw, corner, f"{view.upper()}: not cut out", _GREY)
        return
    grey = np.round(255 * np.clip(screen(np.asarray(film), view), 0, 1)).astype(np.uint8)
    size = f"{grey.shape[1]} x {grey.shape[0]} pixels"
    size += f" of {spacing_mm:.2f} mm" if spacing_mm else ""
    _write(draw, corner, f"{view.upper()} as the network gets it: {size}", _WHITE)
    top += _LINE
    picture = Image.fromarray(np.ascontiguousarray(grey))
    canvas.paste(picture.resize((_EDGE, _EDGE), Image.Resampling.BICUBIC), (left, top))
    for letter, x in zip(_SIDE_LETTERS[view], (left + 14, left + _EDGE - 14), strict=True):
        _write(draw, (x, top + _EDGE / 2), letter, _WHITE, anchor="mm", size=24)
    if spacing_mm:
        length = _SCALE_BAR_MM / spacing_mm / grey.shape[1] * _EDGE
        y = top + _EDGE - 14
        if length < _EDGE - 40:
            draw.line([(left + 20, y), (left + 20 + length, y)], _WHITE, width=3)
            _write(draw, (left + 20, y - 6), f"{_SCALE_BAR_MM} mm", _WHITE, anchor="ls")


def _original(pair, view):
    """Return the film of the file as a picture of the drawn width, and the factor of its size."""
    film = pair.opened[view].raw.pixels
    try:
        film = normalise_film(fill_padding(film))
    except UserError:
        film = np.zeros(film.shape, np.float32)
    rows = np.ascontiguousarray(screen(film, view), np.float32)
    factor = _EDGE / max(rows.shape)
    size = [max(1, round(edge * factor)) for edge in rows.shape[::-1]]
    picture = Image.fromarray(rows).resize(size, Image.Resampling.BILINEAR)
    grey = np.round(255 * np.clip(np.asarray(picture), 0, 1)).astype(np.uint8)
    return Image.fromarray(grey), factor


def _draw_original(canvas, draw, corner, pair, view, picture, factor):
    """Draw the film of a file with the boxes that were asked for and used, below its title."""
    left, top = corner
    name = one_line(pair.opened[view].path.name, 24)
    asked, used = pair.boxes.get(view), pair.used_boxes.get(view)
    title = f"{name}: the film, and the box that is cut out"
    moved = asked is not None and used != asked
    _write(draw, corner, f"{title} (used instead)" if moved else title, _USED if moved else _GREY)
    top += _LINE
    canvas.paste(picture, (left, top))
    frame = pair.frames.get(view, pair.opened[view].frame)
    raw = pair.opened[view].raw
    shape = frame.pixel_size(raw) or raw.pixel_shape
    for box, colour in ((asked, _ASKED), (used if moved else None, _USED)):
        if box is not None:
            corners = _corners(box, frame.rotate_deg, shape)
            points = [(left + x * factor, top + y * factor) for x, y in corners]
            draw.line([*points, points[0]], colour, width=3)


def _corners(box, rotate_deg, pixel_shape):
    """Return the corners on the file's film of a box that is cut out after a rotation."""
    left, top, right, bottom = box
    across, down = pixel_shape
    middle = (left + right) / 2, (top + bottom) / 2
    cosine, sine = math.cos(math.radians(rotate_deg)), math.sin(math.radians(rotate_deg))
    corners = []
    for x, y in ((left, top), (right, top), (right, bottom), (left, bottom)):
        dx, dy = (x - middle[0]) * across, (y - middle[1]) * down
        # The film turns clockwise under the box, so the box turns the other way on it.
        corners.append(
            (
                middle[0] + (dx * cosine + dy * sine) / across,
                middle[1] + (dy * cosine - dx * sine) / down,
            )
        )
    return corners


def _write(draw, place, text, colour, anchor="la", size=16):
    font = ImageFont.load_default(size)
    draw.text(place, text, colour, font=font, anchor=anchor, stroke_width=2, stroke_fill="#000000")
