"""Evaluations that run elsewhere, several at a time, and what becomes of those whose process dies."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Hashable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

from nas.search.evaluation import Evaluation

Subject = TypeVar("Subject", bound=Hashable)

log = logging.getLogger(__name__)

DEATHS_ALLOWED = 3
"""How often the process of one evaluation may die (memory, a kill) before it counts as failed."""
POLL_S = 0.5
"""How long `collect` waits at most."""


@dataclass(frozen=True)
class Climb(Generic[Subject]):
    """An evaluation to be done: whom it is of, and the rung that it is to be scored on."""

    subject: Subject
    rung: int


class Evaluations(Generic[Subject]):
    """At most `parallel` evaluations at a time."""

    def __init__(self, submit: Callable[[Climb[Subject]], Future[Evaluation]], parallel: int) -> None:
        """`submit` starts an evaluation; its future raises `BrokenExecutor` when an evaluation process died."""
        self._submit, self._parallel = submit, parallel
        self._running: dict[Future[Evaluation], Climb[Subject]] = {}
        self._deaths: Counter[Subject] = Counter()
        self._alone: set[Subject] = set()  # those that ran while an evaluation process died

    def __len__(self) -> int:
        return len(self._running)

    def may_start(self, subject: Subject) -> bool:
        """Return whether one may start now: one under suspicion only runs when nothing else does."""
        if subject in self._alone or any(climb.subject in self._alone for climb in self._running.values()):
            return not self._running
        return len(self._running) < self._parallel

    def start(self, climb: Climb[Subject]) -> None:
        """Start an evaluation."""
        self._running[self._submit(climb)] = climb

    def collect(self) -> tuple[list[tuple[Climb[Subject], Evaluation]], list[Climb[Subject]]]:
        """Wait up to `POLL_S` for an evaluation; return what has ended, and what has to be started again."""
        ended, again = [], []
        done, _ = wait(self._running, timeout=POLL_S, return_when=FIRST_COMPLETED)
        for future in done:
            climb = self._running.pop(future)
            subject = climb.subject
            try:
                result = future.result()
            except BrokenExecutor:
                # The death of one process breaks off all evaluations; who caused it shows when each runs alone
                self._deaths[subject] += self._parallel == 1 or subject in self._alone
                self._alone.add(subject)
                if self._deaths[subject] < DEATHS_ALLOWED:
                    log.warning("%s: an evaluation process died; evaluating it again, alone", subject)
                    again.append(climb)
                    continue
                result = Evaluation(None, None, None, f"its process died {DEATHS_ALLOWED} times", 0.0)
            self._alone.discard(subject)
            ended.append((climb, result))
        return ended, again

    def cancel(self) -> None:
        """Take back what has not begun."""
        for future in self._running:
            future.cancel()
