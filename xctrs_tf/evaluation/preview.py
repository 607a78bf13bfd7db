"""A picture of one reconstruction, for which there is no ground truth."""

import numpy as np
from matplotlib.figure import Figure

from xctrs_tf.data.intensity import normalise_hu
from xctrs_tf.evaluation.figures import (
    _DPI,
    _FOOTER,
    _GREY,
    _INK,
    _PANEL,
    _centre,
    _draw_film,
    _draw_plane,
)
from xctrs_tf.evaluation.surface import VERTEBRA_COLORS
from xctrs_tf.files import atomic_path
from xctrs_tf.geometry import VERTEBRAE, VIEWS

_PLANES = ("sagittal", "coronal", "axial")
_HEADINGS = ("AP film", "LA film", "Sagittal", "Coronal", "Axial")


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
    figure = Figure(figsize=(5 * _PANEL, _PANEL + 0.7), facecolor="white")
    grid = figure.add_gridspec(1, 5, left=0.008, right=0.992, bottom=0.13, top=0.88, wspace=0.035)
    axes = [figure.add_subplot(cell) for cell in grid]
    for axis, view in zip(axes[:2], VIEWS, strict=True):
        _draw_film(axis, films[view], view)
    centre = _centre(labels)
    for axis, plane in zip(axes[2:], _PLANES, strict=True):
        _draw_plane(axis, normalise_hu(ct_hu), labels, plane, centre)
    for axis, heading in zip(axes, _HEADINGS, strict=True):
        axis.set_title(heading, fontsize=10, color=_GREY, pad=5)
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    figure.text(0.008, 0.06, _FOOTER, fontsize=8, color=_INK, va="center")
    if labels.any():
        for number, (name, color) in enumerate(zip(VERTEBRAE, VERTEBRA_COLORS, strict=True)):
            style = {"fontsize": 9, "weight": "bold", "color": color, "va": "center"}
            figure.text(0.992 - 0.03 * (6 - number), 0.06, name, ha="right", **style)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=_DPI)
