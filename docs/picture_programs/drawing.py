"""Shapes, arrows and texts of the drawing of the networks."""

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Polygon

from xctrs_tf.style import VERTEBRA_COLORS

INK, GREY, NOTE = "#1f2430", "#9aa3b2", "#5b6475"
FILM, VOLUME, DECODER, LOSS = "#4c78c9", "#e08e45", "#3f9b6c", "#b5433f"


def picture(ax, image, x, y, side, label, *, labels=None):
    """Draw an array ``[horizontal, vertical]`` centred at (x, y)."""
    extent = (x - side / 2, x + side / 2, y - side / 2, y + side / 2)
    ax.imshow(image.T, cmap="gray", origin="lower", extent=extent, zorder=3, vmin=0, vmax=1)
    if labels is not None:
        shown = np.ma.masked_equal(labels.T, 0)
        ax.imshow(
            shown,
            cmap=ListedColormap(VERTEBRA_COLORS),
            origin="lower",
            extent=extent,
            zorder=4,
            vmin=0.5,
            vmax=7.5,
        )
    ax.text(x, y - side / 2 - 0.1, label, ha="center", va="top", fontsize=8.5, color=INK)


def node(ax, x, y, colour, text="", *, volume=True, size=0.46):
    """Draw a feature: a sheet for 2D, a box for 3D."""
    half = size / 2
    front = [(x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half)]
    if volume:
        d = 0.28 * size
        top = [front[3], (x - half + d, y + half + d), (x + half + d, y + half + d), front[2]]
        side = [front[1], (x + half + d, y - half + d), (x + half + d, y + half + d), front[2]]
        for face, alpha in ((top, 0.55), (side, 0.75)):
            ax.add_patch(Polygon(face, facecolor="white", edgecolor="none", zorder=4))
            ax.add_patch(Polygon(face, facecolor=colour, alpha=alpha, edgecolor="white", zorder=5))
    ax.add_patch(Polygon(front, facecolor=colour, edgecolor="white", zorder=6))
    ax.text(x, y, text, ha="center", va="center", fontsize=6.8, color="white", zorder=7)


def arrow(ax, start, end, colour=INK, width=1.1, style="-|>", bend=0.0, dashed=False):
    """Draw an arrow between two points."""
    ax.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle=style,
            mutation_scale=8,
            color=colour,
            linewidth=width,
            linestyle="--" if dashed else "-",
            connectionstyle=f"arc3,rad={bend}",
            shrinkA=0,
            shrinkB=0,
            zorder=2,
        )
    )


def heading(ax, x, y, letter, title, note):
    """Write the heading of a panel."""
    ax.text(x, y, f"({letter})  {title}", fontsize=12.5, weight="bold", color=INK, va="bottom")
    ax.text(x, y - 0.05, note, fontsize=8.8, color=NOTE, va="top")


def caption(ax, x, y, text, colour=INK):
    """Write what a stage does."""
    ax.text(x, y, text, ha="center", va="top", fontsize=8.4, color=colour, linespacing=1.25)


def box(ax, x, y, text, colour):
    """Draw a network as a box with its name."""
    ax.add_patch(
        FancyBboxPatch(
            (x - 0.6, y - 0.22),
            1.2,
            0.44,
            boxstyle="round,pad=0.04",
            facecolor=colour,
            edgecolor="none",
            zorder=4,
        )
    )
    ax.text(x, y, text, ha="center", va="center", fontsize=8.6, color="white", zorder=5)
