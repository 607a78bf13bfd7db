"""The robustness table and chart, from the figures of every patient and severity."""

import numpy as np

from xctrs_tf.evaluation.perturbations import PERTURBATIONS
from xctrs_tf.evaluation.statistics import bootstrap_interval, mean_sd
from xctrs_tf.evaluation.tables.comparison import DICE_COLUMNS, IMAGE_COLUMNS, patient_values
from xctrs_tf.evaluation.tables.grids import NOTHING, Grid
from xctrs_tf.files import atomic_path
from xctrs_tf.style import DPI, GREY, INK

COLUMNS = (IMAGE_COLUMNS[1], IMAGE_COLUMNS[0], DICE_COLUMNS[-1])
FIGURES = tuple(column.key for column in COLUMNS)
# Lines of the CSV that are no perturbation.
NONE, FLOOR = "none", "mean-volume"
NOT_RUN = "not run: needs the scans"
_BOOTSTRAP_SEED = 0


def robustness_grid(lines, dice_name):
    """Figures under every perturbation, and what it costs.

    Args:
        lines: dicts of strings: `perturbation`, `severity`, `id` and the figures.
        dice_name: what the overlap is called.

    Returns:
        `Grid`.
    """
    headings = [column.heading for column in COLUMNS[:-1]] + [f"mean {dice_name} (%)"]
    rows = [_line("films as in training", "", _values(lines, NONE))]
    for name, perturbation in PERTURBATIONS.items():
        severities = perturbation.severities
        if not _values(lines, name, severities[0])[FIGURES[0]]:
            rows.append([perturbation.title, NOT_RUN, *[NOTHING] * (2 * len(COLUMNS))])
            continue
        for severity in severities:
            text = "" if len(severities) == 1 else f"{severity:,g} {perturbation.unit}".strip()
            values = _values(lines, name, severity)
            rows.append(_line(perturbation.title, text, values, _values(lines, NONE)))
    rows.append(_line("mean volume, no film", "", _values(lines, FLOOR)))
    patients = len({line["id"] for line in lines})
    return Grid(
        "Films that differ from those of training",
        ["", "severity", *(text for each in headings for text in (each, "change [95 % interval]"))],
        rows,
        [
            f"Mean ± SD over {patients} patients; change: mean over patients of the difference "
            "from the films as in training, with its bootstrap interval. The ground truth is "
            "always the patient as his CT lies: a turned or shifted patient is an error of the "
            "set-up, which counts in full. Directions, signs, curves and noise are drawn for each "
            "patient and are the same at every severity."
        ],
    )


def robustness_figure(path, lines, dice_name):
    """The figures against the severity of each perturbation that has degrees of it.

    Args:
        path: the PNG to write.
        lines: as of `robustness_grid`.
        dice_name: what the overlap is called.
    """
    shown = {name: p for name, p in PERTURBATIONS.items() if len(p.severities) > 1}
    # Matplotlib takes a while to import, and the table needs none.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.05 * len(shown), 6.2), facecolor="white", layout="constrained")
    axes = figure.subplots(len(COLUMNS), len(shown), sharey="row", sharex="col")
    for row, column in enumerate(COLUMNS):
        floor, none = (_mean(_values(lines, name)[column.key], column) for name in (FLOOR, NONE))
        for axis, (name, perturbation) in zip(axes[row], shown.items(), strict=True):
            values = [
                _values(lines, name, severity)[column.key] for severity in perturbation.severities
            ]
            _draw(axis, column, values, none, floor)
            severities = ["–", *map(_tick, perturbation.severities)]
            axis.set_xticks(range(len(severities)), severities, fontsize=7)
            if row == 0:
                axis.set_title(_broken(perturbation.title), fontsize=8.5, color=INK)
            if row == len(COLUMNS) - 1:
                axis.set_xlabel(perturbation.unit, fontsize=8, color=INK)
        is_dice = column.key == FIGURES[-1]
        label = f"mean {dice_name} (%)" if is_dice else column.heading
        axes[row][0].set_ylabel(label, fontsize=8.5, color=INK)
    figure.supxlabel(
        "Mean and SD over patients; – is without perturbation; dashed: the mean training volume, "
        "which sees no film.",
        fontsize=8,
        color=GREY,
    )
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=DPI)


def _draw(axis, column, values, none, floor):
    """Mean and spread from the unperturbed films to the most severe ones."""
    moments = [none, *(_mean(each, column) for each in values)]
    means, deviations = np.array(moments).T
    steps = np.arange(len(means))
    deviations = np.nan_to_num(deviations)
    axis.fill_between(steps, means - deviations, means + deviations, color="#4c78a8", alpha=0.18)
    axis.plot(steps, means, marker="o", markersize=3.5, color="#4c78a8", linewidth=1.5)
    axis.axhline(floor[0], color=GREY, linestyle="--", linewidth=1)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(GREY)
    axis.tick_params(colors=INK, labelsize=7)
    axis.grid(axis="y", color=GREY, alpha=0.2)


def _tick(severity):
    """A severity in little room."""
    return f"{severity / 1000:g}k" if severity >= 10_000 else f"{severity:g}"


def _values(lines, name, severity=None):
    """Dict from figure to a patient's value by id, of one perturbation and severity."""
    chosen = [
        line
        for line in lines
        if line["perturbation"] == name
        and (severity is None or float(line["severity"]) == float(severity))
    ]
    return {key: patient_values(chosen, key) for key in FIGURES}


def _line(title, severity, values, reference=None):
    cells = []
    for column in COLUMNS:
        mean, sd = _mean(values[column.key], column)
        if np.isnan(mean):
            cells += [NOTHING, NOTHING]
            continue
        cells.append(f"{mean:.{column.digits}f} ± {sd:.{column.digits}f}")
        if reference is None:
            cells.append("")
            continue
        before = reference[column.key]
        change = [value - before[patient] for patient, value in values[column.key].items()]
        cells.append(_change(column.scale * np.array(change), column))
    return [title, severity, *cells]


def _change(change, column):
    ends = (mean_sd(change)[0], *bootstrap_interval(change, _BOOTSTRAP_SEED))
    mean, low, high = (f"{end:+.{column.digits}f}" for end in ends)
    return f"{mean} [{low}, {high}]"


def _mean(values, column):
    mean, sd = mean_sd(list(values.values()))
    return column.scale * mean, column.scale * sd


def _broken(title):
    """A title over two lines."""
    words = title.split()
    middle = (len(words) + 1) // 2
    return " ".join(words[:middle]) + "\n" + " ".join(words[middle:])
