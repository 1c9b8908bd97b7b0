"""Rank agreement: known rankings, and the trap that within strata of cost a proxy may say nothing."""

import math
import random

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from nas.quality.fidelity import _within, agreement, cost_strata


def test_equal_and_opposite_rankings():
    assert agreement([1, 2, 3, 4], [10, 20, 30, 40]).tau == 1
    assert agreement([1, 2, 3, 4], [4, 3, 2, 1]).spearman == -1


def test_tau_counts_pairs():
    found = agreement([1, 2, 3, 4], [1, 2, 4, 3])  # five of six pairs agree
    assert found.tau == pytest.approx((5 - 1) / 6)
    assert found.spearman == pytest.approx(0.8)
    assert found.candidates == 4


def test_the_interval_holds_the_figure_and_narrows_with_more_candidates():
    rng = random.Random(0)
    widths = []
    for count in (10, 80):
        final = [rng.random() for _ in range(count)]
        found = agreement([value + rng.gauss(0, 0.2) for value in final], final)
        assert -1 <= found.tau_low < found.tau < found.tau_high <= 1
        widths.append(found.tau_high - found.tau_low)
    assert widths[1] < widths[0] / 2


def test_a_proxy_that_says_no_more_than_the_cost_agrees_with_nothing_within_a_stratum():
    rng = random.Random(1)
    costs = [stratum for stratum in range(4) for _ in range(40)]
    final = [10 * cost + rng.random() for cost in costs]
    proxy = [10 * cost + rng.random() for cost in costs]
    strata = cost_strata(costs, 4)
    assert agreement(proxy, final).tau > 0.7
    assert abs(agreement(proxy, final, strata).tau) < 0.15


def test_strata_are_of_like_size_from_the_cheapest_on():
    assert cost_strata([5, 1, 3, 2, 4, 0], 3) == [2, 0, 1, 1, 2, 0]
    sizes = [cost_strata(range(11), 3).count(stratum) for stratum in range(3)]
    assert sorted(sizes) == [3, 4, 4]


@pytest.mark.parametrize(("proxy", "final"), [([1], [1]), ([1, 1], [1, 2]), ([1, 2], [3, 3])])
def test_where_nothing_can_be_ranked_the_figure_is_not_a_number(proxy, final):
    assert math.isnan(agreement(proxy, final).tau)


@pytest.mark.parametrize("seed", range(60))
def test_draws_with_repeats_and_ties_give_what_scipy_gives_row_by_row(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 14))
    x, y = (rng.integers(0, rng.integers(2, 9), count).astype(float) for _ in range(2))
    groups, draws = rng.integers(0, 3, count), rng.integers(0, 3, (4, count)).astype(float)
    for draw, found in zip(draws, _within(x, y, groups, draws), strict=True):
        rows = np.repeat(np.arange(count), draw.astype(int))
        sums, pairs = np.zeros(2), 0.0
        for group in np.unique(groups[rows]):
            r = rows[groups[rows] == group]
            if len(r) > 1 and np.ptp(x[r]) > 0 and np.ptp(y[r]) > 0:
                sums += len(r) * (len(r) - 1) / 2 * np.array([f(x[r], y[r]).statistic for f in (kendalltau, spearmanr)])
                pairs += len(r) * (len(r) - 1) / 2
        assert found == pytest.approx(sums / pairs if pairs else [np.nan] * 2, nan_ok=True)
