"""Picture of a validation patient for TensorBoard: films, truth and prediction."""

import math

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from xctrs_tf.drawing.panels import (
    PLANES,
    centre_of,
    draw_film,
    draw_legend,
    draw_plane,
    draw_scale,
    hide_frame,
)
from xctrs_tf.geometry import VIEWS
from xctrs_tf.style import DPI, GREY, INK, LEVEL_HU, WIDTH_HU

# 900 x 564 pixels.
_INCHES = 7.5, 4.7


def validation_picture(patient, step):
    """Draw films, true CT and predicted CT side by side, with the outlines of their labels.

    Both rows show the same planes, through the middle of the true labels.

    Args:
        patient: `training.validation.ValidatedPatient`.
        step: training step.

    Returns:
        uint8 ``[row, column, 3]``, 900 pixels wide.
    """
    figure = Figure(figsize=_INCHES, dpi=DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        2,
        5,
        width_ratios=(1, 0.11, 1, 1, 1),
        left=0.006,
        right=0.997,
        bottom=0.085,
        top=0.865,
        wspace=0.02,
        hspace=0.02,
    )
    rows = (
        ("truth", patient.ct_true, patient.labels_true),
        ("reconstruction" if patient.reconstructs else "segmentation", *_predicted(patient)),
    )
    centre = centre_of(patient.labels_true)
    for row, (view, (name, ct, labels)) in enumerate(zip(VIEWS, rows, strict=True)):
        film, *planes = (figure.add_subplot(grid[row, column]) for column in (0, 2, 3, 4))
        draw_film(film, patient.films[view], view)
        draw_scale(film, patient.spacing_mm)
        for axis, plane in zip(planes, PLANES, strict=True):
            draw_plane(axis, ct, labels, plane, centre)
        planes[0].set_ylabel(name, fontsize=10, weight="bold", color=INK, labelpad=2)
        if row == 0:
            for axis, heading in zip((film, *planes), ("films", *PLANES), strict=True):
                axis.set_title(heading, fontsize=9, color=GREY, pad=3)
        for axis in (film, *planes):
            hide_frame(axis)
    _draw_texts(figure, patient, step)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _predicted(patient):
    labels = patient.labels_pred
    return patient.ct_pred, np.zeros_like(patient.labels_true) if labels is None else labels


def _draw_texts(figure, patient, step):
    style = {"fontsize": 10, "color": INK, "va": "center"}
    title = f"Validation patient {patient.id}, step {step}"
    figure.text(0.008, 0.955, title, weight="bold", **style)
    scores = []
    if not math.isnan(patient.psnr):
        scores.append(f"PSNR {patient.psnr:.2f} dB")
    if not math.isnan(patient.dice):
        scores.append(f"mean {patient.dice_name} {patient.dice:.3f}")
    figure.text(0.995, 0.955, "     ".join(scores), ha="right", **style)
    figure.text(
        0.008,
        0.04,
        f"CT from {LEVEL_HU - WIDTH_HU // 2} (black) to {LEVEL_HU + WIDTH_HU // 2} HU (white). "
        "A anterior, R the patient's right, S superior.",
        fontsize=8,
        color=GREY,
        va="center",
    )
    draw_legend(figure, right=0.995, y=0.04, step=0.036)
