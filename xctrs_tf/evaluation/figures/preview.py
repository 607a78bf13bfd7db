"""A picture of one reconstruction, for which there is no ground truth."""

import numpy as np
from matplotlib.figure import Figure

from xctrs_tf.data.volumes.intensity import normalise_hu
from xctrs_tf.evaluation.figures.drawing import PANEL, draw_legend, draw_patient
from xctrs_tf.files import atomic_path
from xctrs_tf.style import DPI, FIGURE_NOTICE, INK


def preview_figure(path, films, ct_hu, labels):
    """Draw both films and three planes of the CT with the outlines of the labels.

    The planes go through the middle of the labels, or of the volume if it has
    none.

    Args:
        path: the PNG to write.
        films: dict of `ap` `[x, z]` and `la` `[y, z]` in [0, 1].
        ct_hu: CT numbers in HU, `[x, y, z]`.
        labels: integers `[x, y, z]`, 0..7, or None.
    """
    if labels is None:
        labels = np.zeros(ct_hu.shape, np.uint8)
    figure = Figure(figsize=(5 * PANEL, PANEL + 0.7), facecolor="white")
    grid = figure.add_gridspec(1, 5, left=0.008, right=0.992, bottom=0.13, top=0.88, wspace=0.035)
    axes = [figure.add_subplot(cell) for cell in grid]
    draw_patient(axes, films, normalise_hu(ct_hu), labels)
    figure.text(0.008, 0.06, FIGURE_NOTICE, fontsize=8, color=INK, va="center")
    if labels.any():
        draw_legend(figure, right=0.992, y=0.06)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=DPI)
