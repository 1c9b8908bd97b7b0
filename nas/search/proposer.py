"""The proposer: Optuna's ask and tell over a search space, behind guards against wasted proposals.

The Optuna study lives in memory and is rebuilt from recorded trials; trial numbers are the same in both. Every
proposal is judged before anything is trained: one that was seen before, or that breaks a limit on a known cost, is
told to the sampler at once and skipped. After a few skips in a row the proposer stops asking and takes an unseen
neighbour that keeps the limits, so that no sampler can loop.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState, create_trial

from nas.architecture import Architecture
from nas.errors import SpaceExhausted
from nas.search.cost_aware.choosing import WHY
from nas.search.decisions import distribution_of, parameter_of, suggest
from nas.search.objectives import Constraint, MetricInfo
from nas.search.samplers import SAMPLERS, SamplerSetting, seed_of
from nas.space import Decision, SearchSpace

SKIPS_BEFORE_A_NEIGHBOUR = 4
"""How many skipped proposals in a row are told to the sampler before an unseen neighbour is taken."""
ENUMERATED_UP_TO = 20_000
"""Spaces up to this size are listed completely before they are called exhausted."""
TRIED_IN_LARGE_SPACES = 5_000
"""Unseen architectures looked at in larger spaces before the limits are called unreachable."""

Verdict = Literal["evaluate", "duplicate", "over_limit"]


@dataclass(frozen=True)
class Proposal:
    """One trial as proposed: what to build, what is known of it, and what is to be done with it."""

    number: int
    architecture: Architecture
    costs: Mapping[str, float]
    """The metrics known before training."""
    verdict: Verdict
    violations: Mapping[str, float] = field(default_factory=dict)
    """Broken limits by their text, with the relative excess."""
    same_as: int | None = None
    """Of a duplicate: the number of the trial that had this architecture first."""
    sampler_state: Mapping[str, Any] = field(default_factory=dict)
    """What the sampler must find again when the study is rebuilt: Optuna's system attributes.

    And `why` this is proposed, where that can be said: `by` the job's `start`, as a `neighbour` of the last one since
    the sampler repeated itself, to be `spread` over the costs, or by a `model`, with what that `expected`.
    """


@dataclass(frozen=True)
class RecordedTrial:
    """A trial as it was recorded, from which the search goes on."""

    proposal: Proposal
    finished: bool
    metrics: Mapping[str, float] | None
    """All metrics of an evaluated trial on the first rung; None before it was scored, and if it failed or was skipped.
    """
    scores: tuple[Mapping[str, float], ...] = ()
    """The same on each rung that it has reached, the first one's included."""


class Proposer:
    """Proposes architectures of one space for one job. Not thread-safe: one job has one proposer."""

    def __init__(
        self,
        space: SearchSpace,
        objectives: tuple[MetricInfo, ...],
        constraints: tuple[Constraint, ...],
        costs: Callable[[Architecture], dict[str, float]],
        sampler: str,
        setting: SamplerSetting,
        start: Sequence[Architecture] = (),
    ) -> None:
        """`costs` are the metrics known before training, `sampler` is a name of `SAMPLERS`.

        `start` are proposed first, in their order, each once; they are of the space and within the limits.
        """
        self._start = start
        self._space, self._objectives, self._costs = space, objectives, costs
        self._constraints = constraints
        self._sampler_of, self._seed = SAMPLERS[sampler](setting), setting.seed
        self._storage = optuna.storages.InMemoryStorage()
        self._study = optuna.create_study(
            storage=self._storage, directions=[o.direction for o in objectives], study_name="job"
        )
        self._study_id = self._storage.get_study_id_from_name("job")
        self._first: dict[str, int] = {}  # architecture id → number of the trial that had it first
        self._metrics: dict[int, Mapping[str, float]] = {}  # of evaluated trials
        self._skips = 0
        self._last: Architecture | None = None

    # Recorded trials -------------------------------------------------------------------------------------

    def replay(self, trials: Sequence[RecordedTrial], untold: Collection[int]) -> None:
        """Rebuild the study from recorded trials, which come in the order of their numbers, none missing.

        `untold` are the numbers whose result, there already or not, `tell` brings later.
        """
        for trial in trials:
            proposal = trial.proposal
            params, distributions = self._parameters_of(proposal.architecture)
            known = trial.metrics or proposal.costs
            values: list[float] | None = proposal.sampler_state.get("told")
            if proposal.verdict == "evaluate" and trial.metrics is not None:
                values = self._values_of(trial.metrics)
            running = proposal.number in untold
            state = TrialState.COMPLETE if values else TrialState.FAIL
            self._study.add_trial(
                create_trial(
                    state=TrialState.RUNNING if running else state,
                    values=None if running else values,
                    params=params,
                    distributions=distributions,
                    system_attrs=dict(proposal.sampler_state.get("trial", {})),
                    constraints={c.text: c.violation(known) for c in self._known(known)} or None,
                )
            )
            for key, value in proposal.sampler_state.get("study", {}).items():
                self._storage.set_study_system_attr(self._study_id, key, value)
            self._remember(proposal)
            if not running and trial.metrics is not None:
                self._metrics[proposal.number] = trial.metrics

    def _remember(self, proposal: Proposal) -> None:
        self._first.setdefault(proposal.architecture.id, proposal.number)
        self._last = proposal.architecture
        self._skips = 0 if proposal.verdict == "evaluate" else self._skips + 1

    # Ask ---------------------------------------------------------------------------------------------------

    def propose(self, number: int) -> Proposal:
        """Return the proposal of trial `number`, already told to the sampler if it is to be skipped.

        Raises `SpaceExhausted` when no unseen architecture that keeps the limits can be found.
        """
        given = next((architecture for architecture in self._start if architecture.id not in self._first), None)
        why: dict[str, Any] | None = None if given is None else {"by": "start"}
        if given is None and self._skips >= SKIPS_BEFORE_A_NEIGHBOUR:
            given, why = self._unseen(number), {"by": "neighbour"}
        if given is not None:
            params, _ = self._parameters_of(given)
            self._study.enqueue_trial(params)
        before = self._storage.get_study_system_attrs(self._study_id).copy()
        self._study.sampler = self._sampler_of(seed_of(self._seed, number, "ask"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna warns where a conditional choice falls back to independent
            trial = self._study.ask()
            try:
                architecture = self._space.walk(lambda decision: suggest(trial, decision))
            except SpaceExhausted as error:  # of a sampler that knows what there is, but not what it is called
                raise self._exhausted() from error
        if trial.number != number:
            raise AssertionError(f"trial {number} of the job is trial {trial.number} of the study")
        costs = self._costs(architecture)
        known = self._known(costs)
        violations = {c.text: c.violation(costs) for c in known if c.violation(costs) > 0}
        same_as = self._first.get(architecture.id)
        verdict: Verdict = "evaluate"
        if violations:
            verdict = "over_limit"
        elif same_as is not None:
            verdict = "duplicate"
        for constraint in known:
            trial.set_constraint(constraint.text, constraint.violation(costs))
        state = self._sampler_state(number, before)
        if why := why or self._why(number):
            state["why"] = why
        if verdict != "evaluate":
            told = self._values_of_skipped(costs, verdict, same_as)
            self._study.tell(number, told, TrialState.COMPLETE if told else TrialState.FAIL)
            state["told"] = told
        proposal = Proposal(
            number, architecture, costs, verdict, violations, same_as if verdict == "duplicate" else None, state
        )
        self._remember(proposal)
        return proposal

    def tell(self, number: int, metrics: Mapping[str, float] | None) -> None:
        """Tell the sampler what evaluating trial `number` gave; None when it failed."""
        if metrics is None:
            self._study.tell(number, state=TrialState.FAIL)
            return
        self._metrics[number] = metrics
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        trial = optuna.Trial(self._study, trial_id)
        for constraint in self._constraints:
            if constraint.text not in trial.constraints:  # the others were known when it was proposed
                trial.set_constraint(constraint.text, constraint.violation(metrics))
        values = self._values_of(metrics)
        self._study.tell(number, values, TrialState.COMPLETE if values else TrialState.FAIL)

    def _values_of(self, metrics: Mapping[str, float]) -> list[float] | None:
        """Return the values of the objectives, or None where one is NaN: of such a trial no sampler learns anything."""
        values = [metrics[o.name] for o in self._objectives]
        return None if any(math.isnan(value) for value in values) else values

    def _known(self, metrics: Mapping[str, float]) -> list[Constraint]:
        return [c for c in self._constraints if c.metric in metrics]

    def _values_of_skipped(
        self, costs: Mapping[str, float], verdict: Verdict, same_as: int | None
    ) -> list[float] | None:
        """Return the objective values that a skipped proposal is told, or None where nothing is known yet."""
        if verdict == "over_limit":
            # Samplers rank what breaks a limit by the limit alone; they only want some value for the quality
            return [costs.get(o.name, o.worst) for o in self._objectives]
        metrics = self._metrics.get(-1 if same_as is None else same_as)
        return None if metrics is None else self._values_of(metrics)

    def _sampler_state(self, number: int, before: Mapping[str, Any]) -> dict[str, Any]:
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        attrs = self._storage.get_trial(trial_id).system_attrs
        now = self._storage.get_study_system_attrs(self._study_id)
        state = {
            "trial": {k: v for k, v in attrs.items() if k != WHY and not k.startswith("constraints:")},
            "study": {k: v for k, v in now.items() if before.get(k) != v},
        }
        return {k: v for k, v in state.items() if v}

    def _why(self, number: int) -> dict[str, Any] | None:
        """Return why the sampler chose this candidate, with objectives by name; None of one that doesn't say."""
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        said = self._storage.get_trial(trial_id).system_attrs.get(WHY)
        if said is None:
            return None
        expected = {
            self._objectives[int(index)].name: {"mean": mean, "deviation": deviation}
            for index, (mean, deviation) in said.get("expected", {}).items()
        }
        return {"by": said["by"], **({"expected": expected} if expected else {})}

    def _parameters_of(self, architecture: Architecture) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
        params: dict[str, Any] = {}
        distributions: dict[str, BaseDistribution] = {}
        follow = self._space.follow(architecture)

        def choose(decision: Decision) -> int:
            index = follow(decision)
            distributions[decision.name] = distribution_of(decision)
            params[decision.name] = parameter_of(decision, index)
            return index

        self._space.walk(choose)
        return params, distributions

    # Never a loop ------------------------------------------------------------------------------------------

    def _unseen(self, number: int) -> Architecture:
        """Return an architecture that no trial had and that keeps the limits on known costs."""
        rng = random.Random(seed_of(self._seed, number, "neighbour"))
        for candidate in self._candidates(rng):
            if candidate.id not in self._first and not self._breaks_a_limit(candidate):
                return candidate
        raise self._exhausted()

    def _exhausted(self) -> SpaceExhausted:
        return SpaceExhausted(
            f"no unseen architecture of the space {self._space.name} that keeps the limits was found "
            f"after {len(self._first)} different ones"
        )

    def _candidates(self, rng: random.Random) -> Iterator[Architecture]:
        if self._last is not None:
            neighbours = self._space.neighbours(self._last)
            rng.shuffle(neighbours)
            yield from neighbours
        if self._space.size <= ENUMERATED_UP_TO:
            everything = list(self._space.enumerate())
            rng.shuffle(everything)
            yield from everything
            return
        for _ in range(TRIED_IN_LARGE_SPACES):
            yield self._space.sample(rng)

    def _breaks_a_limit(self, architecture: Architecture) -> bool:
        costs = self._costs(architecture)
        return any(c.violation(costs) > 0 for c in self._known(costs))
