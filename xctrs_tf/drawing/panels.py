"""Drawing that figures share: films, planes, outlines, letters, scale, legend, axes, saving."""

import numpy as np
import scipy
from matplotlib.patheffects import withStroke

from xctrs_tf.data.volumes.intensity import WINDOW_HU
from xctrs_tf.files import atomic_path
from xctrs_tf.geometry import PLANE_AXIS, VERTEBRAE, VIEWS, screen
from xctrs_tf.style import DPI, GREY, INK, LEVEL_HU, VERTEBRA_COLORS, WIDTH_HU

PLANES = ("sagittal", "coronal", "axial")
# Letters on the left and the upper edge of each picture, for the direction in the patient.
_DIRECTIONS = {
    "axial": ("R", "A"),
    "coronal": ("R", "S"),
    "sagittal": ("A", "S"),
    "ap": ("R", "S"),
    "la": ("A", "S"),
}
# Readable on black and on white.
ON_IMAGE = {"color": "#e4e8ec", "path_effects": [withStroke(linewidth=1.6, foreground="#20252b")]}
PANEL = 2.05  # inches
_SCALE_BAR_MM = 50


def centre_of(labels):
    """Return the voxel through which planes are cut: middle of the spine, at the height of C4."""
    if not labels.any():
        return tuple(side // 2 for side in labels.shape)
    x, y, z = np.round(scipy.ndimage.center_of_mass(labels > 0)).astype(int)
    c4_area = (labels == 4).sum(axis=(0, 1))
    return x, y, np.argmax(c4_area) if c4_area.any() else z


def draw_film(axis, film, view):
    """Draw a film `[horizontal, z]` in [0, 1], upright and lettered."""
    axis.imshow(screen(film, view), cmap="gray", vmin=0, vmax=1, interpolation="bicubic")
    draw_letters(axis, view)
    axis.text(
        0.97,
        0.03,
        view.upper(),
        ha="right",
        va="bottom",
        fontsize=9,
        transform=axis.transAxes,
        **ON_IMAGE,
    )


def draw_plane(axis, ct, labels, plane, centre):
    """Draw one plane of a CT in [0, 1] in a bone window, outlining the labels."""
    index = centre[PLANE_AXIS[plane]]
    low, high = WINDOW_HU
    hu = screen(np.take(ct, index, PLANE_AXIS[plane]), plane) * (high - low) + low
    axis.imshow(
        hu,
        cmap="gray",
        vmin=LEVEL_HU - WIDTH_HU / 2,
        vmax=LEVEL_HU + WIDTH_HU / 2,
        interpolation="bicubic",
    )
    outline = screen(np.take(labels, index, PLANE_AXIS[plane]), plane)
    for label, color in enumerate(VERTEBRA_COLORS, start=1):
        mask = outline == label
        if mask.any():
            smooth = scipy.ndimage.gaussian_filter(mask.astype(np.float32), 0.7)
            axis.contour(smooth, levels=[0.5], colors=[color], linewidths=1.3)
    draw_letters(axis, plane)


def draw_scale(axis, spacing_mm):
    """Draw a bar of 50 mm on the lower left of a picture whose pixels have this edge."""
    length = _SCALE_BAR_MM / spacing_mm
    left, right = axis.get_xlim()
    bottom = max(axis.get_ylim())
    if length < 0.8 * (right - left):
        x, y = left + 0.05 * (right - left), bottom - 0.06 * (right - left)
        bar = {**ON_IMAGE, "path_effects": [withStroke(linewidth=3.6, foreground="#20252b")]}
        axis.plot([x, x + length], [y, y], linewidth=2, **bar)
        style = {"fontsize": 7, "ha": "left", "va": "bottom", **ON_IMAGE}
        axis.text(x, y - 0.02 * (right - left), f"{_SCALE_BAR_MM} mm", **style)


def hide_frame(axis):
    """Remove the ticks and the border of a picture."""
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


def style_chart(axis, label_size=8):
    """Give a chart thin grey axes and horizontal grid lines."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(GREY)
    axis.tick_params(colors=INK, labelsize=label_size)
    axis.grid(axis="y", color=GREY, alpha=0.2)


def save_figure(figure, path, dpi=DPI):
    """Write a figure as PNG; an interrupted write leaves no file."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dpi)


def draw_letters(axis, name):
    """Letter the left and the upper edge of a picture by the directions in the patient.

    Args:
        axis: matplotlib axis.
        name: one of `geometry.VIEWS` or `PLANES`.
    """
    left, upper = _DIRECTIONS[name]
    style = {"fontsize": 8, "transform": axis.transAxes, **ON_IMAGE}
    axis.text(0.02, 0.5, left, ha="left", va="center", **style)
    axis.text(0.5, 0.985, upper, ha="center", va="top", **style)


def draw_patient(axes, films, ct, labels):
    """Draw both films and three planes through the spine, with the labels' outlines.

    Args:
        axes: five matplotlib axes.
        films: dict of `ap` `[x, z]` and `la` `[y, z]` in [0, 1].
        ct: intensities `[x, y, z]` in [0, 1].
        labels: integers `[x, y, z]`, 0..7.
    """
    for axis, view in zip(axes[:2], VIEWS, strict=True):
        draw_film(axis, films[view], view)
    centre = centre_of(labels)
    for axis, plane in zip(axes[2:], PLANES, strict=True):
        draw_plane(axis, ct, labels, plane, centre)
    headings = (*(f"{view.upper()} film" for view in VIEWS), *(p.capitalize() for p in PLANES))
    for axis, heading in zip(axes, headings, strict=True):
        axis.set_title(heading, fontsize=10, color=GREY, pad=5)
        hide_frame(axis)


def draw_legend(figure, right, y, step=0.03):
    """Draw the vertebrae's names in their colours, ending at `right` (figure fractions)."""
    for number, (name, color) in enumerate(zip(VERTEBRAE, VERTEBRA_COLORS, strict=True)):
        style = {"fontsize": 9, "weight": "bold", "color": color, "va": "center", "ha": "right"}
        figure.text(right - step * (len(VERTEBRAE) - 1 - number), y, name, **style)
