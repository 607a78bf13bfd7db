"""Mean and standard deviation over patients, in the layout of the paper's Table 1."""

import dataclasses
import math

from xctrs_tf.evaluation.patient import DICE_KEYS
from xctrs_tf.evaluation.statistics import mean_sd
from xctrs_tf.evaluation.tables import paper
from xctrs_tf.geometry import VERTEBRAE


@dataclasses.dataclass(frozen=True)
class Column:
    """One figure of the table: its key in a case's row, heading and format."""

    key: str
    heading: str
    digits: int
    scale: float = 1.0


_DICE_COLUMNS = tuple(
    Column(key, name, digits=2, scale=100.0)
    for key, name in zip((*DICE_KEYS, "dice_mean"), (*VERTEBRAE, "Mean"), strict=True)
)
COLUMNS = (Column("ssim", "SSIM", 3), Column("psnr", "PSNR", 2), *_DICE_COLUMNS)


@dataclasses.dataclass(frozen=True)
class TableRow:
    """One method.

    Attributes:
        name: the method.
        note: what its figures were taken on.
        cells: `(mean, sd)` for each of `COLUMNS`, in the units shown; NaN where
            there is none.
        footnotes: lines that a reader of the figures must know.
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
        for column in COLUMNS
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
            for column in COLUMNS
        ),
        tuple(_absences(rows)),
    )


def text_table(rows, dice_name="Dice"):
    """The table for a terminal: a method's means above their deviations.

    Args:
        rows: `TableRow`s.
        dice_name: what the segmentation was compared with decides its name:
            `"Dice"`, or `"pseudo-label Dice"`.

    Returns:
        Lines joined by newlines, without a last one.
    """
    heads = [("", ""), *((column.heading, "") for column in COLUMNS)]
    heads[2] = ("PSNR", "(dB)")
    body = [heads]
    for row in rows:
        body.append([(row.name, row.note), *map(_two_lines, row.cells, COLUMNS)])
    widths = [max(len(line) for row in body for line in row[i]) for i in range(len(heads))]

    def line(row, part):
        first, *others = (cell[part] for cell in row)
        cells = [text.rjust(width) for text, width in zip(others, widths[1:], strict=True)]
        return "  ".join([first.ljust(widths[0]), *cells]).rstrip()

    lines = [line(row, part) for row in body for part in (0, 1)]
    dice_start = widths[0] + 2 + sum(width + 2 for width in widths[1:3])
    dice_width = sum(width + 2 for width in widths[3:]) - 2
    lines.insert(0, " " * dice_start + f" {dice_name} (%) ".center(dice_width, "-"))
    return "\n".join([*lines, *_footnotes(rows)])


def markdown_table(rows, dice_name="Dice"):
    """The same table as Markdown.

    Args:
        rows: `TableRow`s.
        dice_name: as in `text_table`.

    Returns:
        Lines joined by newlines, with a last one.
    """
    first, *others = (column.heading for column in _DICE_COLUMNS)
    headings = ["SSIM", "PSNR (dB)", f"{dice_name} (%): {first}", *others]
    lines = [
        "| | " + " | ".join(headings) + " |",
        "|---|" + "---:|" * len(COLUMNS),
    ]
    for row in rows:
        cells = [
            " ".join(_two_lines(*pair)).strip() for pair in zip(row.cells, COLUMNS, strict=True)
        ]
        lines.append(f"| {row.name} ({row.note}) | " + " | ".join(cells) + " |")
    notes = _footnotes(rows)
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def _two_lines(cell, column):
    mean, deviation = cell
    return (
        "-" if math.isnan(mean) else f"{mean:.{column.digits}f}",
        "" if math.isnan(deviation) else f"± {deviation:.{column.digits}f}",
    )


def _absences(rows):
    for key, vertebra in zip(DICE_KEYS, VERTEBRAE, strict=True):
        count = sum(math.isnan(row[key]) for row in rows)
        if 0 < count < len(rows):
            yield f"{vertebra}: not in the ground truth of {_patients(count)}, left out."


def _patients(count):
    return f"{count} patient{'s' if count > 1 else ''}"


def _footnotes(rows):
    return list(dict.fromkeys(note for row in rows for note in row.footnotes))
