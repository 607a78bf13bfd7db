"""Answers of collected results to the paper's claims: effect, interval, test."""

import dataclasses
import math

import numpy as np
import scipy

from xctrs_tf.evaluation.claims.claims import Claim, paper_claims
from xctrs_tf.evaluation.statistics import (
    PairedTest,
    bootstrap_interval,
    holm,
    mean_sd,
    paired_wilcoxon,
)
from xctrs_tf.evaluation.tables.comparison import BOOTSTRAP_SEED, patient_values
from xctrs_tf.evaluation.tables.paper import TABLE_3
from xctrs_tf.evaluation.tables.publication import SIGNIFICANCE
from xctrs_tf.models.catalogue import REFERENCE_ROW

YES, NO, NOT_DECIDED = "yes", "no", "not decided"
SMALLER, LARGER = "smaller", "larger"


@dataclasses.dataclass(frozen=True)
class Answer:
    """Answer to a claim by the patients of both methods.

    Attributes:
        claim: `Claim`.
        mean: mean difference over patients, the method that the paper calls better
            less the other, in the figure's unit.
        interval: 95 % bootstrap interval of it.
        median: median difference, closer to what the test by ranks sees than the mean.
        effect: the mean difference in standard deviations of the differences; NaN if
            all are equal.
        test: `PairedTest`.
        p_holm: p-value adjusted for all claims that were tested.
        folds: number of folds in which the mean difference is above 0.
        num_folds: number of folds.
    """

    claim: Claim
    mean: float
    interval: tuple
    median: float
    effect: float
    test: PairedTest
    p_holm: float
    folds: int
    num_folds: int

    @property
    def verdict(self):
        """`YES`, `NO` or, also where mean and ranks disagree, `NOT_DECIDED`."""
        if not self.p_holm < SIGNIFICANCE or self.test.direction * self.mean <= 0:
            return NOT_DECIDED
        return YES if self.mean > 0 else NO

    @property
    def size(self):
        """`SMALLER` or `LARGER` if the interval excludes the paper's difference, else empty.

        Also empty where the answer is `NO`: the difference has another sign then.
        """
        printed = self.claim.difference
        if printed is None or any(map(math.isnan, self.interval)) or self.verdict == NO:
            return ""
        low, high = self.interval
        return SMALLER if high < printed else LARGER if low > printed else ""


def answer_claims(results):
    """Test every claim of the paper of which both methods were run on the same patients.

    Args:
        results: `Results`.

    Returns:
        List of `Answer`, in the order of `paper_claims`.
    """
    found = []
    for claim in paper_claims():
        lines = [results.patients(row) for row in (claim.better, claim.other)]
        better, other = (patient_values(each, claim.figure) for each in lines)
        folds = {line["id"]: line["fold"] for line in lines[0]}
        differences = {
            patient: better[patient] - other[patient]
            for patient in better
            if patient in other and not math.isnan(better[patient] - other[patient])
        }
        if differences:
            test = paired_wilcoxon(*([each[p] for p in differences] for each in (better, other)))
            found.append((claim, differences, folds, test))
    adjusted = holm([test.p_value for *_, test in found])
    return [_answer(*each, float(p)) for each, p in zip(found, adjusted, strict=True)]


def _answer(claim, differences, folds, test, p_holm):
    values = np.array(list(differences.values()))
    mean, sd = mean_sd(values)
    by_fold = {}
    for patient, difference in differences.items():
        by_fold.setdefault(folds[patient], []).append(difference)
    return Answer(
        claim,
        mean,
        bootstrap_interval(values, BOOTSTRAP_SEED),
        float(np.median(values)),
        mean / sd if sd > 0 else math.nan,
        test,
        p_holm,
        folds=sum(np.mean(each) > 0 for each in by_fold.values()),
        num_folds=len(by_fold),
    )


@dataclasses.dataclass(frozen=True)
class Order:
    """Order of the methods of Table 3 by mean Dice, here and in the paper.

    Attributes:
        rows: names of the rows, best first.
        paper_rows: the same in the paper's order.
        tau: Kendall's rank correlation of the two, 1 for the same order; NaN where all means
            are equal.
        p_value: of it, exact, or by an approximation where means are equal.
    """

    rows: list
    paper_rows: list
    tau: float
    p_value: float


def order_of_table_3(results):
    """Compare the order of Table 3 with the paper's.

    Args:
        results: `Results`.

    Returns:
        `Order`, or None if fewer than three of the paper's rows were run, or they have no
        patient in common with X-CTRSNet.

    Ge et al. (2022), Table 3.
    """
    values = {row: patient_values(results.patients(row), "dice_mean") for row in TABLE_3}
    values = {row: found for row, found in values.items() if found}
    reference = values.get(REFERENCE_ROW, {})
    # Means of the same patients.
    shared = [p for p in reference if all(p in each for each in values.values())]
    if len(values) < 3 or not shared:
        return None
    means = {row: float(np.mean([each[p] for p in shared])) for row, each in values.items()}
    printed = {row: TABLE_3[row].figures["dice_mean"][0] for row in values}
    # Exact but for ties, such as of two networks that find nothing.
    tau = scipy.stats.kendalltau(list(means.values()), list(printed.values()))
    return Order(
        sorted(means, key=means.get, reverse=True),
        sorted(printed, key=printed.get, reverse=True),
        float(tau.statistic),
        float(tau.pvalue),
    )
