"""A table as CSV, for programs: every number in full, in the figures' own units."""

import csv
import io
import math

from xctrs_tf.data.dataset.manifest import LABELS_FIELD, MODEL_MADE, are_model_made
from xctrs_tf.evaluation.tables.comparison import COMPARED_TABLES
from xctrs_tf.evaluation.tables.cost import cost_lines
from xctrs_tf.models.catalogue import MEAN_VOLUME_ROW, TABLE_ROWS

_FIELDS = (
    "row",
    "method",
    "status",
    "figure",
    "n",
    "mean",
    "sd",
    "low",
    "high",
    "paper_mean",
    "paper_sd",
    "difference",
    "difference_low",
    "difference_high",
    "paper_difference",
    "pairs",
    "p",
    "p_holm",
)


def table_csv(results, name, cells):
    """Render a table as CSV, a line for each method and figure, in the figures' own units.

    A column says so where a network made the labels.

    Args:
        results: `Results`.
        name: key of `comparison.COMPARED_TABLES`.
        cells: of `comparison.compare`.

    Returns:
        The text.
    """
    stream = io.StringIO()
    made = {LABELS_FIELD: MODEL_MADE} if are_model_made(results.dice_name) else {}
    writer = csv.DictWriter(stream, (*_FIELDS, *made), lineterminator="\n", restval="")
    writer.writeheader()
    for (row, figure), cell in cells.items():
        low, high = cell.interval
        line = {
            "figure": figure,
            "n": cell.n,
            "mean": cell.mean,
            "sd": cell.sd,
            "low": low,
            "high": high,
        }
        if cell.paper:
            line |= dict(zip(("paper_mean", "paper_sd"), cell.paper, strict=True))
        if cell.difference:
            line |= _difference_fields(cell.difference)
        writer.writerow(_csv_line(results, row, line | made))
    for row, line in cost_lines(results, COMPARED_TABLES[name]):
        writer.writerow(_csv_line(results, row, line | made))
    return stream.getvalue()


def _difference_fields(found):
    low, high = found.interval
    return {
        "difference": found.mean,
        "difference_low": low,
        "difference_high": high,
        "paper_difference": found.paper,
        "pairs": found.test.n,
        "p": found.test.p_value,
        "p_holm": found.p_holm,
    }


def _csv_line(results, row, line):
    status = "evaluated" if row == MEAN_VOLUME_ROW else results.rows[row].status
    line = {"row": row, "method": TABLE_ROWS[row].title, "status": status, **line}
    return {key: _csv_value(value) for key, value in line.items()}


def _csv_value(value):
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value
