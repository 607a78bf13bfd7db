"""Tables of one trained model: robustness to other films, and evaluation protocols."""

import numpy as np

from xctrs_tf.evaluation.perturbations import PERTURBATIONS
from xctrs_tf.evaluation.statistics import bootstrap_interval, mean_sd
from xctrs_tf.evaluation.tables.comparison import DICE_COLUMNS, IMAGE_COLUMNS, patient_values
from xctrs_tf.evaluation.tables.grids import NOTHING, Grid
from xctrs_tf.metrics import PROTOCOLS
from xctrs_tf.models.catalogue import MEAN_VOLUME_ROW
from xctrs_tf.style import GREY, INK

ROBUSTNESS_COLUMNS = (IMAGE_COLUMNS[1], IMAGE_COLUMNS[0], DICE_COLUMNS[-1])
ROBUSTNESS_FIGURES = tuple(column.key for column in ROBUSTNESS_COLUMNS)
# Name in the CSV of the films as in training; the mean volume has `MEAN_VOLUME_ROW`.
UNPERTURBED = "none"
_NO_SCANS = "not run: needs the scans"
_BOOTSTRAP_SEED = 0
# Columns of protocols.csv that are not figures.
_PROTOCOL_KEYS = ("id", "method")


def robustness_grid(lines, dice_name):
    """Lay out the figures under every perturbation, and their change.

    Args:
        lines: dicts of strings: `perturbation`, `severity`, `id` and the figures.
        dice_name: name of the overlap.

    Returns:
        `Grid`.
    """
    headings = [column.heading for column in ROBUSTNESS_COLUMNS[:-1]] + [f"mean {dice_name} (%)"]
    rows = [_line("films as in training", "", _values(lines, UNPERTURBED))]
    for name, perturbation in PERTURBATIONS.items():
        severities = perturbation.severities
        if not _values(lines, name, severities[0])[ROBUSTNESS_FIGURES[0]]:
            rows.append([perturbation.title, _NO_SCANS, *[NOTHING] * (2 * len(ROBUSTNESS_COLUMNS))])
            continue
        for severity in severities:
            text = "" if len(severities) == 1 else f"{severity:,g} {perturbation.unit}".strip()
            values = _values(lines, name, severity)
            rows.append(_line(perturbation.title, text, values, _values(lines, UNPERTURBED)))
    rows.append(_line("mean volume, no film", "", _values(lines, MEAN_VOLUME_ROW)))
    patients = len({line["id"] for line in lines})
    return Grid(
        "Films that differ from those of training",
        ["", "severity", *(text for each in headings for text in (each, "change [95 % interval]"))],
        rows,
        [
            f"Mean ± SD over {patients} patients; change: mean over patients of the difference "
            "from the films as in training, with its bootstrap interval. The ground truth is "
            "always the patient as their CT lies: a turned or shifted patient is an error of the "
            "set-up, which counts in full. Directions, signs, curves and noise are drawn for each "
            "patient and are the same at every severity."
        ],
    )


def robustness_figure(path, lines, dice_name):
    """Draw the figures against the severity of each perturbation that has degrees of it.

    Args:
        path: the PNG to write.
        lines: as of `robustness_grid`.
        dice_name: name of the overlap.
    """
    shown = {name: p for name, p in PERTURBATIONS.items() if len(p.severities) > 1}
    # Matplotlib takes a while to import, and the table needs unperturbed.
    from matplotlib.figure import Figure

    from xctrs_tf.evaluation.figures.drawing import save_figure, style_chart

    figure = Figure(figsize=(2.05 * len(shown), 6.2), facecolor="white", layout="constrained")
    axes = figure.subplots(len(ROBUSTNESS_COLUMNS), len(shown), sharey="row", sharex="col")
    for row, column in enumerate(ROBUSTNESS_COLUMNS):
        mean_volume, unperturbed = (
            _mean(_values(lines, name)[column.key], column)
            for name in (MEAN_VOLUME_ROW, UNPERTURBED)
        )
        for axis, (name, perturbation) in zip(axes[row], shown.items(), strict=True):
            values = [
                _values(lines, name, severity)[column.key] for severity in perturbation.severities
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


def protocol_grid(lines):
    """Lay out mean and standard deviation of every figure, and describe each protocol.

    Args:
        lines: dicts of `method`, `id` and a figure a protocol, `<protocol>_<figure>`;
            numbers, or strings as of a CSV.

    Returns:
        `Grid`.
    """
    methods = list(dict.fromkeys(line["method"] for line in lines))
    rows = []
    for figure in (key for key in lines[0] if key not in _PROTOCOL_KEYS):
        protocol, _, name = figure.partition("_")
        digits = 2 if name.startswith("psnr") else 3
        columns = (
            [float(line[figure]) for line in lines if line["method"] == method]
            for method in methods
        )
        cells = ["{:.{d}f} ± {:.{d}f}".format(*mean_sd(values), d=digits) for values in columns]
        rows.append([f"{protocol}: {name.replace('_', ', ').upper()}", *cells])
    count = len({line["id"] for line in lines})
    notes = [f"{count} patient{'s' if count > 1 else ''}, mean ± SD; PSNR in dB."]
    notes += [f"{name}: {each.__doc__.splitlines()[0]}" for name, each in PROTOCOLS.items()]
    return Grid("The same volumes under every protocol", ["", *methods], rows, notes)


def _draw(axis, column, values, unperturbed, mean_volume):
    """Mean and spread from the unperturbed films to the most severe ones."""
    moments = [unperturbed, *(_mean(each, column) for each in values)]
    means, deviations = np.array(moments).T
    steps = np.arange(len(means))
    deviations = np.nan_to_num(deviations)
    axis.fill_between(steps, means - deviations, means + deviations, color="#4c78a8", alpha=0.18)
    axis.plot(steps, means, marker="o", markersize=3.5, color="#4c78a8", linewidth=1.5)
    axis.axhline(mean_volume[0], color=GREY, linestyle="--", linewidth=1)


def _tick(severity):
    """Write a severity in little room."""
    return f"{severity / 1000:g}k" if severity >= 10_000 else f"{severity:g}"


def _values(lines, name, severity=None):
    """Return a dict from figure to a patient's value by id, of one perturbation and severity."""
    chosen = [
        line
        for line in lines
        if line["perturbation"] == name
        and (severity is None or float(line["severity"]) == float(severity))
    ]
    return {key: patient_values(chosen, key) for key in ROBUSTNESS_FIGURES}


def _line(title, severity, values, reference=None):
    cells = []
    for column in ROBUSTNESS_COLUMNS:
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
    """Break a title into two lines."""
    words = title.split()
    middle = (len(words) + 1) // 2
    return " ".join(words[:middle]) + "\n" + " ".join(words[middle:])
