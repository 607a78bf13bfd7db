"""Contents of the paper's tables, computed from collected results.

Each method's figures over patients, and its paired difference from X-CTRSNet. A
patient who was tested with several seeds counts once, with the mean of them.
"""

import dataclasses

import numpy as np

from xctrs_tf.data.dataset.manifest import MODEL_MADE, are_model_made
from xctrs_tf.evaluation.patient import DICE_KEYS
from xctrs_tf.evaluation.statistics import (
    PairedTest,
    bootstrap_interval,
    holm,
    mean_sd,
    paired_wilcoxon,
)
from xctrs_tf.evaluation.tables import paper
from xctrs_tf.geometry import VERTEBRAE
from xctrs_tf.models.catalogue import MEAN_VOLUME_ROW, REFERENCE_ROW, rows_of_table

BOOTSTRAP_SEED = 0


@dataclasses.dataclass(frozen=True)
class TableColumn:
    """A column of a table, one figure of `evaluate_case`.

    Attributes:
        key: of the figure.
        heading: name and unit.
        digits: decimals that are shown.
        scale: factor from the figure's unit to the unit shown.
    """

    key: str
    heading: str
    digits: int
    scale: float = 1.0


IMAGE_COLUMNS = (TableColumn("ssim", "SSIM", 3), TableColumn("psnr", "PSNR (dB)", 2))
DICE_COLUMNS = tuple(
    TableColumn(key, name, digits=2, scale=100.0)
    for key, name in zip((*DICE_KEYS, "dice_mean"), (*VERTEBRAE, "Mean"), strict=True)
)
# Columns that the paper does not report.
FURTHER_IMAGE_COLUMNS = (
    TableColumn("ssim_3d", "SSIM, 3D", 3),
    TableColumn("mae_hu", "MAE (HU)", 1),
    TableColumn("mae_bone_hu", "MAE in bone (HU)", 1),
)
FURTHER_DICE_COLUMNS = (
    TableColumn("hd95_mean", "HD95 (mm)", 2),
    TableColumn("assd_mean", "ASSD (mm)", 2),
    TableColumn("nsd_mean", "NSD (%)", 2, scale=100.0),
    TableColumn("missed", "missed vertebrae", 2),
)
# Columns of figures that compare with the labels, or are computed inside them.
_OF_LABELS = {column.key for column in (*DICE_COLUMNS, *FURTHER_DICE_COLUMNS)} | {"mae_bone_hu"}


@dataclasses.dataclass(frozen=True)
class Table:
    """One of the paper's tables.

    Attributes:
        name: key of `COMPARED_TABLES`.
        title: what it compares.
        rows: names of `models.catalogue.TABLE_ROWS`, in the paper's order; the mean volume last.
        columns: those of the paper.
        further: columns that the paper does not have.
        compared: keys of the columns that are tested against X-CTRSNet.
        part: which of a method's networks it counts: all, or one of
            ``"reconstruction"`` and ``"segmentation"``.
    """

    name: str
    title: str
    rows: tuple
    columns: tuple
    further: tuple
    compared: tuple
    part: str | None = None

    @property
    def number(self):
        """Such as ``"Table 1"``."""
        return self.name.replace("table", "Table ")


COMPARED_TABLES = {
    table.name: table
    for table in (
        Table(
            "table1",
            "what each part adds",
            (*rows_of_table(1), MEAN_VOLUME_ROW),
            IMAGE_COLUMNS + DICE_COLUMNS,
            FURTHER_IMAGE_COLUMNS + FURTHER_DICE_COLUMNS,
            ("ssim", "psnr", "dice_mean"),
        ),
        Table(
            "table2",
            "reconstruction",
            (*rows_of_table(2), MEAN_VOLUME_ROW),
            IMAGE_COLUMNS,
            FURTHER_IMAGE_COLUMNS,
            ("ssim", "psnr"),
            "reconstruction",
        ),
        Table(
            "table3",
            "segmentation after reconstruction",
            (*rows_of_table(3), MEAN_VOLUME_ROW),
            DICE_COLUMNS,
            FURTHER_DICE_COLUMNS,
            ("dice_mean",),
            "segmentation",
        ),
    )
}


@dataclasses.dataclass(frozen=True)
class Difference:
    """X-CTRSNet's values less a method's, on the patients that both were tested on.

    Attributes:
        mean: over patients.
        interval: 95 % bootstrap interval of it.
        test: `PairedTest`.
        p_holm: p-value adjusted for the methods that the table compares in this
            figure.
        paper: the difference of the paper's means, or None.
    """

    mean: float
    interval: tuple
    test: PairedTest
    p_holm: float
    paper: float | None


@dataclasses.dataclass(frozen=True)
class Cell:
    """One method's value of one figure, in the figure's own unit.

    Attributes:
        row: name of `models.catalogue.TABLE_ROWS`.
        column: `TableColumn`.
        mean: over patients; NaN if none has it.
        sd: sample standard deviation.
        n: patients that have it.
        interval: 95 % bootstrap interval of the mean.
        paper: `(mean, sd)` that the paper prints, or None.
        difference: `Difference`, or None for X-CTRSNet itself and for a figure
            that is not compared.
    """

    row: str
    column: TableColumn
    mean: float
    sd: float
    n: int
    interval: tuple
    paper: tuple | None
    difference: Difference | None = None


def heading_of(column, dice_name):
    """Return a column's heading, which says so where a network made the labels.

    Args:
        column: `TableColumn`.
        dice_name: name of the overlap.
    """
    if column.key in _OF_LABELS and are_model_made(dice_name):
        return f"{column.heading}, {MODEL_MADE} labels"
    return column.heading


def label_notes(dice_name):
    """Return what stands below a table whose labels a network made; nothing for others.

    Args:
        dice_name: name of the overlap.

    Returns:
        List of str.
    """
    if not are_model_made(dice_name):
        return []
    return [
        f"{MODEL_MADE}: a network made the labels of these patients, and no expert checked them. "
        "Figures against them do not compare with figures against true labels."
    ]


def compare(results, name):
    """Compute every cell of a table.

    Args:
        results: `Results`.
        name: key of `COMPARED_TABLES`.

    Returns:
        Dict from `(row, figure)` to `Cell`, for every row and column, also those
        that were not run.

    Ge et al. (2022), Table 1, 2, 3.
    """
    table = COMPARED_TABLES[name]
    cells = {}
    for column in table.columns + table.further:
        values = {row: patient_values(results.patients(row), column.key) for row in table.rows}
        differences = {}
        if column.key in table.compared:
            differences = _differences(values, column.key, paper.PRINTED_TABLES[name])
        for row in table.rows:
            present = _array(values[row].values())
            cells[row, column.key] = Cell(
                row,
                column,
                *mean_sd(present),
                n=int(np.count_nonzero(~np.isnan(present))),
                interval=bootstrap_interval(present, BOOTSTRAP_SEED),
                paper=_printed(paper.PRINTED_TABLES[name], row, column.key),
                difference=differences.get(row),
            )
    return cells


def patient_values(lines, figure):
    """Return one value per patient: the mean of their seeds.

    Args:
        lines: dicts of strings with `id` and the figure; an empty string is none.
        figure: key.

    Returns:
        Dict from id to value, NaN where there is none.
    """
    found = {}
    for line in lines:
        text = line.get(figure, "")
        found.setdefault(line["id"], []).append(float(text) if text else np.nan)
    # A patient without a value for one seed has none, since means would not be comparable.
    return {patient: float(np.mean(values)) for patient, values in found.items()}


def _differences(values, figure, printed):
    """Return the `Difference` of every row that shares patients with X-CTRSNet."""
    reference = values[REFERENCE_ROW]
    measured = {}
    for row, theirs in values.items():
        shared = [patient for patient in reference if patient in theirs]
        ours, other = (_array([each[p] for p in shared]) for each in (reference, theirs))
        if row == REFERENCE_ROW or not np.any(~np.isnan(ours - other)):
            continue
        measured[row] = ours - other, paired_wilcoxon(ours, other)
    adjusted = holm([test.p_value for _, test in measured.values()])
    return {
        row: Difference(
            mean_sd(difference)[0],
            bootstrap_interval(difference, BOOTSTRAP_SEED),
            test,
            float(p_holm),
            paper.printed_difference(printed, REFERENCE_ROW, row, figure),
        )
        for (row, (difference, test)), p_holm in zip(measured.items(), adjusted, strict=True)
    }


def _printed(table, row, figure):
    return table[row].figures.get(figure) if row in table else None


def _array(values):
    return np.array(list(values), np.float64)
