"""The loop: propose → evaluate → record, until the budget is spent, a stop is asked for or nothing is left."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Protocol

from nas.architecture import Architecture
from nas.errors import SpaceExhausted
from nas.search.evaluation import Evaluation
from nas.search.evaluations import Climb, Evaluations
from nas.search.plateau import Plateau
from nas.search.promotion import Cohorts
from nas.search.proposer import Proposal, Proposer, RecordedTrial

log = logging.getLogger(__name__)


class Recorder(Protocol):
    """Where the loop writes what happened, before it acts on it."""

    def proposed(self, proposal: Proposal) -> None:
        """Record a new trial: running if it is to be evaluated, else skipped for good."""

    def scored(self, number: int, rung: int, evaluation: Evaluation, metrics: Mapping[str, float]) -> None:
        """Record all metrics of a trial on a rung that is not the last: it waits for what becomes of it."""

    def stopped(self, number: int, reason: str) -> None:
        """Record the end of a trial that does not go on from the rung that it was scored on last."""

    def evaluated(self, number: int, evaluation: Evaluation, metrics: Mapping[str, float] | None) -> None:
        """Record the end of a trial; `metrics` are all of them on the last rung, None when it failed."""


class SearchLoop:
    """Spends one job's budget on evaluations that run elsewhere, several at a time.

    A candidate climbs the rungs of the cohorts' ladder as far as it is promoted; a climb comes before a new candidate.
    What the sampler is told is the score on the first rung, which all candidates have.

    Results are told to the sampler in the order of trial numbers, and only as far as the next proposal may know
    them: with P evaluations at a time a proposal knows all but the last 2·P − 1 evaluated trials (all, for P = 1).
    So the same trials follow from the same seed whichever evaluation happens to end first, at the price of an idle
    process only where one evaluation takes longer than the 2·P − 1 that come after it.
    """

    def __init__(
        self,
        proposer: Proposer,
        cohorts: Cohorts,
        submit: Callable[[int, int, Architecture], Future[Evaluation]],
        record: Recorder,
        parallel: int,
        should_stop: Callable[[], str | None],
        deadline: float | None = None,
        plateau: Plateau | None = None,
    ) -> None:
        """`submit` starts the evaluation of a trial on a rung and returns its future; `should_stop` says why to stop
        at once, or None; `deadline` is the `time.monotonic()` after which nothing new is proposed, and `plateau` says
        when nothing new is worth it, from what the sampler knows.
        """
        self._proposer, self._cohorts, self._record = proposer, cohorts, record
        self._running = Evaluations[int](
            lambda climb: submit(climb.subject, climb.rung, self._proposals[climb.subject].architecture), parallel
        )
        self._parallel, self._should_stop, self._deadline = parallel, should_stop, deadline
        self._plateau = plateau
        self._unknown = 0 if parallel == 1 else 2 * parallel - 1
        self._next_number = 0
        self._order: list[int] = []  # numbers of the trials that are evaluated, finished or not
        self._told = 0  # how many of them the sampler knows
        self._results: dict[int, Mapping[str, float] | None] = {}
        self._proposals: dict[int, Proposal] = {}  # of the trials that have not ended
        self._reached: dict[int, int] = {}  # rungs that each of them has a score on
        self._waiting: deque[Climb[int]] = deque()
        self._exhausted: str | None = None

    def resume(self, trials: Sequence[RecordedTrial]) -> None:
        """Go on from recorded trials, in the order of their numbers; unfinished ones are evaluated first."""
        evaluated = [trial for trial in trials if trial.proposal.verdict == "evaluate"]
        self._next_number = len(trials)
        for trial in evaluated:
            number = trial.proposal.number
            self._enter(trial.proposal)
            for rung, metrics in enumerate(trial.scores):
                self._cohorts.score(number, rung, metrics)
            self._reached[number] = len(trial.scores)
            if trial.finished or trial.scores:
                self._results[number] = trial.metrics
            if trial.finished:
                self._end(number, len(trial.scores))
            elif not trial.scores:
                self._waiting.append(Climb(number, 0))
        while self._next_may_be_told():
            self._watch_plateau(self._order[self._told])
            self._told += 1
        self._proposer.replay(trials, set(self._order[self._told :]))

    def run(self, budget: int) -> str:
        """Go on until `budget` candidates are evaluated, failed ones included; return why it ended."""
        while True:
            if stop := self._should_stop():
                self._running.cancel()
                return stop
            self._promote(budget)
            if self._waiting and self._running.may_start(self._waiting[0].subject):
                self._running.start(self._waiting.popleft())
            elif self._may_propose(budget):
                self._propose()
            elif self._running:
                self._collect()
            else:
                return self._reason(budget)

    def _enter(self, proposal: Proposal) -> None:
        self._order.append(proposal.number)
        self._proposals[proposal.number] = proposal
        self._reached[proposal.number] = 0
        self._cohorts.enter(proposal.number)

    def _end(self, number: int, rung: int) -> None:
        """Note that a trial ended; one that had no score on this rung will never have one."""
        self._cohorts.score_unless_there(number, rung, None)
        del self._proposals[number]

    def _promote(self, budget: int) -> None:
        """Act on what the scores so far decide; a decision of an earlier run was acted on then, or is now."""
        for decision in self._cohorts.decide(closed=self._is_closed(budget)):
            number, rung = decision.number, decision.goes_on_to
            if number not in self._proposals:
                continue
            if rung is None:
                self._record.stopped(number, decision.reason)
                log.info("trial %d %s", number, decision.reason)
                del self._proposals[number]
            elif self._reached[number] == rung:
                self._waiting.appendleft(Climb(number, rung))

    def _is_closed(self, budget: int) -> bool:
        """Return whether no other candidate will be proposed."""
        late = self._deadline is not None and time.monotonic() >= self._deadline
        return bool(self._exhausted) or late or len(self._order) >= budget or self._on_plateau is not None

    @property
    def _on_plateau(self) -> str | None:
        return None if self._plateau is None else self._plateau.reason

    def _watch_plateau(self, number: int) -> None:
        if self._plateau is not None:
            self._plateau.tell(self._results[number])

    def _next_may_be_told(self) -> bool:
        untold = len(self._order) - self._told
        return untold > self._unknown and self._order[self._told] in self._results

    def _may_propose(self, budget: int) -> bool:
        if self._is_closed(budget) or self._waiting or len(self._running) >= self._parallel:
            return False
        while self._next_may_be_told():
            number = self._order[self._told]
            self._proposer.tell(number, self._results[number])
            self._watch_plateau(number)
            self._told += 1
        return not self._is_closed(budget) and len(self._order) - self._told <= self._unknown

    def _propose(self) -> None:
        try:
            proposal = self._proposer.propose(self._next_number)
        except SpaceExhausted as error:
            self._exhausted = str(error)
            return
        self._next_number += 1
        self._record.proposed(proposal)
        if proposal.verdict == "evaluate":
            self._enter(proposal)
            self._waiting.append(Climb(proposal.number, 0))
        else:
            log.info("trial %d skipped: %s", proposal.number, proposal.verdict)

    def _collect(self) -> None:
        """Record every evaluation that has finished; wait for one, but not for long."""
        ended, again = self._running.collect()
        self._waiting.extend(again)
        for climb, result in ended:
            self._keep(climb.subject, climb.rung, result)

    def _keep(self, number: int, rung: int, result: Evaluation) -> None:
        """Record what an evaluation gave."""
        metrics = None if result.metrics is None else {**self._proposals[number].costs, **result.metrics}
        if metrics is not None and rung < self._cohorts.ladder.last:
            self._record.scored(number, rung, result, metrics)
            self._cohorts.score(number, rung, metrics)
        else:
            self._record.evaluated(number, result, metrics)
            self._end(number, rung)
        self._reached[number] = rung + 1
        if rung == 0:
            self._results[number] = metrics

    def _reason(self, budget: int) -> str:
        evaluated = len(self._order)
        if evaluated >= budget:
            return f"budget spent: {evaluated} candidates evaluated"
        return self._exhausted or self._on_plateau or f"time is up: {evaluated} of {budget} candidates evaluated"
