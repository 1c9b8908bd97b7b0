"""The loop: propose → evaluate → record, until the budget is spent, a stop is asked for or nothing is left."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Any, Protocol

from nas.architecture import Architecture
from nas.errors import SpaceExhausted
from nas.search.proposer import Proposal, Proposer

log = logging.getLogger(__name__)

POLL_S = 0.5
"""How often the loop looks whether it should stop while evaluations run."""


@dataclass(frozen=True)
class Evaluation:
    """What evaluating one candidate gave. Either `metrics` or `error` is set."""

    metrics: Mapping[str, float] | None
    """The metrics that training gave (the costs are known already)."""
    training: Mapping[str, Any] | None
    weights: bytes | None
    error: str | None
    duration_s: float


class Recorder(Protocol):
    """Where the loop writes what happened, before it acts on it."""

    def proposed(self, proposal: Proposal) -> None:
        """Record a new trial: running if it is to be evaluated, else skipped for good."""

    def evaluated(self, number: int, evaluation: Evaluation, metrics: Mapping[str, float] | None) -> None:
        """Record the end of a trial; `metrics` are all of them, None when it failed."""


@dataclass
class SearchLoop:
    """Spends one job's budget. `submit` starts an evaluation elsewhere and returns its future."""

    proposer: Proposer
    submit: Callable[[int, Architecture], Future[Evaluation]]
    record: Recorder
    parallel: int
    should_stop: Callable[[], str | None]
    """Returns why the loop must stop at once, or None."""
    deadline: float | None = None
    """`time.time()` after which nothing new is proposed."""

    def run(self, budget: int, next_number: int, evaluated: int, unfinished: list[Proposal]) -> str:
        """Go on until `budget` candidates are evaluated (failed ones included); return the reason of the end.

        `next_number` is the first trial number not yet used, `evaluated` how many candidates are done already, and
        `unfinished` the recorded trials that were running when an earlier worker stopped: they come first.
        """
        waiting = list(unfinished)
        running: dict[Future[Evaluation], Proposal] = {}
        exhausted: str | None = None
        while True:
            if stop := self.should_stop():
                for future in running:
                    future.cancel()
                return stop
            skipped = False
            if len(running) < self.parallel and waiting:
                self._start(waiting.pop(0), running)
                continue
            if len(running) < self.parallel and evaluated + len(running) < budget and not self._ended(exhausted):
                try:
                    proposal = self.proposer.propose(next_number)
                except SpaceExhausted as error:
                    exhausted = str(error)
                    continue
                next_number += 1
                self.record.proposed(proposal)
                skipped = proposal.verdict != "evaluate"
                if not skipped:
                    self._start(proposal, running)
                    continue
                log.info("trial %d skipped: %s", proposal.number, proposal.verdict)
            if not running and not skipped:
                return self._reason(exhausted, evaluated, budget)
            evaluated += self._collect(running, 0.0 if skipped else POLL_S)

    def _start(self, proposal: Proposal, running: dict[Future[Evaluation], Proposal]) -> None:
        running[self.submit(proposal.number, proposal.architecture)] = proposal

    def _ended(self, exhausted: str | None) -> bool:
        return exhausted is not None or (self.deadline is not None and time.time() >= self.deadline)

    @staticmethod
    def _reason(exhausted: str | None, evaluated: int, budget: int) -> str:
        if evaluated >= budget:
            return f"budget spent: {evaluated} candidates evaluated"
        return exhausted or f"time is up: {evaluated} of {budget} candidates evaluated"

    def _collect(self, running: dict[Future[Evaluation], Proposal], timeout_s: float) -> int:
        """Record and tell every evaluation that has finished; return how many. Waits at most `timeout_s`."""
        if not running:
            return 0
        done, _ = wait(running, timeout=timeout_s, return_when=FIRST_COMPLETED)
        # By trial number, so that two that end together are always told in the same order
        for future in sorted(done, key=lambda f: running[f].number):
            proposal = running.pop(future)
            result = future.result()
            metrics = None if result.metrics is None else {**proposal.costs, **result.metrics}
            self.record.evaluated(proposal.number, result, metrics)
            self.proposer.tell(proposal.number, metrics)
        return len(done)
