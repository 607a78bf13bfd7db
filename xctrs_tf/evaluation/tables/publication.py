"""The paper's tables with our figures beside the paper's, as grids of text."""

import math

from xctrs_tf.evaluation.tables import paper
from xctrs_tf.evaluation.tables.comparison import (
    COMPARED_TABLES,
    DICE_COLUMNS,
    heading_of,
    label_notes,
)
from xctrs_tf.evaluation.tables.cost import cost_grid
from xctrs_tf.evaluation.tables.grids import NOTHING, TableGrid, mean_text
from xctrs_tf.evaluation.tables.table_notes import other_patients_note, run_notes, settings_note
from xctrs_tf.models.catalogue import MEAN_VOLUME_ROW, TABLE_ROWS

LOST = "?"
SIGNIFICANCE = 0.05
# The columns of the short table, in its order.
_SUMMARY = ("psnr", "ssim", "dice_mean", "hd95_mean")


def table_grids(results, name, cells):
    """Lay out a table of the paper: figures, differences from X-CTRSNet, further figures, cost.

    Args:
        results: `Results`.
        name: key of `comparison.COMPARED_TABLES`.
        cells: of `comparison.compare`.

    Returns:
        List of `TableGrid`.
    """
    table = COMPARED_TABLES[name]
    return [
        _accuracy_grid(results, table, cells),
        _difference_grid(results, table, cells),
        TableGrid(
            f"{table.number}: what the paper does not report",
            ["", "n", *_headings(results, table.further)],
            [_ours(results, row, table.further, cells) for row in table.rows],
            label_notes(results.dice_name),
        ),
        cost_grid(results, table),
    ]


def summary_grid(results, compared):
    """Lay out every method of all tables in a few figures; a note names those not run.

    Args:
        results: `Results`.
        compared: dict from the name of every table to its cells, of `comparison.compare`.

    Returns:
        `TableGrid`.
    """
    found, columns = {}, {}
    for name, table in COMPARED_TABLES.items():
        columns |= {column.key: column for column in table.columns + table.further}
        for row in table.rows:
            found.setdefault(row, {}).update(
                {column: cell for (owner, column), cell in compared[name].items() if owner == row}
            )
    methods = [row for row in TABLE_ROWS if row != MEAN_VOLUME_ROW]
    not_run = [row for row in methods if results.rows[row].status == "not run"]
    rows = [row for row in methods if row not in not_run] + [MEAN_VOLUME_ROW]
    shown = [columns[key] for key in _SUMMARY]
    lines = []
    for row in rows:
        cells = [_cell(found[row].get(column.key), column) for column in shown]
        lines.append([TABLE_ROWS[row].title, _count(results, row), *cells])
    distance = heading_of(columns["hd95_mean"], results.dice_name)
    headings = ["PSNR (dB)", "SSIM", f"mean {results.dice_name} (%)", distance]
    notes = [settings_note(results), *other_patients_note(results, rows)]
    if not_run:
        notes.append(f"Not run: {', '.join(TABLE_ROWS[row].title for row in not_run)}.")
    notes += label_notes(results.dice_name)
    return TableGrid("All methods", ["", "n", *headings], lines, notes)


def _accuracy_grid(results, table, cells):
    lines = []
    for row in table.rows:
        printed = [cells[row, column.key].paper for column in table.columns]
        if any(printed):
            texts = map(_paper_cell, printed, table.columns)
            lines.append([f"{TABLE_ROWS[row].title}, paper", "", *texts])
        lines.append(_ours(results, row, table.columns, cells))
    notes = [settings_note(results), *other_patients_note(results, table.rows)]
    notes += [*_absence_notes(results, table, cells), paper.COHORT_NOTE]
    if any(text.count(LOST) for line in lines for text in line):
        notes += [paper.LOST_NOTE, paper.GAIN_NOTE]
    notes += [*label_notes(results.dice_name), *run_notes(results, table)]
    return TableGrid(
        f"{table.number}: {table.title}",
        ["", "n", *_headings(results, table.columns)],
        lines,
        notes,
    )


def _difference_grid(results, table, cells):
    columns = [column for column in table.columns if column.key in table.compared]
    lines = []
    for column in columns:
        for row in table.rows:
            cell = cells[row, column.key]
            if not math.isnan(cell.mean):
                lines.append([TABLE_ROWS[row].title, *_difference_cells(results, cell)])
    headings = ["", "figure", "mean [95 % interval]", "X-CTRSNet minus this method [95 % interval]"]
    headings += ["in the paper", "patients", "p", "p, Holm"]
    notes = [
        "Above 0, X-CTRSNet has the larger figure. Intervals: BCa bootstrap over patients. p: "
        "Wilcoxon's signed-rank test on the patients of both, exact; adjusted after Holm for the "
        "methods that are compared in one figure."
    ]
    notes += [*_power_notes(table, cells), *label_notes(results.dice_name)]
    caption = f"{table.number}: against X-CTRSNet"
    return TableGrid(caption, headings, lines, notes)


def _difference_cells(results, cell):
    column, found = cell.column, cell.difference
    texts = [_heading(results, column), with_interval(cell.mean, cell.interval, column)]
    if found is None:
        return [*texts, *[NOTHING] * 5]
    return [
        *texts,
        with_interval(found.mean, found.interval, column, sign="+"),
        NOTHING if found.paper is None else number_text(found.paper, column, "+"),
        str(found.test.n),
        p_value_text(found.test.p_value),
        p_value_text(found.p_holm),
    ]


def _power_notes(table, cells):
    """Say so where so few patients were tested that no p-value could be small."""
    found = [cell.difference for cell in cells.values() if cell.difference]
    if not found:
        return []
    methods = max(
        sum(1 for row in table.rows if cells[row, key].difference) for key in table.compared
    )
    smallest = min(each.test.smallest_p_value for each in found)
    if smallest * methods <= SIGNIFICANCE:
        return []
    return [
        f"With so few patients p cannot be below {p_value_text(smallest)}, and after Holm for "
        f"{methods} methods not below {p_value_text(min(1.0, smallest * methods))}: no difference "
        "could be called significant, whatever it is."
    ]


def _absence_notes(results, table, cells):
    """Tell the patients of a figure where some of a row's have none, as of a cut vertebra."""
    found = {}
    for row in table.rows:
        number = _count(results, row)
        for column in table.columns:
            cell = cells[row, column.key]
            if not math.isnan(cell.mean) and str(cell.n) != number:
                told = f"{_heading(results, column)}: {cell.n} of {number} patients"
                found.setdefault(told, []).append(TABLE_ROWS[row].title)
    return [f"{told} ({', '.join(rows)})." for told, rows in found.items()]


def _ours(results, row, columns, cells):
    texts = [_cell(cells[row, column.key], column) for column in columns]
    return [TABLE_ROWS[row].title, _count(results, row), *texts]


def _count(results, row):
    """Number of patients, or why there are none."""
    patients = {line["id"] for line in results.patients(row)}
    if patients:
        return str(len(patients))
    return NOTHING if row == MEAN_VOLUME_ROW else results.rows[row].status


def _headings(results, columns):
    first = next((i for i, column in enumerate(columns) if column.key.startswith("dice_")), None)
    texts = [
        # One mark is enough for the columns of the overlap.
        column.heading if column in DICE_COLUMNS else heading_of(column, results.dice_name)
        for column in columns
    ]
    if first is not None:
        texts[first] = f"{results.dice_name} (%): {texts[first]}"
    return texts


def _heading(results, column):
    is_dice = column.key == "dice_mean"
    return f"mean {results.dice_name} (%)" if is_dice else column.heading


def number_text(value, column, sign=""):
    """Return a figure with the scale and the digits of its column.

    Args:
        value: the figure.
        column: `comparison.TableColumn`.
        sign: ``"+"`` writes the sign of numbers above 0, too.
    """
    return f"{column.scale * value:{sign}.{column.digits}f}"


def _cell(cell, column):
    if cell is None:
        return NOTHING
    return mean_text(column.scale * cell.mean, column.scale * cell.sd, column.digits)


def _paper_cell(printed, column):
    if printed is None:
        return NOTHING
    return " ± ".join(LOST if value is None else number_text(value, column) for value in printed)


def with_interval(value, interval, column, sign=""):
    """Return a figure and its interval, which is left out where it is not known.

    Args:
        value: the figure.
        interval: its two ends, NaN where not known.
        column: as of `number_text`.
        sign: as of `number_text`.
    """
    text = number_text(value, column, sign)
    if any(map(math.isnan, interval)):
        return text
    low, high = (number_text(end, column, sign) for end in interval)
    return f"{text} [{low}, {high}]"


def p_value_text(value):
    """Return a p-value with four decimals, or that it is smaller."""
    return f"{value:.4f}" if value >= 0.0001 else "< 0.0001"
