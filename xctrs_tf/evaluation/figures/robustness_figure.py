"""Chart of the robustness study: figures against the severity of each perturbation."""

import numpy as np
from matplotlib.figure import Figure

from xctrs_tf.drawing.panels import save_figure, style_chart
from xctrs_tf.evaluation.perturbations import PERTURBATIONS
from xctrs_tf.evaluation.tables.study_tables import (
    ROBUSTNESS_COLUMNS,
    ROBUSTNESS_FIGURES,
    UNPERTURBED,
    mean_and_sd,
    perturbed_values,
)
from xctrs_tf.models.catalogue import MEAN_VOLUME_ROW
from xctrs_tf.style import GREY, INK


def robustness_figure(path, lines, dice_name):
    """Draw the figures against the severity of each perturbation that has degrees of it.

    Args:
        path: the PNG to write.
        lines: as of `robustness_grid`.
        dice_name: name of the overlap.
    """
    shown = {name: p for name, p in PERTURBATIONS.items() if len(p.severities) > 1}
    figure = Figure(figsize=(2.05 * len(shown), 6.2), facecolor="white", layout="constrained")
    axes = figure.subplots(len(ROBUSTNESS_COLUMNS), len(shown), sharey="row", sharex="col")
    for row, column in enumerate(ROBUSTNESS_COLUMNS):
        mean_volume, unperturbed = (
            mean_and_sd(perturbed_values(lines, name)[column.key], column)
            for name in (MEAN_VOLUME_ROW, UNPERTURBED)
        )
        for axis, (name, perturbation) in zip(axes[row], shown.items(), strict=True):
            values = [
                perturbed_values(lines, name, severity)[column.key]
                for severity in perturbation.severities
            ]
            _draw(axis, column, values, unperturbed, mean_volume)
            style_chart(axis, label_size=7)
            severities = ["–", *map(_tick, perturbation.severities)]
            axis.set_xticks(range(len(severities)), severities, fontsize=7)
            if row == 0:
                axis.set_title(_broken(perturbation.title), fontsize=8.5, color=INK)
            if row == len(ROBUSTNESS_COLUMNS) - 1:
                axis.set_xlabel(perturbation.unit, fontsize=8, color=INK)
        is_dice = column.key == ROBUSTNESS_FIGURES[-1]
        label = f"mean {dice_name} (%)" if is_dice else column.heading
        axes[row][0].set_ylabel(label, fontsize=8.5, color=INK)
    figure.supxlabel(
        "Mean and SD over patients; – is without perturbation; dashed: the mean training volume, "
        "which sees no film.",
        fontsize=8,
        color=GREY,
    )
    save_figure(figure, path)


def _draw(axis, column, values, unperturbed, mean_volume):
    """Draw mean and spread from the unperturbed films to the most severe ones."""
    moments = [unperturbed, *(mean_and_sd(each, column) for each in values)]
    means, deviations = np.array(moments).T
    steps = np.arange(len(means))
    deviations = np.nan_to_num(deviations)
    axis.fill_between(steps, means - deviations, means + deviations, color="#4c78a8", alpha=0.18)
    axis.plot(steps, means, marker="o", markersize=3.5, color="#4c78a8", linewidth=1.5)
    axis.axhline(mean_volume[0], color=GREY, linestyle="--", linewidth=1)


def _tick(severity):
    """Write a severity in little room."""
    return f"{severity / 1000:g}k" if severity >= 10_000 else f"{severity:g}"


def _broken(title):
    """Break a title into two lines."""
    words = title.split()
    middle = (len(words) + 1) // 2
    return " ".join(words[:middle]) + "\n" + " ".join(words[middle:])
