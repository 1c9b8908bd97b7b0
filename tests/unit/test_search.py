"""Objectives, limits, the proposer's guards, and the loop: reproducible, resumable, never stuck."""

import functools
import math
import random
import threading
import time
from concurrent.futures import BrokenExecutor, Future
from dataclasses import asdict

import pytest

from nas.costs import VectorisedCosts, costs_of, reach
from nas.errors import InvalidInput
from nas.search.cost_aware import SpaceCandidates
from nas.search.evaluation import Evaluation
from nas.search.loop import SearchLoop
from nas.search.objectives import MetricInfo, cost_metrics, parse_constraint
from nas.search.plateau import Plateau, PlateauRule
from nas.search.promotion import Cohorts, Ladder
from nas.search.proposer import Proposer, RecordedTrial
from nas.search.samplers import SAMPLERS, SamplerSetting
from nas.space import SearchSpace
from nas.workload import Workload

WORKLOAD = Workload(input_length=16)
METRICS = {
    "error_rate": MetricInfo("error_rate", "Error rate", "minimize", "", False, 1.0),
    **cost_metrics(("phone",)),
}


def costs(architecture):
    return asdict(costs_of(architecture, WORKLOAD))


@functools.cache
def known_metrics(space):
    return VectorisedCosts(SearchSpace.bundled(space), WORKLOAD).of


def candidates_of(space, objectives, limits):
    return SpaceCandidates(space, objectives, limits, known_metrics(space.name))


def quality(architecture):
    return 1 / (1 + costs(architecture)["macs"] ** 0.3) + int(architecture.id[2:6], 16) / 1e7


ONE_RUNG = Ladder((100,))
REFERENCE = {"point": {"error_rate": 1.0, "macs": 4e6}, "ideal": {"error_rate": 0.0, "macs": 0.0}}
EACH_SAMPLER = [
    pytest.param(name, marks=pytest.mark.long) if name == "gp" else name  # an ask takes a second
    for name in sorted(SAMPLERS)
]
KNOWS_LIMITS = ("cost-aware", "cost-stratified")


class Search:
    """A search whose evaluations cost nothing, and everything that it recorded."""

    def __init__(
        self,
        space="smoke",
        sampler="tpe",
        parallel=1,
        limits=("parameters <= 1e6",),
        seed=0,
        evaluate=None,
        ladder=ONE_RUNG,
    ):
        self.ladder = ladder
        self.stops: dict[int, str] = {}
        self.space = SearchSpace.bundled(space)
        self.sampler, self.parallel, self.seed = sampler, parallel, seed
        self.limits = tuple(parse_constraint(text, "constraints[0]", METRICS) for text in limits)
        self.trials: dict[int, RecordedTrial] = {}
        self.evaluate = evaluate or (lambda n, a: {"error_rate": quality(a)})
        self.submitted: list[int] = []
        self.climbs: list[tuple[int, int]] = []

    def proposed(self, proposal):
        assert proposal.number not in self.trials
        self.trials[proposal.number] = RecordedTrial(proposal, proposal.verdict != "evaluate", None)

    def scored(self, number, rung, evaluation, metrics):
        trial = self.trials[number]
        assert not trial.finished
        assert len(trial.scores) == rung
        scores = (*trial.scores, metrics)
        self.trials[number] = RecordedTrial(trial.proposal, False, scores[0], scores)

    def stopped(self, number, reason):
        trial = self.trials[number]
        assert not trial.finished
        self.trials[number] = RecordedTrial(trial.proposal, True, trial.metrics, trial.scores)
        self.stops[number] = reason

    def evaluated(self, number, evaluation, metrics):
        trial = self.trials[number]
        assert not trial.finished
        scores = trial.scores if metrics is None else (*trial.scores, metrics)
        self.trials[number] = RecordedTrial(trial.proposal, True, scores[0] if scores else None, scores)

    def submit(self, number, rung, architecture):
        self.submitted.append(number)
        self.climbs.append((number, rung))
        future: Future[Evaluation] = Future()

        def work():
            if self.parallel > 1:
                time.sleep(random.random() * 0.01)
            if not future.set_running_or_notify_cancel():
                return
            try:
                metrics = self.evaluate(number, architecture)
                if metrics and rung < self.ladder.last:  # as if trained less: worse, and not in the same order
                    less = (self.ladder.last - rung) * (0.1 + 0.05 * random.Random(f"{number} {rung}").random())
                    metrics = {name: value + less for name, value in metrics.items()}
            except BrokenExecutor as error:
                future.set_exception(error)
                return
            error = None if metrics else "it failed"
            future.set_result(Evaluation(metrics, None, None, error, 0.0))

        threading.Thread(target=work).start() if self.parallel > 1 else work()
        return future

    def run(self, budget, stop=lambda: None, deadline=None, plateau=None):
        objectives = (METRICS["error_rate"], METRICS["macs"])
        setting = SamplerSetting(self.seed, lambda: candidates_of(self.space, objectives, self.limits))
        proposer = Proposer(self.space, objectives, self.limits, costs, self.sampler, setting)
        cohorts = Cohorts(self.ladder, objectives, self.limits)
        watch = None if plateau is None else Plateau(plateau, objectives, self.limits, REFERENCE)
        loop = SearchLoop(proposer, cohorts, self.submit, self, self.parallel, stop, deadline, watch)
        loop.resume([self.trials[n] for n in sorted(self.trials)])
        return loop.run(budget)

    @property
    def record(self):
        ordered = [self.trials[n] for n in sorted(self.trials)]
        return [
            (t.proposal.architecture.id, t.proposal.verdict, t.proposal.same_as, t.metrics, t.scores) for t in ordered
        ]

    def architectures(self, verdict):
        trials = [t.proposal for t in self.trials.values() if t.proposal.verdict == verdict]
        return [p.architecture for p in trials]


@pytest.mark.parametrize("sampler", EACH_SAMPLER)
@pytest.mark.parametrize("parallel", [1, 3])
def test_one_seed_gives_one_search_whatever_ends_first(sampler, parallel):
    first, second = Search(sampler=sampler, parallel=parallel), Search(sampler=sampler, parallel=parallel)
    assert first.run(25) == second.run(25) == "budget spent: 25 candidates evaluated"
    assert first.record == second.record
    other = Search(sampler=sampler, parallel=parallel, seed=1)
    other.run(25)
    assert other.record != first.record


@pytest.mark.parametrize("sampler", ["cost-aware", "tpe", "nsga2"])
def test_a_search_stopped_anywhere_goes_on_as_if_undisturbed(sampler):
    whole = Search("text-encoder", sampler, 2)
    whole.run(26)
    for cut in (1, 24):
        assert stopped_once(whole, cut, 26) == whole.record


@pytest.mark.long
@pytest.mark.parametrize("sampler", EACH_SAMPLER)
@pytest.mark.parametrize("parallel", [1, 2])
def test_a_search_stopped_at_twenty_random_points_goes_on_as_if_undisturbed(sampler, parallel):
    budget = 22 if sampler == "gp" else 50
    whole = Search("text-encoder", sampler, parallel)
    whole.run(budget)
    for cut in random.Random(6).sample(range(1, budget), 20):
        assert stopped_once(whole, cut, budget) == whole.record


def stopped_once(like, cut, budget):
    """Return the record of the same search, stopped when so many candidates were proposed and then gone on with."""
    search = Search("text-encoder", like.sampler, like.parallel)
    assert search.run(budget, stop=lambda: "stopped" if len(search.trials) >= cut else None) == "stopped"
    search.run(budget)
    assert sorted(search.trials) == list(range(len(search.trials)))
    return search.record


@pytest.mark.parametrize("sampler", EACH_SAMPLER)
def test_nothing_is_evaluated_twice_or_over_a_limit(sampler):
    search = Search(sampler=sampler, limits=("parameters <= 16000", "macs >= 8e4"), parallel=2)
    search.run(20)
    evaluated = search.architectures("evaluate")
    assert len({a.id for a in evaluated}) == len(evaluated) == 20
    assert all(costs(a)["parameters"] <= 16000 and costs(a)["macs"] >= 8e4 for a in evaluated)
    over = search.architectures("over_limit")
    assert bool(over) == (sampler not in KNOWS_LIMITS)
    assert all(costs(a)["parameters"] > 16000 or costs(a)["macs"] < 8e4 for a in over)
    for trial in search.trials.values():
        if trial.proposal.verdict == "duplicate":
            assert trial.proposal.same_as < trial.proposal.number
            assert search.trials[trial.proposal.same_as].proposal.architecture == trial.proposal.architecture


@pytest.mark.parametrize("sampler", ["tpe", *KNOWS_LIMITS])
def test_an_exhausted_space_ends_the_search_and_says_so(sampler):
    search = Search(sampler=sampler, limits=("parameters <= 9000",))
    feasible = {a.id for a in search.space.enumerate() if costs(a)["parameters"] <= 9000}
    reason = search.run(1000)
    assert {a.id for a in search.architectures("evaluate")} == feasible
    assert "no unseen architecture of the space smoke that keeps the limits" in reason


@pytest.mark.parametrize("sampler", ["tpe", *KNOWS_LIMITS])
def test_a_space_whose_limits_leave_nothing_ends_at_once(sampler):
    lowest = reach(SearchSpace.bundled("smoke"), "parameters", WORKLOAD)[0][0]
    search = Search(sampler=sampler, limits=(f"parameters <= {lowest - 1}",))
    assert "no unseen architecture" in search.run(5)
    assert not search.architectures("evaluate")
    assert len(search.trials) < 10


@pytest.mark.parametrize("sampler", ["tpe", *KNOWS_LIMITS])
@pytest.mark.parametrize("parallel", [1, 4])
def test_a_search_in_which_all_fail_ends_with_its_budget(sampler, parallel):
    search = Search(sampler=sampler, parallel=parallel, evaluate=lambda n, a: None)
    assert search.run(15) == "budget spent: 15 candidates evaluated"
    assert len({a.id for a in search.architectures("evaluate")}) == 15


@pytest.mark.parametrize("sampler", ["tpe", *KNOWS_LIMITS])
def test_more_workers_than_candidates_evaluate_each_once(sampler):
    search = Search(sampler=sampler, parallel=12, limits=("parameters <= 7500",))
    feasible = {a.id for a in search.space.enumerate() if costs(a)["parameters"] <= 7500}
    assert 0 < len(feasible) < 12
    assert "no unseen architecture" in search.run(1000)
    assert {a.id for a in search.architectures("evaluate")} == feasible


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_quality_that_is_no_number_does_not_end_the_search(value):
    search = Search(sampler="cost-aware", evaluate=lambda n, a: {"error_rate": value if n % 3 else quality(a)})
    assert search.run(25, stop=lambda: "stopped" if len(search.trials) == 14 else None) == "stopped"
    assert search.run(25, stop=lambda: None) == "budget spent: 25 candidates evaluated"


def test_failed_candidates_count_and_are_not_proposed_again():
    search = Search(evaluate=lambda n, a: None if n % 3 == 0 else {"error_rate": quality(a)})
    assert search.run(20).startswith("budget spent")
    evaluated = search.architectures("evaluate")
    assert len({a.id for a in evaluated}) == 20


def test_an_evaluation_process_that_dies_is_tried_again_and_then_given_up():
    deaths = {0: 1, 2: 99}

    def evaluate(number, architecture):
        if deaths.get(number, 0) > 0:
            deaths[number] -= 1
            raise BrokenExecutor
        return {"error_rate": quality(architecture)}

    search = Search(evaluate=evaluate)
    search.run(6)
    assert search.trials[0].metrics is not None
    assert search.trials[2].metrics is None
    assert search.submitted.count(0) == 2
    assert search.submitted.count(2) == 3


def test_an_evaluation_that_kills_its_process_does_not_take_its_neighbours_with_it():
    """As a process pool does it: when one process dies, every evaluation under way is broken off."""
    futures: list[Future[Evaluation]] = []

    class Pool(Search):
        def submit(self, number, rung, architecture):
            self.submitted.append(number)
            future: Future[Evaluation] = Future()
            futures.append(future)

            def work():
                time.sleep(0.005)
                if number == 1:
                    for other in futures:
                        if not other.done():
                            other.set_exception(BrokenExecutor())
                elif not future.done():
                    future.set_result(Evaluation({"error_rate": quality(architecture)}, None, None, None, 0.0))

            threading.Thread(target=work).start()
            return future

    search = Pool(parallel=2)
    assert search.run(8) == "budget spent: 8 candidates evaluated"
    failed = [t.proposal.number for t in search.trials.values() if t.proposal.verdict == "evaluate" and not t.metrics]
    assert failed == [1]


def test_a_deadline_lets_running_evaluations_end_and_proposes_nothing_more():
    search = Search(parallel=2)
    reason = search.run(1000, deadline=time.monotonic() + 0.3)
    assert reason.startswith("time is up")
    assert all(trial.finished for trial in search.trials.values())


def test_a_limit_on_quality_is_judged_after_the_evaluation():
    search = Search(limits=("error_rate <= 0.02",), sampler="nsga2")
    assert search.run(30).startswith("budget spent")
    assert not search.architectures("over_limit")


@pytest.mark.parametrize(
    ("text", "metrics", "violation"),
    [
        ("parameters <= 100", {"parameters": 100}, 0.0),
        ("parameters<=100", {"parameters": 150}, 0.5),
        ("macs >= 1e3", {"macs": 500}, 0.5),
        ("latency_ms@phone <= 20", {"latency_ms@phone": math.nan}, math.inf),
    ],
)
def test_a_limit_says_by_how_much_it_is_broken(text, metrics, violation):
    assert parse_constraint(text, "c", METRICS).violation(metrics) == violation


@pytest.mark.parametrize(
    "text",
    [
        "parameters < 5",
        "parameters <= five",
        "parameters <= 5_",
        "parameters <= 1__0",
        "parameters >= 1e999",
        "parameters",
        "<= 5",
        "macs <= nan",
        "latency_ms@pad <= 3",
        "joules <= 1",
    ],
)
def test_a_wrong_limit_is_refused_with_its_field(text):
    with pytest.raises(InvalidInput) as caught:
        parse_constraint(text, "constraints[0]", METRICS)
    assert caught.value.problems[0].field == "constraints[0]"


# A plateau -------------------------------------------------------------------------------------------------------


def told(plateau, *errors):
    for error in errors:
        plateau.tell(None if error is None else {"error_rate": error, "macs": 2e6, "parameters": 5})


def watching(evaluations, gain, limits=()):
    rule = PlateauRule(evaluations=evaluations, gain=gain)
    limits = [parse_constraint(text, "constraints[0]", METRICS) for text in limits]
    return Plateau(rule, (METRICS["error_rate"], METRICS["macs"]), limits, REFERENCE)


def test_a_plateau_is_as_many_evaluations_as_asked_for_that_add_too_little():
    plateau = watching(3, 0.1)
    told(plateau, 0.5, 0.9, None)  # volumes 0, .25, .25, .25: the first of these three added all
    assert plateau.reason is None
    told(plateau, 0.49)  # .255 is 2 % more than .25
    assert plateau.reason == (
        "the hypervolume has reached a plateau: 3 evaluations added 1.96% of 0.255, no more than 10.00%"
    )


def test_what_has_been_a_plateau_stays_one_so_that_a_resumed_search_stops_at_the_same_place():
    plateau = watching(2, 0.0)
    told(plateau, 0.5, 0.5, 0.5)
    first = plateau.reason
    assert first is not None
    told(plateau, 0.1)
    assert plateau.reason == first


def test_growth_of_more_than_the_gain_is_no_plateau():
    plateau = watching(2, 0.1)
    told(plateau, *(0.9 - 0.1 * i for i in range(6)))
    assert plateau.reason is None


def test_before_anything_is_within_the_limits_there_is_no_plateau():
    plateau = watching(2, 0.5, ["parameters <= 4"])
    told(plateau, *[0.5] * 10, None)
    assert plateau.reason is None


@pytest.mark.parametrize("parallel", [1, 3])
def test_a_search_on_a_plateau_ends_and_says_so(parallel):
    rule = PlateauRule(evaluations=8, gain=0.02)
    whole = Search(parallel=parallel)
    reason = whole.run(100, plateau=rule)
    assert reason.startswith("the hypervolume has reached a plateau: 8 evaluations added")
    count = len(whole.architectures("evaluate"))
    assert 9 <= count < 100
    again = Search(parallel=parallel)
    again.run(100, plateau=rule)
    assert again.record == whole.record


def test_a_search_that_was_stopped_ends_on_the_same_plateau():
    rule = PlateauRule(evaluations=8, gain=0.02)
    whole = Search(parallel=2)
    reason = whole.run(100, plateau=rule)
    for stop_after in (1, 5, 9, 12):
        stopped = Search(parallel=2)
        stopped.run(100, stop=lambda s=stopped, n=stop_after: "stop" if len(s.submitted) >= n else None, plateau=rule)
        assert stopped.run(100, plateau=rule) == reason
        assert stopped.record == whole.record


# Why -------------------------------------------------------------------------------------------------------------


def reasons(search):
    return [t.proposal.sampler_state.get("why", {}) for _, t in sorted(search.trials.items())]


def test_the_cost_aware_sampler_says_what_it_expected_of_a_candidate():
    search = Search(sampler="cost-aware")
    search.run(16)
    assert {why["by"] for why in reasons(search)[:10]} == {"spread"}
    later = [(why, t.metrics["error_rate"]) for why, t in zip(reasons(search), search.trials.values(), strict=True)][
        10:
    ]
    assert {why["by"] for why, _ in later} == {"model"}
    for why, found in later:
        expected = why["expected"]["error_rate"]
        assert abs(found - expected["mean"]) < 0.1
        assert 0 < expected["deviation"] < 0.3
    assert all("cost_aware:why" not in t.proposal.sampler_state.get("trial", {}) for t in search.trials.values())


def test_neighbours_say_so_and_optunas_samplers_say_nothing():
    search = Search(sampler="tpe")
    search.run(100)
    assert {why.get("by") for why in reasons(search)} == {None, "neighbour"}
