import itertools

import numpy as np
import pytest
from scipy import stats

from xctrs_tf.evaluation.statistics import bootstrap_interval, holm, mean_sd, paired_wilcoxon


def normal(n, seed=0, mean=0.0):
    return np.random.default_rng(seed).normal(mean, 1.0, n)


def test_mean_and_sd_by_hand():
    assert mean_sd([2.0, 4.0, 9.0]) == pytest.approx((5.0, np.sqrt((9 + 1 + 16) / 2)))
    assert mean_sd([2.0, np.nan, 4.0]) == pytest.approx((3.0, np.sqrt(2)))


def test_mean_and_sd_of_at_most_two_values():
    assert np.isnan(mean_sd([])).all()
    assert np.isnan(mean_sd([np.nan])).all()
    assert mean_sd([3.0])[0] == 3.0 and np.isnan(mean_sd([3.0])[1])
    assert mean_sd([3.0, np.inf])[0] == np.inf and np.isnan(mean_sd([3.0, np.inf])[1])


def test_wilcoxon_by_hand():
    # Differences 1, 2, -3, 4, 5: the ranks above zero sum to 12 of 15. Of the 32
    # ways to sign them 5 sum to as much: those whose rest is {}, 1, 2, 3 or 1 + 2.
    result = paired_wilcoxon([2, 4, 0, 8, 10], [1, 2, 3, 4, 5])
    assert result.p_value == pytest.approx(2 * 5 / 32)
    assert (result.n, result.zeros) == (5, 0)


@pytest.mark.parametrize("n", [1, 2, 5, 6, 11, 30, 50])
def test_wilcoxon_without_ties_agrees_with_scipy(n):
    first, second = normal(n), normal(n, seed=1, mean=0.4)
    expected = stats.wilcoxon(first, second, method="exact").pvalue
    assert paired_wilcoxon(first, second).p_value == pytest.approx(expected, abs=1e-9)
    assert paired_wilcoxon(second, first).p_value == pytest.approx(expected, abs=1e-9)


def test_wilcoxon_with_ties_and_zeros_goes_through_all_signs():
    first = np.array([3.0, 1.0, 4.0, 4.0, 7.0, 2.0, 9.0, 9.0, 5.0])
    second = np.array([1.0, 3.0, 2.0, 3.0, 6.0, 2.0, 5.0, 6.0, 5.0])
    ranks = stats.rankdata([2, 2, 2, 1, 1, 4, 3])
    signs = np.array(list(itertools.product([0, 1], repeat=7)))
    sums, observed = signs @ ranks, ranks.sum() - ranks[1]
    expected = 2 * np.mean(sums >= observed)
    result = paired_wilcoxon(first, second)
    assert result.p_value == pytest.approx(expected)
    assert (result.n, result.zeros) == (9, 2)


def test_wilcoxon_of_many_patients_approaches_the_normal_one():
    first, second = normal(300), normal(300, seed=1, mean=0.15)
    expected = stats.wilcoxon(first, second, method="approx").pvalue
    assert 0.001 < expected < 0.5
    assert paired_wilcoxon(first, second).p_value == pytest.approx(expected, rel=0.02)


def test_wilcoxon_ties_survive_the_rounding_of_six_decimals():
    # All differences are 0.1, though not in binary.
    first, second = np.array([0.3, 0.2, 0.7, 1.1]), np.array([0.2, 0.1, 0.6, 1.2])
    assert np.unique(np.abs(first - second)).size > 1
    assert paired_wilcoxon(first, second).p_value == pytest.approx(2 * 5 / 16)


@pytest.mark.parametrize(("n", "smallest"), [(1, 1.0), (5, 1 / 16), (6, 1 / 32), (10, 2 / 1024)])
def test_wilcoxon_gives_the_smallest_possible_p_value(n, smallest):
    result = paired_wilcoxon(np.arange(1, n + 1) + 0.5, np.zeros(n))
    assert result.p_value == result.smallest_p_value == pytest.approx(smallest)


def test_wilcoxon_zeros_raise_the_smallest_possible_p_value():
    result = paired_wilcoxon([1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 5, 6])
    assert (result.n, result.zeros, result.smallest_p_value) == (6, 2, 1 / 8)


def test_wilcoxon_of_no_difference():
    assert paired_wilcoxon([1.0, np.inf], [1.0, np.inf]).p_value == 1.0
    assert paired_wilcoxon([1.0, np.inf], [1.0, np.inf]).zeros == 2


def test_wilcoxon_leaves_out_patients_without_a_value():
    result = paired_wilcoxon([1.0, np.nan, 3.0, 2.5], [0.0, 1.0, np.nan, 1.0])
    assert (result.n, result.p_value) == (2, 0.5)
    nobody = paired_wilcoxon([np.nan, 1.0], [1.0, np.nan])
    assert nobody.n == 0 and np.isnan(nobody.p_value) and np.isnan(nobody.smallest_p_value)


def test_holm_by_hand():
    # In order: 0.005 x 4, 0.01 x 3, 0.03 x 2, and 0.04 x 1 below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_stops_at_one_and_leaves_nan_out():
    assert holm([0.9, np.nan, 0.6]) == pytest.approx([1.0, np.nan, 1.0], nan_ok=True)
    assert holm([np.nan, 0.02, 0.03]) == pytest.approx([np.nan, 0.04, 0.04], nan_ok=True)
    assert holm([0.02]) == pytest.approx([0.02])
    assert holm([]).shape == (0,)


def test_bootstrap_is_a_function_of_the_seed():
    values = normal(40)
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)


def test_bootstrap_of_many_is_nearly_the_normal_interval():
    values = normal(400, mean=5.0)
    half = 1.96 * values.std(ddof=1) / np.sqrt(400)
    low, high = bootstrap_interval(values, seed=0)
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)
    narrow = bootstrap_interval(values, seed=0, level=0.68)
    assert narrow[1] - narrow[0] == pytest.approx(half, rel=0.1)


def test_bootstrap_follows_skew():
    # BCa, unlike the percentile interval, extends further on the side of the long tail.
    values = np.exp(normal(30))
    low, high = bootstrap_interval(values, seed=0)
    drawn = values[np.random.default_rng(1).integers(30, size=(9999, 30))].mean(axis=1)
    percentile = np.percentile(drawn, [2.5, 97.5])
    assert low > percentile[0] + 0.02 and high > percentile[1] + 0.05


def test_bootstrap_has_its_nominal_coverage():
    trials = 200
    hits = 0
    for seed in range(trials):
        low, high = bootstrap_interval(normal(30, seed=100 + seed), seed, num_resamples=500)
        hits += low <= 0.0 <= high
    assert 0.88 <= hits / trials <= 0.99


@pytest.mark.parametrize("values", [[], [4.0], [np.nan, 4.0], [4.0, 5.0, np.inf]])
def test_bootstrap_of_too_little_or_infinite_is_nan(values):
    assert np.isnan(bootstrap_interval(values, seed=0)).all()


def test_bootstrap_of_equal_values_is_the_value():
    assert bootstrap_interval([4.0, np.nan, 4.0], seed=0) == (4.0, 4.0)


@pytest.mark.parametrize("values", [[1.0, 2.0], [1.0, 1.0, 5.0], [0.0, 0.0, 0.0, 0.0, 1.0]])
def test_bootstrap_of_few_values_stays_among_them(values):
    low, high = bootstrap_interval(values, seed=0)
    assert min(values) <= low < np.mean(values) < high <= max(values)
