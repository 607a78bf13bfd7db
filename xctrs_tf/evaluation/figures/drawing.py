"""Drawing of films, planes, outlines, letters and legend, shared by all pictures of a patient."""

import numpy as np
import scipy
from matplotlib.patheffects import withStroke

from xctrs_tf.data.volumes.intensity import WINDOW_HU
from xctrs_tf.geometry import PLANE_AXIS, VERTEBRAE, VIEWS, screen
from xctrs_tf.style import GREY, LEVEL_HU, VERTEBRA_COLORS, WIDTH_HU

PLANES = ("sagittal", "coronal", "axial")
# Letters on the left and the upper edge of each picture: which way is which.
_DIRECTIONS = {
    "axial": ("R", "A"),
    "coronal": ("R", "S"),
    "sagittal": ("A", "S"),
    "ap": ("R", "S"),
    "la": ("A", "S"),
}
# Readable on black and on white.
_ON_IMAGE = {"color": "#e4e8ec", "path_effects": [withStroke(linewidth=1.6, foreground="#20252b")]}
PANEL = 2.05  # inches


def centre_of(labels):
    """Voxel through which the planes are cut: midst of the column, at the body of C4."""
    if not labels.any():
        return tuple(side // 2 for side in labels.shape)
    x, y, z = np.round(scipy.ndimage.center_of_mass(labels > 0)).astype(int)
    c4_area = (labels == 4).sum(axis=(0, 1))
    return x, y, np.argmax(c4_area) if c4_area.any() else z


def draw_film(axis, film, view):
    """Draw a film `[horizontal, z]` in [0, 1], upright and lettered."""
    axis.imshow(screen(film, view), cmap="gray", vmin=0, vmax=1, interpolation="bicubic")
    _letter(axis, view)
    axis.text(
        0.97,
        0.03,
        view.upper(),
        ha="right",
        va="bottom",
        fontsize=9,
        transform=axis.transAxes,
        **_ON_IMAGE,
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
    _letter(axis, plane)


def _letter(axis, name):
    left, upper = _DIRECTIONS[name]
    style = {"fontsize": 8, "transform": axis.transAxes, **_ON_IMAGE}
    axis.text(0.02, 0.5, left, ha="left", va="center", **style)
    axis.text(0.5, 0.985, upper, ha="center", va="top", **style)


def draw_patient(axes, films, ct, labels):
    """Both films and three planes through the spine, with the labels' outlines.

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
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)


def draw_legend(figure, right, y):
    """The vertebrae's names in their colours, ending at `right` (figure fractions)."""
    for number, (name, color) in enumerate(zip(VERTEBRAE, VERTEBRA_COLORS, strict=True)):
        style = {"fontsize": 9, "weight": "bold", "color": color, "va": "center", "ha": "right"}
        figure.text(right - 0.03 * (len(VERTEBRAE) - 1 - number), y, name, **style)
