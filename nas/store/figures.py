"""Figures: how the service does, for whoever watches it, read from what is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Select, Subquery, and_, case, exists, func, not_, or_, select

from nas.errors import InvalidInput
from nas.store.database import Database, Section
from nas.store.events import first_event_since
from nas.store.jobs import jobs_by_state
from nas.store.leases import is_left
from nas.store.records import JobState, RetrainingState, TrialCounts, TrialState
from nas.store.tables import events, jobs, recalled_trials, retrainings, trials
from nas.store.trials import INTERRUPTED, trial_counts

LONGEST_WINDOW_S = 86_400.0


class EvaluationKind(StrEnum):
    """What a candidate was trained for."""

    TRIAL = "trial"
    """For the score of a trial, of all rungs together."""
    RETRAINING = "retraining"
    """In full, after the search."""


@dataclass(frozen=True)
class EndedEvaluation:
    """The evaluation of one candidate, over all its parts."""

    kind: EvaluationKind
    state: TrialState | RetrainingState
    duration_s: float


@dataclass(frozen=True)
class ServiceFigures:
    """How the service did when it was asked."""

    jobs: Mapping[JobState, int]
    oldest_wait_s: float
    """For how long the job that has waited longest is queued since it last was; 0 where none waits."""
    leases_held: int
    """Jobs that a worker is at."""
    leases_expired: int
    """Jobs that run without a worker."""
    trials: TrialCounts
    """Of all jobs."""
    evaluations: tuple[EndedEvaluation, ...]
    """Those that ended within the window; trials that recall another job's score are none, nor is what the
    end of its job broke off."""


class Figures(Section):
    """Reading how the service does."""

    def figures(self, window_s: float) -> ServiceFigures:
        """Return the figures of now, and the evaluations that ended in the last `window_s` seconds.

        Costs a walk over an index of the trials, and over the events of the window: what ended before is not read.
        Raises `InvalidInput` for a window that is not above 0 or is longer than a day.
        """
        if not 0 < window_s <= LONGEST_WINDOW_S:
            allowed = f"above 0, up to {LONGEST_WINDOW_S:g} seconds"
            raise InvalidInput.of("window_s", window_s, allowed, "ask for the last minutes")
        with self._database.read() as connection:
            now = Database.now(connection)
            held, expired = _leases(connection, now)
            return ServiceFigures(
                jobs=jobs_by_state(connection),
                oldest_wait_s=_oldest_wait_s(connection, now),
                leases_held=held,
                leases_expired=expired,
                trials=trial_counts(connection),
                evaluations=_ended_since(connection, now - timedelta(seconds=window_s)),
            )


def _leases(connection: Connection, now: datetime) -> tuple[int, int]:
    """Return how many running jobs are held, and how many are not: in one statement, so that none is in both."""
    expired = func.coalesce(func.sum(case((is_left(now), 1), else_=0)), 0)
    found = connection.execute(select(func.count(), expired).where(jobs.c.state == JobState.RUNNING)).one()
    return found[0] - int(found[1]), int(found[1])


def _oldest_wait_s(connection: Connection, now: datetime) -> float:
    before = events.alias("before")
    left_queue = (
        select(before.c.sequence)
        .where(before.c.job_id == jobs.c.id, before.c.data["state"].as_string() != JobState.QUEUED)
        .order_by(before.c.sequence.desc())
        .limit(1)
        .scalar_subquery()
    )
    queued_again = (
        select(events.c.created_at)
        .where(events.c.job_id == jobs.c.id, events.c.sequence > left_queue)
        .order_by(events.c.sequence)
        .limit(1)
        .scalar_subquery()
    )
    # A job that was paused or has ended has `idle_since`; any other one in the queue has never left it.
    since = case((jobs.c.idle_since.is_(None), jobs.c.created_at), else_=queued_again)
    oldest = connection.execute(select(func.min(since)).where(jobs.c.state == JobState.QUEUED)).scalar_one()
    return 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())


def _ended_since(connection: Connection, start: datetime) -> tuple[EndedEvaluation, ...]:
    # Each end is an event, and events are numbered in the order of their commits: trials have no index by time.
    ended = (
        select(events.c.job_id, events.c.data["number"].as_integer().label("number"))
        .where(events.c.sequence >= first_event_since(connection, start), events.c.kind == "trial")
        .distinct()  # a trial is told of again with each of its retrainings
        .subquery()
    )
    return tuple(
        EndedEvaluation(kind, states(state), duration_s)
        for kind, states, statement in (
            (EvaluationKind.TRIAL, TrialState, _ended_trials(ended, start)),
            (EvaluationKind.RETRAINING, RetrainingState, _ended_retrainings(ended, start)),
        )
        for state, duration_s in connection.execute(statement)
    )


def _ended_trials(ended: Subquery, start: datetime) -> Select[Any]:
    is_trial = and_(trials.c.job_id == ended.c.job_id, trials.c.number == ended.c.number)
    recalled = exists().where(recalled_trials.c.job_id == trials.c.job_id, recalled_trials.c.number == trials.c.number)
    return (
        select(trials.c.state, trials.c.duration_s)
        .join(ended, is_trial)
        .where(
            trials.c.finished_at >= start,
            trials.c.state != TrialState.SKIPPED,
            ~recalled,
            _came_to_its_end(trials.c.error),
        )
    )


def _ended_retrainings(ended: Subquery, start: datetime) -> Select[Any]:
    of_trial = and_(retrainings.c.job_id == ended.c.job_id, retrainings.c.trial == ended.c.number)
    return (
        select(retrainings.c.state, retrainings.c.duration_s)
        .join(ended, of_trial)
        .where(retrainings.c.finished_at >= start, _came_to_its_end(retrainings.c.error))
    )


def _came_to_its_end(error: Column[Any]) -> ColumnElement[bool]:
    """Return the condition that no end of the job broke it off, of which neither duration nor failure is its own."""
    return or_(error.is_(None), not_(error.startswith(INTERRUPTED)))
