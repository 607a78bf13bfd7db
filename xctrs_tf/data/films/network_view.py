"""Picture of two films as the networks take them."""

import numpy as np
from PIL import Image, ImageDraw

from xctrs_tf.files import atomic_path
from xctrs_tf.geometry import screen

EDGE = 384
MARGIN = 24
# Letters on the left and on the right of an upright film.
SIDES = {"ap": ("R", "L"), "la": ("A", "P")}


def draw_network_view(path, ap, la):
    """Draw both films as the networks get them, pixel by pixel, superior on top.

    Letters name the sides that the networks take for right, left, anterior and
    posterior: a film that shows another side there must be flipped.

    Args:
        path: the PNG file.
        ap: film ``(size, size)`` in [0, 1], ``[horizontal, vertical]``.
        la: film ``(size, size)``.
    """
    canvas = Image.new("L", (2 * (EDGE + MARGIN) + MARGIN, EDGE + 2 * MARGIN), 0)
    draw = ImageDraw.Draw(canvas)
    for place, (view, film) in enumerate((("ap", ap), ("la", la))):
        left = MARGIN + place * (EDGE + MARGIN)
        grey = np.round(255 * np.clip(screen(np.asarray(film), view), 0, 1)).astype(np.uint8)
        picture = Image.fromarray(np.ascontiguousarray(grey))
        canvas.paste(picture.resize((EDGE, EDGE), Image.Resampling.NEAREST), (left, MARGIN))
        title = f"{view.upper()}  {grey.shape[1]} x {grey.shape[0]}"
        draw.text((left + EDGE / 2, MARGIN / 2), title, 255, anchor="mm")
        for letter, x in zip(SIDES[view], (left + 12, left + EDGE - 12), strict=True):
            draw.text(
                (x, MARGIN + EDGE / 2), letter, 255, anchor="mm", stroke_width=2, stroke_fill=0
            )
    with atomic_path(path) as temporary:
        canvas.save(temporary, format="PNG")
