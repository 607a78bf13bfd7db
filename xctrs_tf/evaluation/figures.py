"""One page for one patient, as the paper's Fig. 6 and 7: truth above prediction."""

import math

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from scipy import ndimage

from xctrs_tf.data.intensity import WINDOW_HU, normalise_hu
from xctrs_tf.data.xray import normalise_film
from xctrs_tf.evaluation.surface import (
    LATERAL,
    POSTERIOR_OBLIQUE,
    VERTEBRA_COLORS,
    fitted_frame,
    render_surface,
)
from xctrs_tf.files import atomic_path
from xctrs_tf.geometry import PLANE_AXIS, VERTEBRAE, screen

# A bone window, as on a reading station.
_LEVEL_HU, _WIDTH_HU = 400, 1800
_INK, _GREY = "#1b1f24", "#6b7178"
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
_PANEL = 2.05  # inches
_DPI = 120
_FOOTER = (
    "Computed from the two X-ray films by a neural network that guesses what they do not show. "
    "Research only. Not for diagnosis."
)


def case_figure(path, case, ct_pred, labels_pred, metrics, dice_name="Dice"):
    """Draw films, planes with outlines, and surfaces of truth and prediction.

    Args:
        path: the PNG to write.
        case: `xctrs_tf.data.dataset.Case` with the ground truth.
        ct_pred: reconstruction in [0, 1], `[x, y, z]`.
        labels_pred: integer labels `[x, y, z]`, 0..7, or None.
        metrics: dict of `evaluate_case`.
        dice_name: `"Dice"`, or `"pseudo-label Dice"`.
    """
    # Titles, a legend and a footer take the height of half a panel.
    figure = Figure(figsize=(6.25 * _PANEL, 2 * _PANEL + 1.25), facecolor="white")
    grid = figure.add_gridspec(
        2,
        7,
        width_ratios=(1, 0.09, 1, 1, 1, 1, 1),
        left=0.008,
        right=0.995,
        bottom=0.105,
        top=0.845,
        wspace=0.035,
        hspace=0.045,
    )
    if labels_pred is None:
        labels_pred = np.zeros_like(case.segmentation)
    centre = _centre(case.segmentation)
    frame = fitted_frame(case.segmentation)
    rows = (
        ("Ground truth", "ap", normalise_hu(case.ct), case.segmentation),
        ("X-CTRSNet", "la", ct_pred, labels_pred),
    )
    for row, (name, view, ct, labels) in enumerate(rows):
        axes = [figure.add_subplot(grid[row, column]) for column in (0, 2, 3, 4, 5, 6)]
        _draw_film(axes[0], normalise_film(getattr(case, view)), view)
        for axis, plane in zip(axes[1:4], ("sagittal", "coronal", "axial"), strict=True):
            _draw_plane(axis, ct, labels, plane, centre)
        for axis, direction in zip(axes[4:], (LATERAL, POSTERIOR_OBLIQUE), strict=True):
            axis.imshow(render_surface(labels, direction, frame, pixels=440))
        axes[1].set_ylabel(name, fontsize=10.5, color=_INK, weight="bold", labelpad=3)
        if row == 0:
            _draw_headings(axes)
        for axis in axes:
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
    _draw_texts(figure, case.id, metrics, dice_name)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=_DPI)


def _centre(labels):
    """Voxel through which the planes are cut: midst of the column, at the body of C4."""
    if not labels.any():
        return tuple(side // 2 for side in labels.shape)
    x, y, z = np.round(ndimage.center_of_mass(labels > 0)).astype(int)
    c4_area = (labels == 4).sum(axis=(0, 1))
    return x, y, np.argmax(c4_area) if c4_area.any() else z


def _draw_headings(axes):
    headings = ("X-ray films", "Sagittal", "Coronal", "Axial", "From the left", "From behind left")
    for axis, heading in zip(axes, headings, strict=True):
        axis.set_title(heading, fontsize=10, color=_GREY, pad=5)


def _draw_film(axis, film, view):
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


def _draw_plane(axis, ct, labels, plane, centre):
    index = centre[PLANE_AXIS[plane]]
    low, high = WINDOW_HU
    hu = screen(np.take(ct, index, PLANE_AXIS[plane]), plane) * (high - low) + low
    axis.imshow(
        hu,
        cmap="gray",
        vmin=_LEVEL_HU - _WIDTH_HU / 2,
        vmax=_LEVEL_HU + _WIDTH_HU / 2,
        interpolation="bicubic",
    )
    outline = screen(np.take(labels, index, PLANE_AXIS[plane]), plane)
    for label, color in enumerate(VERTEBRA_COLORS, start=1):
        mask = outline == label
        if mask.any():
            smooth = ndimage.gaussian_filter(mask.astype(np.float32), 0.7)
            axis.contour(smooth, levels=[0.5], colors=[color], linewidths=1.3)
    _letter(axis, plane)


def _letter(axis, name):
    left, upper = _DIRECTIONS[name]
    style = {"fontsize": 8, "transform": axis.transAxes, **_ON_IMAGE}
    axis.text(0.02, 0.5, left, ha="left", va="center", **style)
    axis.text(0.5, 0.985, upper, ha="center", va="top", **style)


def _draw_texts(figure, name, metrics, dice_name):
    figure.text(0.008, 0.955, f"Case {name}", fontsize=14, weight="bold", color=_INK, va="center")
    scores = [
        f"PSNR {metrics['psnr']:.2f} dB",
        f"SSIM {metrics['ssim']:.3f}",
        f"mean error {metrics['mae_hu']:.0f} HU",
    ]
    if not math.isnan(metrics["dice_mean"]):
        scores.append(f"mean {dice_name} {metrics['dice_mean']:.3f}")
    style = {"color": _INK, "va": "center"}
    figure.text(0.995, 0.955, "     ".join(scores), fontsize=11, ha="right", **style)
    handles = [Line2D([], [], marker="s", markersize=7, ls="", color=c) for c in VERTEBRA_COLORS]
    legend = figure.legend(
        handles,
        VERTEBRAE,
        loc="center right",
        bbox_to_anchor=(0.998, 0.05),
        ncols=len(VERTEBRAE),
        frameon=False,
        fontsize=9,
        handletextpad=0.1,
        columnspacing=0.9,
    )
    for text in legend.get_texts():
        text.set_color(_INK)
    figure.text(0.008, 0.062, _FOOTER, fontsize=9, color=_INK, va="center")
    figure.text(
        0.008,
        0.025,
        f"Planes in a bone window (level {_LEVEL_HU}, width {_WIDTH_HU} HU); "
        "A anterior, R the patient's right, S superior.",
        fontsize=8,
        color=_GREY,
        va="center",
    )
