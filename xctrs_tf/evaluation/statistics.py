"""Statistics over patients: spread, confidence intervals and tests.

There is one value per patient. NaN stands for a value that the patient does not
have, such as the Dice of a vertebra outside the scan; it is left out everywhere.
"""

import dataclasses
import math

import numpy as np
import scipy

# Files of results hold six decimals; differences below are rounding, and would
# break ties between equal differences at random.
_DECIMALS = 9


@dataclasses.dataclass(frozen=True)
class PairedTest:
    """Result of `paired_wilcoxon`.

    Attributes:
        p_value: two-sided; NaN if no patient has both values.
        smallest_p_value: the p-value if all differences had the same sign; above
            0.05 the sample is too small for a significant result.
        n: patients that have both values.
        zeros: patients without a difference, which the test leaves out.
        direction: 1 where the ranks favour the first method, -1 the second, 0 neither. A
            few large differences can give the mean another sign.
    """

    p_value: float
    smallest_p_value: float
    n: int
    zeros: int
    direction: int


def mean_sd(values):
    """Return the mean and the sample standard deviation (n - 1).

    Args:
        values: one a patient.

    Returns:
        `(mean, sd)`; the SD of a single value is NaN, as are both of none.
    """
    values = _present(values)
    if values.size == 0:
        return math.nan, math.nan
    if values.size == 1 or not np.isfinite(values).all():
        return float(values.mean()), math.nan
    return float(values.mean()), float(values.std(ddof=1))


def paired_wilcoxon(first, second):
    """Run Wilcoxon's signed-rank test of two methods on the same patients.

    Patients without a difference are left out, as Wilcoxon did. The p-value is
    exact, also with ties: it counts all `2 ** n` assignments of signs to the
    ranks.

    Args:
        first: one method's values, one a patient.
        second: the other's, in the same order.

    Returns:
        `PairedTest`.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    both = ~np.isnan(first) & ~np.isnan(second)
    first, second = first[both], second[both]
    # Two equal infinities (PSNR of perfect volumes) have no difference.
    difference = np.subtract(first, second, out=np.zeros_like(first), where=first != second)
    difference = np.round(difference, _DECIMALS)
    difference = difference[difference != 0.0]
    n, zeros = int(both.sum()), int(both.sum()) - difference.size
    if n == 0:
        return PairedTest(math.nan, math.nan, n, zeros, 0)
    # Twice the ranks, since tied ranks are halves.
    ranks = np.rint(2 * scipy.stats.rankdata(np.abs(difference))).astype(int)
    chances = _chances_of_sums(ranks)
    positive = int(ranks[difference > 0].sum())
    tail = min(chances[: positive + 1].sum(), chances[positive:].sum())
    return PairedTest(
        p_value=min(1.0, float(2.0 * tail)),
        smallest_p_value=min(1.0, 2.0 ** (1 - difference.size)),
        n=n,
        zeros=zeros,
        direction=int(np.sign(2 * positive - ranks.sum())),
    )


def holm(p_values):
    """Adjust p-values for multiple comparisons, after Holm (1979).

    Args:
        p_values: one a comparison; NaN is a comparison that was not made and
            does not count.

    Returns:
        float64 array of adjusted p-values in the same order, at most 1.
    """
    p_values = np.asarray(p_values, np.float64)
    adjusted = np.full(p_values.shape, np.nan)
    order = np.argsort(p_values)[: np.count_nonzero(~np.isnan(p_values))]
    factors = np.arange(order.size, 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p_values[order]), 1.0)
    return adjusted


def bootstrap_interval(values, seed, level=0.95, num_resamples=9999):
    """Return the bootstrap confidence interval of the mean over patients (BCa).

    For the difference of two methods, give the differences of the patients. With
    fewer than about ten patients the interval is too narrow.

    Args:
        values: one a patient.
        seed: of the resampling; the same seed gives the same interval.
        level: confidence level.
        num_resamples: number of bootstrap samples.

    Returns:
        `(low, high)`; NaN for less than two values, and where one is infinite;
        both ends are the value itself where all are equal.
    """
    values = _present(values)
    if values.size < 2 or not np.isfinite(values).all():
        return math.nan, math.nan
    if np.ptp(values) == 0.0:
        return float(values[0]), float(values[0])
    interval = scipy.stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=num_resamples,
        confidence_level=level,
        method="BCa",
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def _chances_of_sums(ranks):
    """Return the probability of each sum of ranks; each rank counts with probability 1/2."""
    chances = np.zeros(ranks.sum() + 1)
    chances[0] = 1.0
    for rank in ranks:
        chances[rank:] += chances[:-rank].copy()
        chances /= 2.0
    return chances


def _present(values):
    values = np.asarray(values, np.float64)
    return values[~np.isnan(values)]
