"""Figures of one patient: ground truth above prediction, and a reconstruction alone."""

import math

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xctrs_tf.data.films.film_normalisation import normalise_film
from xctrs_tf.data.volumes.intensity import normalise_hu
from xctrs_tf.drawing.panels import (
    PANEL,
    centre_of,
    draw_film,
    draw_legend,
    draw_patient,
    draw_plane,
    hide_frame,
    save_figure,
)
from xctrs_tf.evaluation.figures.surface_rendering import (
    LATERAL,
    POSTERIOR_OBLIQUE,
    fitted_frame,
    render_surface,
)
from xctrs_tf.geometry import VERTEBRAE
from xctrs_tf.style import FIGURE_NOTICE, GREY, INK, LEVEL_HU, VERTEBRA_COLORS, WIDTH_HU

# Width and height of `draw_preview`.
PREVIEW_INCHES = (5 * PANEL, PANEL + 0.7)


def case_figure(path, case, ct_pred, labels_pred, metrics, dice_name="Dice", method="X-CTRSNet"):
    """Draw films, planes with outlines, and surfaces of truth and prediction.

    Args:
        path: the PNG to write.
        case: `xctrs_tf.data.dataset.Case` with the ground truth.
        ct_pred: reconstruction in [0, 1], `[x, y, z]`; None if the run
            segments the patient's own CT, which is drawn then.
        labels_pred: integer labels `[x, y, z]`, 0..7, or None.
        metrics: dict of `evaluate_case`.
        dice_name: `"Dice"`, or `"pseudo-label Dice"`.
        method: name of the method.
    """
    # Titles, a legend and a footer take the height of half a panel.
    figure = Figure(figsize=(6.25 * PANEL, 2 * PANEL + 1.25), facecolor="white")
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
    if ct_pred is None:
        ct_pred = normalise_hu(case.ct)
    centre = centre_of(case.segmentation)
    frame = fitted_frame(case.segmentation)
    rows = (
        ("Ground truth", "ap", normalise_hu(case.ct), case.segmentation),
        (method, "la", ct_pred, labels_pred),
    )
    for row, (name, view, ct, labels) in enumerate(rows):
        axes = [figure.add_subplot(grid[row, column]) for column in (0, 2, 3, 4, 5, 6)]
        draw_film(axes[0], normalise_film(getattr(case, view)), view)
        for axis, plane in zip(axes[1:4], ("sagittal", "coronal", "axial"), strict=True):
            draw_plane(axis, ct, labels, plane, centre)
        for axis, direction in zip(axes[4:], (LATERAL, POSTERIOR_OBLIQUE), strict=True):
            axis.imshow(render_surface(labels, direction, frame, pixels=440))
        style = {"fontsize": 10.5 if len(name) < 20 else 8.5, "weight": "bold", "labelpad": 3}
        axes[1].set_ylabel(name, color=INK, **style)
        if row == 0:
            _draw_headings(axes)
        for axis in axes:
            hide_frame(axis)
    _draw_texts(figure, case.id, metrics, dice_name)
    save_figure(figure, path)


def preview_figure(path, films, ct_hu, labels):
    """Write the drawing of `draw_preview`.

    Args:
        path: the PNG to write.
        films: as of `draw_preview`.
        ct_hu: as of `draw_preview`.
        labels: as of `draw_preview`.
    """
    figure = Figure(figsize=PREVIEW_INCHES, facecolor="white")
    draw_preview(figure, films, ct_hu, labels)
    save_figure(figure, path)


def draw_preview(figure, films, ct_hu, labels):
    """Draw both films and three planes of the CT with the outlines of the labels.

    The planes go through the middle of the labels, or of the volume if it has
    none.

    Args:
        figure: matplotlib figure of `PREVIEW_INCHES`, or of such proportions.
        films: dict of `ap` `[x, z]` and `la` `[y, z]` in [0, 1].
        ct_hu: CT numbers in HU, `[x, y, z]`.
        labels: integers `[x, y, z]`, 0..7, or None.
    """
    if labels is None:
        labels = np.zeros(ct_hu.shape, np.uint8)
    grid = figure.add_gridspec(1, 5, left=0.008, right=0.992, bottom=0.13, top=0.88, wspace=0.035)
    axes = [figure.add_subplot(cell) for cell in grid]
    draw_patient(axes, films, normalise_hu(ct_hu), labels)
    figure.text(0.008, 0.06, FIGURE_NOTICE, fontsize=8, color=INK, va="center")
    if labels.any():
        draw_legend(figure, right=0.992, y=0.06)


def _draw_headings(axes):
    headings = ("X-ray films", "Sagittal", "Coronal", "Axial", "From the left", "From behind left")
    for axis, heading in zip(axes, headings, strict=True):
        axis.set_title(heading, fontsize=10, color=GREY, pad=5)


def _draw_texts(figure, name, metrics, dice_name):
    figure.text(0.008, 0.955, f"Case {name}", fontsize=14, weight="bold", color=INK, va="center")
    scores = []
    if not math.isnan(metrics["psnr"]):
        scores += [
            f"PSNR {metrics['psnr']:.2f} dB",
            f"SSIM {metrics['ssim']:.3f}",
            f"mean error {metrics['mae_hu']:.0f} HU",
        ]
    if not math.isnan(metrics["dice_mean"]):
        scores.append(f"mean {dice_name} {metrics['dice_mean']:.3f}")
    style = {"color": INK, "va": "center"}
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
        text.set_color(INK)
    figure.text(0.008, 0.062, FIGURE_NOTICE, fontsize=9, color=INK, va="center")
    figure.text(
        0.008,
        0.025,
        f"Planes in a bone window (level {LEVEL_HU}, width {WIDTH_HU} HU); "
        "A anterior, R the patient's right, S superior.",
        fontsize=8,
        color=GREY,
        va="center",
    )
