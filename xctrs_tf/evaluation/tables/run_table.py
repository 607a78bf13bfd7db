"""Mean and standard deviation over patients, in the layout of the paper's Table 1."""

import dataclasses
import math

from xctrs_tf.evaluation.patient import DICE_KEYS
from xctrs_tf.evaluation.statistics import mean_sd
from xctrs_tf.evaluation.tables import paper
from xctrs_tf.evaluation.tables.comparison import DICE_COLUMNS, IMAGE_COLUMNS, label_notes
from xctrs_tf.evaluation.tables.grids import TableGrid, mean_text
from xctrs_tf.geometry import VERTEBRAE

RUN_COLUMNS = IMAGE_COLUMNS + DICE_COLUMNS


@dataclasses.dataclass(frozen=True)
class TableRow:
    """One method of the table.

    Attributes:
        name: of the method.
        note: the patients of its figures.
        cells: `(mean, sd)` for each of `RUN_COLUMNS`, in the units shown; NaN where
            there is none.
        footnotes: remarks below the table.
    """

    name: str
    note: str
    cells: tuple
    footnotes: tuple = ()


PAPER_ROW = TableRow(
    "paper",
    "private cohort",
    tuple(
        tuple(column.scale * value for value in paper.XCTRSNET_FIGURES[column.key])
        for column in RUN_COLUMNS
    ),
    (paper.COHORT_NOTE,),
)


def table_row(name, rows):
    """Summarise one method's patients.

    Args:
        name: the method.
        rows: dicts of `evaluate_case`, at least one.

    Returns:
        `TableRow` of means and sample standard deviations (n - 1) over the
        patients that have the figure.
    """
    return TableRow(
        name,
        _patients(len(rows)),
        tuple(
            tuple(column.scale * value for value in mean_sd([row[column.key] for row in rows]))
            for column in RUN_COLUMNS
        ),
        tuple(_absences(rows)),
    )


def run_grid(rows, dice_name="Dice"):
    """Lay out methods below each other.

    Args:
        rows: `TableRow`s.
        dice_name: name of the overlap, by what the segmentation was compared with:
            `"Dice"`, or `"pseudo-label Dice"`.

    Returns:
        `TableGrid` without a caption; a cell has the mean above the deviation.
    """
    first, *others = (column.heading for column in DICE_COLUMNS)
    headings = [column.heading.replace(" (", "\n(") for column in IMAGE_COLUMNS]
    return TableGrid(
        caption="",
        headings=["", *headings, f"{dice_name} (%): {first}", *others],
        lines=[[f"{row.name}\n{row.note}", *map(_cell, row.cells, RUN_COLUMNS)] for row in rows],
        notes=label_notes(dice_name)
        + list(dict.fromkeys(note for row in rows for note in row.footnotes)),
    )


def _cell(mean_and_sd, column):
    return mean_text(*mean_and_sd, column.digits, separator="\n")


def _absences(rows):
    for key, vertebra in zip(DICE_KEYS, VERTEBRAE, strict=True):
        count = sum(math.isnan(row[key]) for row in rows)
        if 0 < count < len(rows):
            yield f"{vertebra}: not in the ground truth of {_patients(count)}, left out."


def _patients(count):
    return f"{count} patient{'s' if count > 1 else ''}"
