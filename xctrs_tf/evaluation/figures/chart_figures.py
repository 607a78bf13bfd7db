"""Charts of collected figures: Dice of every vertebra, and the course of training."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from xctrs_tf.drawing.panels import save_figure, style_chart
from xctrs_tf.evaluation.tables.comparison import DICE_COLUMNS, patient_values
from xctrs_tf.models.catalogue import MEAN_VOLUME_ROW, REFERENCE_ROW, ROWS, TABLE_ROWS
from xctrs_tf.style import GREY, INK

# Without the greys at their ends, since the mean volume is grey.
_COLORS = (*matplotlib.colormaps["Set2"].colors[:7], *matplotlib.colormaps["Dark2"].colors[:7])
_FIXED_COLORS = {REFERENCE_ROW: "#b3202a", MEAN_VOLUME_ROW: "#c9cdd2"}
# Scalars of history.jsonl that are drawn, with their labels.
_CURVES = {"psnr": "validation PSNR (dB)", "dice_hard": "validation {}"}


def method_color(row):
    """Return the colour of a row of `TABLE_ROWS`, the same in every chart."""
    return _FIXED_COLORS.get(row) or _COLORS[list(ROWS).index(row)]


def vertebrae_figure(path, results):
    """Draw box plots of each method's Dice, vertebra by vertebra.

    Args:
        path: the PNG to write.
        results: `Results`; methods without a segmentation are left out.
    """
    values = {}
    for row in TABLE_ROWS:
        found = [
            np.array(list(patient_values(results.patients(row), column.key).values()))
            for column in DICE_COLUMNS
        ]
        if any(np.any(~np.isnan(each)) for each in found):
            values[row] = [column_values[~np.isnan(column_values)] for column_values in found]
    figure = Figure(figsize=(12, 4.2), facecolor="white", layout="constrained")
    axis = figure.add_subplot()
    width = 0.8 / max(1, len(values))
    for number, (row, columns) in enumerate(values.items()):
        boxes = axis.boxplot(
            [100 * each for each in columns],
            positions=np.arange(len(columns)) + (number - (len(values) - 1) / 2) * width,
            widths=0.85 * width,
            patch_artist=True,
            medianprops={"color": INK},
            flierprops={"marker": ".", "markersize": 4, "markeredgecolor": GREY},
            **{part: {"color": GREY, "linewidth": 0.8} for part in ("whiskerprops", "capprops")},
            manage_ticks=False,
        )
        for box in boxes["boxes"]:
            box.set(facecolor=method_color(row), edgecolor=GREY, linewidth=0.8)
        # Rows that are not finished have fewer patients.
        boxes["boxes"][0].set_label(f"{TABLE_ROWS[row].title} (n = {len(columns[-1])})")
    headings = [column.heading for column in DICE_COLUMNS]
    axis.set_xticks(range(len(headings)), headings)
    axis.set_ylabel(f"{results.dice_name} (%)", color=INK)
    axis.set_xlim(-0.55, len(headings) - 0.45)
    for edge in np.arange(len(headings) - 1) + 0.5:
        axis.axvline(edge, color=GREY, linewidth=0.4, alpha=0.5)
    style_chart(axis)
    if values:
        figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    save_figure(figure, path)


def curves_figure(path, histories, dice_name="Dice"):
    """Draw validation PSNR and Dice of every run against its training step.

    Args:
        path: the PNG to write.
        histories: dict from a row of `TABLE_ROWS` to a list of histories, each the
            list of dicts of a run's history.jsonl.
        dice_name: name of the overlap.
    """
    figure = Figure(figsize=(11, 3.8), facecolor="white", layout="constrained")
    axes = figure.subplots(1, len(_CURVES))
    for axis, (key, label) in zip(axes, _CURVES.items(), strict=True):
        for row, runs in histories.items():
            if key == "psnr" and row.startswith("table3"):
                continue  # Its reconstruction is not trained.
            for number, history in enumerate(runs):
                points = [
                    (line["step"], line[key])
                    for line in history
                    if line["kind"] == "validation" and line.get(key) is not None
                ]
                if points:
                    label_of = TABLE_ROWS[row].title if number == 0 else None
                    style = {"marker": ".", "color": method_color(row), "linewidth": 1.4}
                    axis.plot(*zip(*points, strict=True), label=label_of, **style)
        axis.set_xlabel("training step", color=INK)
        axis.set_ylabel(label.format(dice_name), color=INK)
        style_chart(axis)
    handles = {}
    for axis in axes:
        handles |= dict(zip(*axis.get_legend_handles_labels()[::-1], strict=True))
    if handles:
        figure.legend(
            handles.values(),
            handles.keys(),
            loc="outside right upper",
            frameon=False,
            fontsize=8,
        )
    save_figure(figure, path)
