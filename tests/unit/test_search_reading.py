"""Reading a front: probabilities against closed forms and against drawing everybody, exchanges by hand."""

import math
from statistics import NormalDist

import moocore
import numpy as np
import pytest

from nas.search.front import front_rows
from nas.search.reading import FAR, Step, exchange, forgone, membership

CLOSE = 4 * 0.5 / math.sqrt(2000)
"""Four standard errors of a probability drawn 2,000 times, at their largest."""


@pytest.mark.parametrize("gap", [-2.0, -0.5, 0.0, 0.7, 1.5])
@pytest.mark.parametrize("maximise", [False, True])
def test_two_candidates_with_exact_costs_trade_places_as_their_difference_says(gap, maximise):
    sign = -1.0 if maximise else 1.0
    values = np.array([[0.5 * sign, 1.0], [(0.5 + gap * 0.1) * sign, 2.0]])  # the dearer one is worse by `gap`
    deviations = np.array([[0.1, 0.0], [0.1, 0.0]])
    cheap, dear = membership(values, deviations, [maximise, False])
    assert cheap == 1.0, "nobody is cheaper"
    assert dear == pytest.approx(NormalDist().cdf(-gap / math.sqrt(2)), abs=CLOSE)


def test_without_errors_the_probabilities_are_the_front_itself():
    rng = np.random.default_rng(1)
    values = rng.integers(0, 6, size=(60, 3)).astype(float)  # with equal rows
    expected = np.zeros(60)
    expected[front_rows(values, [False, True, False])] = 1.0
    assert membership(values, np.zeros_like(values), [False, True, False], draws=3).tolist() == expected.tolist()


@pytest.mark.parametrize("objectives", [2, 3])
def test_leaving_out_who_cannot_be_on_it_changes_no_probability(objectives):
    rng = np.random.default_rng(2)
    values, deviations = rng.normal(size=(80, objectives)), 0.08 * rng.random((80, objectives))
    counts = np.zeros(80)
    for _ in range(4000):
        errors = np.clip(rng.standard_normal(values.shape), -FAR, FAR)
        counts += moocore.is_nondominated(values + errors * deviations, keep_weakly=True)
    found = membership(values, deviations, [False] * objectives)
    assert found == pytest.approx(counts / 4000, abs=2 * CLOSE)
    assert 0 < (found > 0).sum() < 60


def test_who_is_not_finite_is_never_on_it_and_nobody_is_of_none():
    values = np.array([[0.1, 1.0], [math.nan, 0.5], [0.0, math.inf]])
    assert membership(values, np.full_like(values, 0.01), [False, False]).tolist() == [1.0, 0.0, 0.0]
    assert membership(np.empty((0, 2)), np.empty((0, 2)), [False, False]).tolist() == []
    assert membership(values[1:], np.zeros((2, 2)), [False, False]).tolist() == [0.0, 0.0]


def test_the_same_arguments_give_the_same_probabilities():
    values, deviations = np.array([[0.1, 1.0], [0.11, 2.0]]), np.array([[0.02, 0.1], [0.02, 0.1]])
    first, second = (membership(values, deviations, [False, False]).tolist() for _ in range(2))
    assert first == second


def test_steps_go_along_the_front_from_cheap_to_dear():
    cost = np.array([2.0, 1.0, 4.0, 3.0, 2.0])
    error = np.array([0.30, 0.50, 0.25, 0.40, 0.30])  # row 3 is dominated, row 4 equals row 0
    assert exchange(cost, error, maximise=False) == [
        Step(1, 0, 1.0, pytest.approx(0.2)),
        Step(0, 2, 2.0, pytest.approx(0.05)),
    ]
    assert exchange(cost, error, maximise=False)[1].rate == pytest.approx(0.025)
    accuracy = exchange(cost, 1 - error, maximise=True)
    assert [(step.start, step.end) for step in accuracy] == [(1, 0), (0, 2)]


def test_one_member_or_none_has_no_step():
    assert exchange(np.array([1.0]), np.array([0.5]), maximise=False) == []
    assert exchange(np.empty(0), np.empty(0), maximise=False) == []


@pytest.mark.parametrize("maximise", [False, True])
def test_what_is_forgone_is_the_distance_to_the_best_that_is_not_dearer(maximise):
    rng = np.random.default_rng(3)
    for count in (1, 2, 40):
        costs, quality = rng.integers(0, 12, (count, 3)).astype(float), rng.integers(0, 9, count).astype(float)
        losses, instead = forgone(costs, quality, maximise=maximise)
        sign = -1 if maximise else 1
        for row in range(count):
            for column in range(3):
                fast = [i for i in range(count) if costs[i, column] <= costs[row, column]]
                best = min(fast, key=lambda i: (sign * quality[i], costs[i, column], i))
                assert losses[row, column] == abs(quality[row] - quality[best])
                assert instead[row, column] == best


def test_a_quality_that_is_no_number_is_nobodys_alternative():
    losses, instead = forgone(np.array([[1.0], [2.0]]), np.array([np.nan, 0.3]), maximise=False)
    assert (losses[1, 0], instead[1, 0]) == (0, 1)
