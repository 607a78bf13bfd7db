"""Picture of two films as input of the networks."""

import numpy as np
from PIL import Image, ImageDraw

from xctrs_tf.files import atomic_path
from xctrs_tf.geometry import screen

_EDGE = 384
_MARGIN = 24
# Letters on the left and on the right of an upright film.
_SIDE_LETTERS = {"ap": ("R", "L"), "la": ("A", "P")}


def draw_network_view(path, ap, la):
    """Draw both films as input of the networks, pixel by pixel, superior on top.

    Letters name the sides that the networks take for right, left, anterior and
    posterior: a film that shows another side there must be flipped.

    Args:
        path: the PNG file.
        ap: film ``(size, size)`` in [0, 1], ``[horizontal, vertical]``.
        la: film ``(size, size)``.
    """
    canvas = Image.new(
        "L",
        (2 * (_EDGE + _MARGIN) + _MARGIN, _EDGE + 2 * _MARGIN),
        0,
    )
    draw = ImageDraw.Draw(canvas)
    for place, (view, film) in enumerate((("ap", ap), ("la", la))):
        left = _MARGIN + place * (_EDGE + _MARGIN)
        grey = np.round(255 * np.clip(screen(np.asarray(film), view), 0, 1)).astype(np.uint8)
        picture = Image.fromarray(np.ascontiguousarray(grey))
        canvas.paste(
            picture.resize((_EDGE, _EDGE), Image.Resampling.NEAREST),
            (left, _MARGIN),
        )
        title = f"{view.upper()}  {grey.shape[1]} x {grey.shape[0]}"
        draw.text((left + _EDGE / 2, _MARGIN / 2), title, 255, anchor="mm")
        for letter, x in zip(_SIDE_LETTERS[view], (left + 12, left + _EDGE - 12), strict=True):
            draw.text(
                (x, _MARGIN + _EDGE / 2),
                letter,
                255,
                anchor="mm",
                stroke_width=2,
                stroke_fill=0,
            )
    with atomic_path(path) as temporary:
        canvas.save(temporary, format="PNG")
