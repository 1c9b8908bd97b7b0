"""Promotion: who goes on, who is stopped and why, and that it costs what it says."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_search import Search, quality

from nas.search.promotion import Ladder, standings

LADDER = Ladder((10, 30, 90), cohort=6, reduction=3.0)
BOTH_LEAST = [False, False]


def dominates(a, b):
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


points = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=14)


@given(points, st.sampled_from([1.5, 2.0, 3.0, 10.0]))
def test_what_nobody_dominates_goes_on_and_so_does_the_share(rows, reduction):
    found = standings(np.array(rows, dtype=float), BOTH_LEAST, [0.0] * len(rows), reduction)
    on = [row for row, standing in zip(rows, found, strict=True) if standing.goes_on]
    first = [row for row in rows if not any(dominates(other, row) for other in rows)]
    assert set(first) <= set(on)
    assert len(on) == max(math.ceil(len(rows) / reduction), len(first))


@given(points)
def test_a_rank_is_the_longest_chain_of_dominators(rows):
    found = standings(np.array(rows, dtype=float), BOTH_LEAST, [0.0] * len(rows), 2.0)

    def chain(row):
        above = [other for other in rows if dominates(other, row)]
        return 1 + max(map(chain, above)) if above else 0

    assert [standing.rank for standing in found] == [chain(row) for row in rows]
    worst_on = max(standing.rank for standing in found if standing.goes_on)
    assert all(standing.goes_on for standing in found if standing.rank < worst_on)


def test_directions_count():
    rows = np.array([[0.9, 5.0], [0.5, 5.0]])
    assert [s.goes_on for s in standings(rows, [True, False], [0, 0], 10)] == [True, False]
    assert [s.goes_on for s in standings(rows, [False, False], [0, 0], 10)] == [False, True]


def test_what_breaks_a_limit_comes_after_all_that_keep_them_and_by_how_much():
    rows = np.array([[0.1, 1.0], [0.2, 0.5], [0.9, 9.0], [0.95, 9.5]])
    found = standings(rows, BOTH_LEAST, [0.3, 0.1, 0.0, 0.0], 4)
    assert [standing.rank for standing in found] == [3, 2, 0, 1]
    assert [standing.goes_on for standing in found] == [False, False, True, False]
    alone = standings(rows[:2], BOTH_LEAST, [0.3, 0.1], 4)  # a cohort of such alone
    assert [standing.goes_on for standing in alone] == [False, True]


def test_within_a_rank_those_that_stand_alone_go_first():
    rows = np.array([[0, 0], [1, 10], [5, 5], [5.1, 4.9], [10, 1]], dtype=float)
    found = standings(rows, BOTH_LEAST, [0.0] * 5, 5 / 4)  # four of five
    assert [standing.goes_on for standing in found] == [True, True, True, False, True]


@pytest.mark.parametrize(
    ("steps", "rungs", "reduction", "expected"),
    [(900, 3, 3.0, (100, 300, 900)), (5, 4, 3.0, (1, 2, 5)), (7, 2, 2.0, (4, 7)), (1, 3, 3.0, (1,))],
)
def test_the_rungs_rise_to_the_full_training(steps, rungs, reduction, expected):
    assert Ladder.of(steps, rungs, 12, reduction).steps == expected


# In the loop -------------------------------------------------------------------------------------------------


def search(parallel=1, sampler="random", ladder=LADDER, **more):
    return Search(sampler=sampler, parallel=parallel, ladder=ladder, limits=(), **more)


def reached(found):
    return {number: len(trial.scores) for number, trial in found.trials.items() if trial.proposal.verdict == "evaluate"}


def test_every_candidate_is_scored_on_each_rung_once_up_to_where_it_stops():
    found = search(ladder=Ladder((10, 30, 90), cohort=12, reduction=1.5))  # so that some stop on each rung
    assert found.run(24) == "budget spent: 24 candidates evaluated"
    rungs = reached(found)
    assert Counter(found.climbs) == Counter((number, rung) for number, top in rungs.items() for rung in range(top))
    assert set(rungs.values()) == {1, 2, 3}
    assert {number for number, top in rungs.items() if top < 3} == set(found.stops)
    assert all(trial.finished for trial in found.trials.values())


def test_each_cohort_decides_alone_by_rank():
    found = search()
    found.run(12)
    evaluated = [t for t in found.trials.values() if t.proposal.verdict == "evaluate"]
    for cohort in (evaluated[:6], evaluated[6:]):
        for rung in (0, 1):
            here = [trial for trial in cohort if len(trial.scores) > rung]
            values = [(trial.scores[rung]["error_rate"], trial.scores[rung]["macs"]) for trial in here]
            on = [len(trial.scores) > rung + 1 for trial in here]
            front = [not any(dominates(other, value) for other in values) for value in values]
            assert all(went for went, best in zip(on, front, strict=True) if best)
            assert sum(on) == max(math.ceil(len(here) / 3), sum(front))


def test_a_stop_says_after_what_and_why():
    found = search()
    found.run(6)
    number, reason = next(iter(found.stops.items()))
    assert reached(found)[number] == 1
    assert reason.startswith("stopped after 10 of 90 steps: in rank ")
    assert "of the 6 candidates of its cohort, of which" in reason


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
@pytest.mark.parametrize("parallel", [1, 3])
def test_one_seed_gives_one_search_whatever_ends_first(sampler, parallel):
    first, second = (search(parallel, sampler) for _ in range(2))
    assert first.run(20) == second.run(20)
    assert first.record == second.record
    assert first.stops == second.stops


@pytest.mark.parametrize("parallel", [1, 2])
@pytest.mark.parametrize("cut", [1, 5, 7, 11, 14, 16])
def test_a_search_stopped_anywhere_goes_on_as_if_undisturbed(parallel, cut):
    whole = search(parallel, "tpe")
    whole.run(14)
    found = search(parallel, "tpe")
    assert found.run(14, stop=lambda: "stopped" if len(found.climbs) >= cut else None) == "stopped"
    found.run(14)
    assert found.record == whole.record
    assert found.stops == whole.stops


def test_the_sampler_is_told_the_score_that_all_have():
    found = search(sampler="tpe")
    found.run(14)
    for trial in found.trials.values():
        if trial.proposal.verdict == "evaluate":
            assert trial.metrics == trial.scores[0]


def test_a_candidate_that_fails_on_a_rung_leaves_its_cohort_and_nobody_waits():
    failing: set[int] = set()

    def evaluate(number, architecture):
        if (number, 1) in found.climbs and number not in failing and len(failing) < 2:
            failing.add(number)
            return None
        return {"error_rate": quality(architecture)}

    found = search(evaluate=evaluate)
    found.run(12)
    assert len(failing) == 2
    for number in failing:
        assert found.trials[number].finished
        assert len(found.trials[number].scores) == 1
        assert number not in found.stops
    assert all(trial.finished for trial in found.trials.values())


def test_the_last_cohort_decides_though_it_is_not_full():
    found = search()
    found.run(8)
    assert max(reached(found).values()) == 3
    assert all(trial.finished for trial in found.trials.values())
