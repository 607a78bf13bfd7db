"""The paper's questions and our answers, as grids of text: whole, and in short."""

import itertools
import math

from xctrs_tf.evaluation.claims.claims import paper_claims
from xctrs_tf.evaluation.tables.comparison import DICE_COLUMNS, IMAGE_COLUMNS, label_notes
from xctrs_tf.evaluation.tables.grids import NOTHING, TableGrid, range_text
from xctrs_tf.evaluation.tables.publication import (
    SIGNIFICANCE,
    number_text,
    p_value_text,
    with_interval,
)
from xctrs_tf.evaluation.tables.table_notes import runs_note
from xctrs_tf.models.catalogue import TABLE_ROWS

_SEEDS_NOTE = (
    "Intervals and p-values are of these trained networks; another seed gives other networks."
)
_SIZE_NOTE = "Smaller, larger: than the paper's difference, which is outside our interval."
_IMAGE_NAMES = {"psnr": "PSNR", "ssim": "SSIM"}
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
    headings = ["", "figure", "difference [95 % interval]", "median", "in the paper"]
    headings += ["effect size", "folds", "patients", "p, Holm", "answer"]
    lines, last = [], None
    for answer in answers:
        question = answer.claim.question
        lines.append(["" if question == last else question, *_cells(results, answer)])
        last = question
    notes = [
        "Difference: the method that the question asks about minus the other, mean over patients "
        "with a BCa bootstrap interval. Median: of the same differences. Effect size: the mean in "
        "standard deviations of the differences. Folds: those in which the mean is above 0. "
        "p: Wilcoxon's signed-rank test, "
        f"exact, adjusted after Holm for the {len(answers)} lines. Not decided: p is "
        f"{SIGNIFICANCE} or more, or mean and ranks do not agree on the better method; else yes "
        "or no. "
        f"{_SIZE_NOTE} {_SEEDS_NOTE}",
        *_missing_notes(answers),
        runs_note(results),
    ]
    return TableGrid(
        "The paper's questions",
        headings,
        lines,
        [*_order_notes(results, order), *notes, *label_notes(results.dice_name)],
    )


def short_answer_grid(results, answers):
    """Lay out the answers in short, one line for each question.

    Args:
        results: `Results`.
        answers: list of `Answer`.

    Returns:
        `TableGrid`.
    """
    lines = []
    for question, group in itertools.groupby(answers, key=lambda each: each.claim.question):
        figures = list(group)
        names = [_IMAGE_NAMES.get(answer.claim.figure, results.dice_name) for answer in figures]
        ours = zip(names, map(_difference, figures), strict=True)
        printed = [
            f"{name} {_printed(answer)}"
            for name, answer in zip(names, figures, strict=True)
            if answer.claim.difference is not None
        ]
        verdicts = [_with_size(answer) for answer in figures]
        # One word where all figures agree.
        answered = verdicts[0]
        if len(set(verdicts)) > 1:
            answered = "; ".join(f"{n}: {v}" for n, v in zip(names, verdicts, strict=True))
        lines.append(
            [
                question,
                ", ".join(f"{name} {difference}" for name, difference in ours),
                ", ".join(printed) or NOTHING,
                answered,
            ]
        )
    patients, folds = (
        range_text([each(answer) for answer in answers])
        for each in (lambda answer: answer.test.n, lambda answer: answer.num_folds)
    )
    note = (
        f"Mean difference over {patients} test patients of {folds} "
        f"fold{'' if folds == '1' else 's'} with its 95 % interval: PSNR in dB, "
        f"mean {results.dice_name} in %. Yes: the method that the question asks about is better, "
        f"by mean and by ranks, with p below {SIGNIFICANCE} after Holm's correction for the "
        f"{len(answers)} differences; no: it is worse by both, with such a p; not decided: all "
        f"else. {_SIZE_NOTE} {_SEEDS_NOTE} answers.md has effect sizes and p-values."
    )
    return TableGrid(
        "The paper's questions",
        ["", "difference here", "in the paper", "answer"],
        lines,
        [note, *_missing_notes(answers), runs_note(results), *label_notes(results.dice_name)],
    )


def _with_size(answer):
    """Return the verdict, and whether the difference is another than the paper's."""
    return f"{answer.verdict} ({answer.size})" if answer.size else answer.verdict


def _figure_name(results, answer):
    column = _COLUMNS[answer.claim.figure]
    return column.heading if column in IMAGE_COLUMNS else f"mean {results.dice_name} (%)"


def _difference(answer):
    return with_interval(answer.mean, answer.interval, _COLUMNS[answer.claim.figure], "+")


def _printed(answer):
    printed = answer.claim.difference
    return NOTHING if printed is None else number_text(printed, _COLUMNS[answer.claim.figure], "+")


def _cells(results, answer):
    return [
        _figure_name(results, answer),
        _difference(answer),
        number_text(answer.median, _COLUMNS[answer.claim.figure], "+"),
        _printed(answer),
        NOTHING if math.isnan(answer.effect) else f"{answer.effect:+.2f}",
        f"{answer.folds} of {answer.num_folds}",
        str(answer.test.n),
        p_value_text(answer.p_holm),
        _with_size(answer),
    ]


def _missing_notes(answers):
    """Tell that differences are missing, for which the p-values are not adjusted yet."""
    number = len(paper_claims())
    if len(answers) == number:
        return []
    return [
        f"So far {len(answers)} of {number} differences are measured; p-values can rise as rows "
        "are added."
    ]


def _order_notes(results, order):
    if order is None:
        return []
    ours, printed = (
        ", ".join(TABLE_ROWS[row].title for row in rows) for rows in (order.rows, order.paper_rows)
    )
    correlation = "none, since all are equal"
    if not math.isnan(order.tau):
        correlation = f"{order.tau:+.2f}, p {p_value_text(order.p_value)}"
    return [
        f"Order of Table 3 by mean {results.dice_name}, best first: {ours}. In the paper: "
        f"{printed}. Kendall's rank correlation {correlation}."
    ]
