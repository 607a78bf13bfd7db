"""The paper's questions and our answers, as a grid of text."""

import math

from xctrs_tf.evaluation.tables.comparison import DICE_COLUMNS, IMAGE_COLUMNS, label_notes
from xctrs_tf.evaluation.tables.grids import NOTHING, TableGrid
from xctrs_tf.evaluation.tables.publication import SIGNIFICANCE, p_value_text, settings_note
from xctrs_tf.models.catalogue import TABLE_ROWS

_COLUMNS = {column.key: column for column in (*IMAGE_COLUMNS, *DICE_COLUMNS)}


def answer_grid(results, answers, order):
    """Lay out the answers, one line for each figure of a question.

    Args:
        results: `Results`.
        answers: list of `Answer`.
        order: `Order`, or None.

    Returns:
        `TableGrid`.
    """
    headings = ["", "figure", "difference [95 % interval]", "in the paper", "effect size"]
    headings += ["folds", "patients", "p, Holm", "answer"]
    lines, last = [], None
    for answer in answers:
        question = answer.claim.question
        lines.append(["" if question == last else question, *_cells(results, answer)])
        last = question
    notes = [
        "Difference: the method that is better in the paper less the other, mean over patients "
        "with a BCa bootstrap interval. Effect size: the mean in standard deviations of the "
        "differences. Folds: those in which the mean is above 0. p: Wilcoxon's signed-rank test, "
        f"exact, adjusted after Holm for the {len(answers)} lines. Not decided: p is "
        f"{SIGNIFICANCE} or more. The intervals are of these trained networks; other seeds give "
        "other networks.",
        settings_note(results),
    ]
    return TableGrid(
        "The paper's questions",
        headings,
        lines,
        [*_order_notes(results, order), *notes, *label_notes(results.dice_name)],
    )


def _cells(results, answer):
    column = _COLUMNS[answer.claim.figure]
    printed = answer.claim.difference

    def number(value):
        return f"{column.scale * value:+.{column.digits}f}"

    interval = ""
    if not any(map(math.isnan, answer.interval)):
        interval = f" [{', '.join(map(number, answer.interval))}]"
    name = column.heading if column in IMAGE_COLUMNS else f"mean {results.dice_name} (%)"
    return [
        name,
        number(answer.mean) + interval,
        NOTHING if printed is None else number(printed),
        NOTHING if math.isnan(answer.effect) else f"{answer.effect:+.2f}",
        f"{answer.folds} of {answer.num_folds}",
        str(answer.test.n),
        p_value_text(answer.p_holm),
        answer.verdict,
    ]


def _order_notes(results, order):
    if order is None:
        return []
    ours, printed = (
        ", ".join(TABLE_ROWS[row].title for row in rows) for rows in (order.rows, order.paper_rows)
    )
    return [
        f"Order of Table 3 by mean {results.dice_name}, best first: {ours}. In the paper: "
        f"{printed}. Kendall's rank correlation {order.tau:+.2f}, p {p_value_text(order.p_value)}."
    ]
