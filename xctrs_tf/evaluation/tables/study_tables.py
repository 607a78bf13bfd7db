"""Tables of one method, perhaps of several folds: robustness to other films, and protocols."""

import numpy as np

from xctrs_tf.evaluation.perturbations import PERTURBATIONS
from xctrs_tf.evaluation.statistics import bootstrap_interval, mean_sd
from xctrs_tf.evaluation.tables.comparison import (
    DICE_COLUMNS,
    IMAGE_COLUMNS,
    label_notes,
    patient_values,
)
from xctrs_tf.evaluation.tables.grids import NOTHING, TableGrid, mean_text
from xctrs_tf.metrics import PROTOCOLS
from xctrs_tf.models.catalogue import MEAN_VOLUME_ROW

ROBUSTNESS_COLUMNS = (IMAGE_COLUMNS[1], IMAGE_COLUMNS[0], DICE_COLUMNS[-1])
ROBUSTNESS_FIGURES = tuple(column.key for column in ROBUSTNESS_COLUMNS)
# Name in the CSV of the films as in training; the mean volume has `MEAN_VOLUME_ROW`.
UNPERTURBED = "none"
_NOT_RUN, _NO_SCANS = "not run", "not run: needs the scans"
_BOOTSTRAP_SEED = 0
# Columns of protocols.csv that are not figures.
_PROTOCOL_KEYS = ("id", "method", "fold")


def patients_note(origin):
    """Return what a record of a study says of its patients, as a line below its table.

    Args:
        origin: dict of the JSON beside the CSV. Older ones tell less.

    Returns:
        The line: which part of which folds, and how many of them were trained on.
    """
    folds = origin.get("folds") or [origin.get("fold")]
    known = [str(fold) for fold in folds if fold is not None]
    which = f" of fold{'s' if len(known) > 1 else ''} {', '.join(known)}" if known else ""
    note = f"{origin.get('split', 'test').capitalize()} patients{which}."
    if not origin.get("is_training_data", True):
        note += " Not the data that the networks were trained on."
    if origin.get("trained_on", 0) is None:
        note += " Whether some of them were trained on is not known."
    elif origin.get("trained_on"):
        note += f" {origin['trained_on']} of them were trained on."
    return note


def robustness_grid(lines, dice_name, note):
    """Lay out the figures under every perturbation, and their change.

    Args:
        lines: dicts of strings: `perturbation`, `severity`, `id` and the figures.
        dice_name: name of the overlap.
        note: of `patients_note`.

    Returns:
        `TableGrid`.
    """
    headings = [column.heading for column in ROBUSTNESS_COLUMNS[:-1]] + [f"mean {dice_name} (%)"]
    rows = [_line("films as in training", "", perturbed_values(lines, UNPERTURBED))]
    for name, perturbation in PERTURBATIONS.items():
        severities = perturbation.severities
        if not perturbed_values(lines, name, severities[0])[ROBUSTNESS_FIGURES[0]]:
            why = _NO_SCANS if perturbation.needs_scan else _NOT_RUN
            rows.append([perturbation.title, why, *[NOTHING] * (2 * len(ROBUSTNESS_COLUMNS))])
            continue
        for severity in severities:
            text = "" if len(severities) == 1 else f"{severity:,g} {perturbation.unit}".strip()
            values = perturbed_values(lines, name, severity)
            rows.append(
                _line(perturbation.title, text, values, perturbed_values(lines, UNPERTURBED))
            )
    rows.append(_line("mean volume, no film", "", perturbed_values(lines, MEAN_VOLUME_ROW)))
    patients = len({line["id"] for line in lines})
    return TableGrid(
        "Films that differ from those of training",
        ["", "severity", *(text for each in headings for text in (each, "change [95 % interval]"))],
        rows,
        [
            note,
            f"Mean ± SD over {patients} patients; change: mean over patients of the difference "
            "from the films as in training, with its bootstrap interval. The ground truth is "
            "always the patient as their CT lies: a turned or shifted patient is an error of the "
            "set-up, which counts in full. Directions, signs, curves and noise are drawn for each "
            "patient and are the same at every severity.",
            *label_notes(dice_name),
        ],
    )


def robustness_comparison_grid(results, names=tuple(PERTURBATIONS)):
    """Lay out the PSNR of several models under every perturbation, side by side.

    Args:
        results: dict from the name of a model to its lines, as of `robustness_grid`, of the
            same patients.
        names: keys of `PERTURBATIONS` to show. The last row is the mean over the films as in
            training and each of these, whose severities are averaged first.

    Returns:
        `TableGrid`.
    """
    kinds = [(UNPERTURBED, ("",)), *((name, PERTURBATIONS[name].severities) for name in names)]
    rows, means = [], []
    for name, severities in kinds:
        of_kind = []
        for severity in severities:
            chosen = (name,) if name == UNPERTURBED else (name, severity)
            values = [
                np.mean(list(perturbed_values(lines, *chosen)["psnr"].values()) or [np.nan])
                for lines in results.values()
            ]
            of_kind.append(values)
            rows.append([*_kind_and_severity(name, severity), *(_decibel(v) for v in values)])
        means.append(np.mean(of_kind, axis=0))
    rows.append(["mean of the kinds", "", *(_decibel(v) for v in np.mean(means, axis=0))])
    patients = len({line["id"] for lines in results.values() for line in lines})
    return TableGrid(
        "PSNR (dB) of models on films that differ from those of training",
        ["", "severity", *results],
        rows,
        [f"Mean over {patients} patients."],
    )


def protocol_grid(lines, note):
    """Lay out mean and standard deviation of every figure, and describe each protocol.

    Args:
        lines: dicts of `method`, `id` and a figure a protocol, `<protocol>_<figure>`;
            numbers, or strings as of a CSV.
        note: of `patients_note`.

    Returns:
        `TableGrid`.
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
        cells = [mean_text(*mean_sd(values), digits) for values in columns]
        rows.append([f"{protocol}: {name.replace('_', ', ').upper()}", *cells])
    count = len({line["id"] for line in lines})
    notes = [note, f"{count} patient{'s' if count > 1 else ''}, mean ± SD; PSNR in dB."]
    notes += [f"{name}: {each.__doc__.splitlines()[0]}" for name, each in PROTOCOLS.items()]
    return TableGrid("The same volumes under every protocol", ["", *methods], rows, notes)


def perturbed_values(lines, name, severity=None):
    """Return a dict from figure to a patient's value by id, of one perturbation and severity."""
    chosen = [
        line
        for line in lines
        if line["perturbation"] == name
        and (severity is None or float(line["severity"]) == float(severity))
    ]
    return {key: patient_values(chosen, key) for key in ROBUSTNESS_FIGURES}


def _kind_and_severity(name, severity):
    if name == UNPERTURBED:
        return "films as in training", ""
    perturbation = PERTURBATIONS[name]
    text = f"{severity:,g} {perturbation.unit}" if len(perturbation.severities) > 1 else ""
    return perturbation.title, text.strip()


def _decibel(value):
    return NOTHING if np.isnan(value) else f"{value:.2f}"


def _line(title, severity, values, reference=None):
    cells = []
    for column in ROBUSTNESS_COLUMNS:
        mean, sd = mean_and_sd(values[column.key], column)
        if np.isnan(mean):
            cells += [NOTHING, NOTHING]
            continue
        cells.append(mean_text(mean, sd, column.digits))
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
    # A single patient has no interval.
    return mean if np.isnan(ends).any() else f"{mean} [{low}, {high}]"


def mean_and_sd(values, column):
    """Return mean and standard deviation over patients, in the units of a column."""
    mean, sd = mean_sd(list(values.values()))
    return column.scale * mean, column.scale * sd
