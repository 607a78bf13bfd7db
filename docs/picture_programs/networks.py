"""Draw the networks for README.md.

python docs/picture_programs/networks.py docs/images/networks.png
"""

import sys

import matplotlib
import numpy as np
from drawing import (
    DECODER,
    FILM,
    GREY,
    INK,
    LOSS,
    NOTE,
    VOLUME,
    arrow,
    box,
    caption,
    heading,
    node,
    picture,
)
from PIL import Image

from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.data.phantom import make_phantom
from xctrs_tf.data.projection.drr import hu_to_mu, parallel_projection
from xctrs_tf.data.volumes.intensity import normalise_hu
from xctrs_tf.models.mulsisnet import FILTERS, NUM_NODES
from xctrs_tf.models.spadrnet import DEPTH_FILTERS, NODE_FILTERS

matplotlib.use("Agg")
import matplotlib.pyplot as plt

SCALES = ("1", "1/2", "1/4", "1/8")
ROW = 1.22  # Distance of the rows of two scales.
NUM_SCALES = len(SCALES)


def thumbnails():
    """Return pictures of a phantom: both films, a sagittal plane of the CT and its labels."""
    neck = make_phantom(seed=3, size=128, spacing_mm=1.0)
    mu = hu_to_mu(neck.ct)
    films = {view: normalise_film(parallel_projection(mu, 1.0, view)) for view in ("ap", "la")}
    middle = neck.ct.shape[0] // 2
    return films | {
        "ct": np.clip(normalise_hu(neck.ct[middle]) * 1.7 - 0.25, 0, 1),
        "labels": neck.segmentation[middle],
    }


def grid_of_paths(ax, x, top, widths, colour, volume, step):
    """Draw the multi-path encoder.

    Args:
        widths: the channels of each node, for each path.

    Returns:
        The places (x, y) of the last node of each path, and the x of the last column.
    """
    columns = max(scale + len(path) for scale, path in enumerate(widths))
    place = {
        (scale, index): (x + (scale + index) * step, top - scale * ROW)
        for scale, path in enumerate(widths)
        for index in range(len(path))
    }
    for (scale, index), (x0, y0) in place.items():
        for (other, at), (x1, y1) in place.items():
            if scale + index + 1 != other + at:
                continue
            if scale == other:
                arrow(ax, (x0 + 0.25, y0), (x1 - 0.25, y1), INK, 1.3)
            elif at == 0:
                if scale == other - 1 and index == 0:
                    arrow(ax, (x0 + 0.2, y0 - 0.25), (x1 - 0.25, y1 + 0.2), VOLUME, 1.3)
            else:
                arrow(ax, (x0 + 0.25, y0), (x1 - 0.25, y1), GREY, 0.6, "-")
    for (scale, index), (x0, y0) in place.items():
        node(ax, x0, y0, colour, str(widths[scale][index]), volume=volume)
    last = [place[scale, len(path) - 1] for scale, path in enumerate(widths)]
    return last, x + (columns - 1) * step


def decoder(ax, x, last, top):
    """Draw the decoder from the coarsest scale to the finest; return the place of its end."""
    at = (x, top - (NUM_SCALES - 2) * ROW)
    arrow(ax, (last[-1][0] + 0.3, last[-1][1]), (at[0] - 0.15, at[1] - 0.3), DECODER, 1.4)
    for scale in reversed(range(NUM_SCALES - 1)):
        at = (x + (NUM_SCALES - 2 - scale) * 0.62, top - scale * ROW)
        arrow(ax, (last[scale][0] + 0.3, at[1]), (at[0] - 0.25, at[1]), INK, 1.1)
        node(ax, *at, DECODER)
        if scale:
            arrow(ax, (at[0] + 0.1, at[1] + 0.36), (at[0] + 0.5, at[1] + ROW - 0.28), DECODER, 1.4)
    return at


def draw_spadrnet(ax, images):
    """Draw the reconstruction network."""
    top, step = 9.6, 1.12
    heading(
        ax,
        0.2,
        top + 1.15,
        "a",
        "SpaDRNet: two films to a CT",
        "Both films pass the same 2D encoder. Numbers are channels.",
    )
    picture(ax, images["ap"], 0.95, top - 0.45, 1.35, "AP film")
    picture(ax, images["la"], 0.95, top - 2.55, 1.35, "LA film")
    widths = [
        (*path, (128 >> scale) * depth)
        for scale, (path, depth) in enumerate(zip(NODE_FILTERS, DEPTH_FILTERS, strict=True))
    ]
    arrow(ax, (1.68, top - 0.45), (2.28, top - 0.05), INK)
    arrow(ax, (1.68, top - 2.55), (2.35, top - 0.3), INK)
    last, end = grid_of_paths(ax, 2.6, top, widths, FILM, False, step)
    for scale, name in enumerate(SCALES):
        ax.text(
            2.6 + scale * step - 0.32,
            top - scale * ROW + (0.34 if scale == 0 else -0.16),
            name,
            fontsize=7.5,
            color=NOTE,
            ha="right",
        )
    # Pixelshuffle and view alignment.
    aligned, fused = [], []
    for scale, (x0, y0) in enumerate(last):
        x1 = end + 1.8
        arrow(ax, (x0 + 0.25, y0), (x1 - 0.33, y0), INK)
        node(ax, x1 - 0.06, y0 + 0.1, FILM, "", size=0.4)
        node(ax, x1 + 0.16, y0 - 0.1, VOLUME, f"2x{DEPTH_FILTERS[scale]}", size=0.46)
        aligned.append((x1 + 0.2, y0 - 0.05))
        fused.append((x1 + 2.15, y0 - 0.05))
    for x0, y0 in aligned:
        for x1, y1 in fused:
            same = y0 == y1
            arrow(
                ax,
                (x0 + 0.3, y0),
                (x1 - 0.26, y1),
                INK if same else GREY,
                1.2 if same else 0.6,
                "-|>" if same else "-",
            )
    for scale, (x1, y1) in enumerate(fused):
        node(ax, x1, y1, VOLUME, str(2 * DEPTH_FILTERS[scale]))
    out = decoder(ax, fused[0][0] + 1.25, fused, top - 0.05)
    arrow(ax, (out[0] + 0.35, out[1]), (out[0] + 0.95, out[1]), INK)
    picture(ax, images["ct"], out[0] + 1.7, out[1] - 0.25, 1.4, "CT (sagittal plane)")
    below = top - 3 * ROW - 0.45
    caption(ax, 4.7, below, "2D collateral paths with multi-scale fusion\nEq. 2, 3")
    caption(ax, end + 0.5, below, "pixelshuffle\n2D to 3D, Eq. 4")
    caption(ax, aligned[0][0] + 0.2, below, "view alignment\nEq. 5, 6, 7")
    caption(ax, fused[0][0] + 0.05, below, "3D fusion\nEq. 8")
    caption(ax, fused[0][0] + 1.9, below, "hierarchical\n3D decoder, Eq. 9", DECODER)


def draw_mulsisnet(ax, images):
    """Draw the segmentation network."""
    top = 3.0
    heading(
        ax,
        0.2,
        top + 0.95,
        "b",
        "MulSISNet: a CT to the vertebrae C1..C7",
        "The same pattern in 3D, without the views.",
    )
    picture(ax, images["ct"], 0.95, top - 0.55, 1.35, "CT")
    arrow(ax, (1.68, top - 0.3), (2.3, top - 0.05), INK)
    widths = [(width,) * nodes for width, nodes in zip(FILTERS, NUM_NODES, strict=True)]
    last, end = grid_of_paths(ax, 2.6, top, widths, VOLUME, True, 0.98)
    out = decoder(ax, end + 1.2, last, top)
    arrow(ax, (out[0] + 0.35, out[1]), (out[0] + 0.75, out[1]), INK)
    picture(ax, images["ct"], out[0] + 1.5, out[1] - 0.4, 1.35, "C1..C7", labels=images["labels"])
    below = top - 3 * ROW - 0.4
    caption(ax, 4.6, below, "3D paths with dense interoperation\nEq. 12, 13")
    caption(ax, end + 1.9, below, "decoder\nEq. 14", DECODER)


def draw_coupling(ax, images):
    """Draw the joint training with its losses."""
    left, top = 11.4, 3.0
    heading(
        ax,
        left,
        top + 0.95,
        "c",
        "X-CTRSNet: both, trained together",
        "Eq. 1 = reconstruction (Eq. 11) + Dice (Eq. 15) + RSC (Eq. 16)",
    )
    y0, y1 = top - 0.45, top - 3.1
    picture(ax, images["ap"], left + 0.35, y0 + 0.08, 0.7, "films")
    box(ax, left + 1.55, y0, "SpaDRNet", FILM)
    picture(ax, images["ct"], left + 3.0, y0 + 0.08, 0.95, "")
    ax.text(left + 3.0, y0 + 0.6, "CT made", ha="center", fontsize=8.5, color=INK)
    box(ax, left + 4.45, y0, "MulSISNet", VOLUME)
    picture(ax, images["ct"], left + 6.0, y0 + 0.08, 0.95, "", labels=images["labels"])
    for a, b in ((0.72, 0.9), (2.2, 2.5), (3.5, 3.8), (5.1, 5.5)):
        arrow(ax, (left + a, y0), (left + b, y0), INK)
    picture(ax, images["ct"], left + 3.0, y1 + 0.08, 0.95, "true CT")
    box(ax, left + 4.45, y1, "MulSISNet", VOLUME)
    picture(ax, images["ct"], left + 6.0, y1 + 0.08, 0.95, "", labels=images["labels"])
    for a, b in ((3.5, 3.8), (5.1, 5.5)):
        arrow(ax, (left + a, y1), (left + b, y1), INK)
    picture(
        ax,
        images["ct"],
        left + 7.75,
        (y0 + y1) / 2 + 0.08,
        0.95,
        "true labels",
        labels=images["labels"],
    )
    # Losses.
    for x in (3.0, 6.0):
        arrow(ax, (left + x, y0 - 0.45), (left + x, y1 + 0.6), LOSS, 1.2, "<|-|>", dashed=True)
    arrow(ax, (left + 4.45, y0 - 0.3), (left + 4.45, y1 + 0.3), GREY, 1.0, "-", dashed=True)
    ax.text(
        left + 4.45,
        (y0 + y1) / 2,
        "same\nweights",
        ha="center",
        va="center",
        fontsize=7.8,
        color=NOTE,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
    )
    middle = (y0 + y1) / 2
    arrow(ax, (left + 6.5, y0), (left + 7.55, middle + 0.62), LOSS, 1.2, "<|-|>", -0.2, True)
    arrow(ax, (left + 6.5, y1), (left + 7.55, middle - 0.75), LOSS, 1.2, "<|-|>", 0.2, True)
    white = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    for x, y, text in (
        (3.0, middle, "MAE +\nmulti-view VGG\nEq. 10, 11"),
        (6.0, middle, "RSC: divergence\nEq. 16"),
        (7.6, y0 + 0.12, "Dice, Eq. 15"),
        (7.6, y1 - 0.12, "RSC: Dice, Eq. 16"),
    ):
        ax.text(
            left + x,
            y,
            text,
            ha="center",
            va="center",
            fontsize=8.2,
            color=LOSS,
            bbox=white,
            zorder=6,
        )


def legend(ax):
    """Explain the colours."""
    ax.text(16.75, 9.55, "Legend", fontsize=9.5, weight="bold", color=INK, va="center")
    boxes = (
        (FILM, "2D feature of a film"),
        (VOLUME, "3D feature"),
        (DECODER, "3D feature, decoder"),
    )
    for row, (colour, text) in enumerate(boxes):
        y = 9.1 - 0.42 * row
        node(ax, 16.95, y, colour, volume=colour != FILM, size=0.24)
        ax.text(17.4, y, text, fontsize=8.6, color=INK, va="center")
    lines = (
        (INK, "next node of a path (SeqConv)", 1.3, False),
        (VOLUME, "start of a coarser path (DConv)", 1.3, False),
        (GREY, "exchange between scales (D, U)", 0.8, False),
        (DECODER, "upsampling in the decoder (UConv)", 1.4, False),
        (LOSS, "loss between two volumes", 1.2, True),
    )
    for row, (colour, text, width, dashed) in enumerate(lines):
        y = 7.84 - 0.42 * row
        arrow(ax, (16.75, y), (17.2, y), colour, width, "-", dashed=dashed)
        ax.text(17.4, y, text, fontsize=8.6, color=INK, va="center")


def main(path):
    """Draw the figure."""
    figure, ax = plt.subplots(figsize=(15.6, 10.1))
    ax.set_xlim(0, 20.4)
    ax.set_ylim(-1.75, 11.2)
    ax.set_aspect("equal")
    ax.axis("off")
    images = thumbnails()
    draw_spadrnet(ax, images)
    draw_mulsisnet(ax, images)
    draw_coupling(ax, images)
    legend(ax)
    figure.savefig(path, dpi=110, bbox_inches="tight", facecolor="white", pad_inches=0.1)
    Image.open(path).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path)


if __name__ == "__main__":
    main(sys.argv[1])
