"""What the store hands out and takes in: frozen records, states, and the tables of legal moves.

Every datetime is timezone-aware and in UTC.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from nas.errors import IllegalMove, InvalidInput


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows this state, unless a person asks for the job to be finished or tried again."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


JOB_MOVES: Mapping[JobState, frozenset[JobState]] = {
    # Queued, paused → succeeded, failed: a search that has ended so was to be finished, and no longer is.
    JobState.QUEUED: frozenset(set(JobState) - {JobState.QUEUED}),
    JobState.PAUSED: frozenset(set(JobState) - {JobState.PAUSED, JobState.RUNNING}),
    # running → running: another worker took a job whose lease had run out.
    JobState.RUNNING: frozenset(set(JobState) - {JobState.QUEUED}),
    # Ended → queued: to be tried again, or its architectures to be trained in full, see `JobControl`.
    JobState.SUCCEEDED: frozenset({JobState.QUEUED}),
    JobState.FAILED: frozenset({JobState.QUEUED}),
    JobState.CANCELLED: frozenset({JobState.QUEUED}),
}


class TrialState(StrEnum):
    """Where a trial stands."""

    RUNNING = "running"
    COMPLETE = "complete"
    STOPPED = "stopped"
    """Scored, but not on the last rung: others of its cohort went on."""
    SKIPPED = "skipped"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows this state."""
        return not TRIAL_MOVES[self]


TRIAL_MOVES: Mapping[TrialState, frozenset[TrialState]] = {
    TrialState.RUNNING: frozenset({TrialState.COMPLETE, TrialState.STOPPED, TrialState.FAILED}),
    TrialState.COMPLETE: frozenset(),
    TrialState.STOPPED: frozenset(),
    TrialState.SKIPPED: frozenset(),
    TrialState.FAILED: frozenset(),
}

TRIAL_BEGINNINGS = frozenset({TrialState.RUNNING, TrialState.SKIPPED})
"""The states in which a trial is added."""


class SkipReason(StrEnum):
    """Why a candidate was recorded but not trained."""

    DUPLICATE = "duplicate"
    OVER_LIMIT = "over_limit"


def check_job_move(old: JobState, new: JobState) -> None:
    """Raise `IllegalMove` unless a job may go from `old` to `new`."""
    if new not in JOB_MOVES[old]:
        raise IllegalMove(_refusal("job", old, new, JOB_MOVES[old]))


def check_trial_move(old: TrialState, new: TrialState) -> None:
    """Raise `IllegalMove` unless a trial may go from `old` to `new`."""
    if new not in TRIAL_MOVES[old]:
        raise IllegalMove(_refusal("trial", old, new, TRIAL_MOVES[old]))


def _refusal(noun: str, old: StrEnum, new: StrEnum, allowed: frozenset[Any]) -> str:
    onward = f"it can become {' or '.join(sorted(allowed))}" if allowed else "it has ended"
    return f"A {noun} that is {old} can't become {new}: {onward}."


@dataclass(frozen=True)
class JobRecord:
    """One job as it stood when it was read."""

    id: str
    """`j-` and 20 hexadecimal digits."""
    name: str
    document: dict[str, Any]
    state: JobState
    reason: str | None
    """Why the job failed or was cancelled, for a person."""
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    priority: int
    """The higher, the sooner it is claimed."""
    cancel_requested: bool
    pause_requested: bool
    idle_since: datetime | None
    """Since when the clock of its hours stands still: it is paused, has ended, or waits for a worker after that."""
    idle_s: float
    """For how many seconds since `started_at` it did until a worker took its search up again."""
    lease_owner: str | None
    """The worker that claimed the job last."""
    lease_token: int
    """Grows by one with every claim; only the newest token may write."""
    lease_expires_at: datetime | None
    reference: dict[str, Any] | None
    """What the hypervolume of the job is measured against, fixed by the worker."""
    search_ended: dict[str, Any] | None
    """How the search ended, `state` and `reason`; None while it goes on."""
    finish: dict[str, Any] | None
    """How the job's architectures are to be trained in full; None while nobody asked."""
    submitted_by: str | None
    """The id of the key that it was submitted with; None where nobody had to log in."""


@dataclass(frozen=True)
class NewTrial:
    """A candidate about to be trained (running), or one recorded without training (skipped).

    Raises `IllegalMove` for another state, `InvalidInput` when the reason doesn't fit the state.
    """

    number: int
    state: TrialState
    architecture: dict[str, Any]
    architecture_id: str
    metrics: dict[str, float]
    """The costs, known before any training."""
    violations: dict[str, float]
    """By constraint, how far over the limit."""
    skip_reason: SkipReason | None = None
    same_as: int | None = None
    """Of a duplicate: the number of the trial that came first."""
    sampler: dict[str, Any] = field(default_factory=dict)
    """What the sampler needs back to be rebuilt."""

    def __post_init__(self) -> None:
        if self.state not in TRIAL_BEGINNINGS:
            raise IllegalMove(f"A trial begins {' or '.join(sorted(TRIAL_BEGINNINGS))}, not {self.state}.")
        if not 0 <= self.number < 2**31:
            raise InvalidInput.of("number", self.number, "0 to 2147483647", "number a job's trials from 0")
        if (self.skip_reason is not None) != (self.state is TrialState.SKIPPED):
            raise InvalidInput.of(
                "skip_reason",
                self.skip_reason,
                f"{' or '.join(SkipReason)} for a skipped trial, nothing for a running one",
                "say why the candidate is skipped",
            )
        if (self.same_as is not None) != (self.skip_reason is SkipReason.DUPLICATE):
            raise InvalidInput.of(
                "same_as", self.same_as, "the first trial's number for a duplicate, else nothing", "correct it"
            )


@dataclass(frozen=True)
class TrialOutcome:
    """How the training of a candidate ended.

    Raises `IllegalMove` for a state that doesn't follow running, `InvalidInput` when the error doesn't fit the
    state or the duration is not a finite number of seconds.
    """

    state: TrialState
    metrics: dict[str, float]
    """Everything known now, the costs included."""
    training: dict[str, Any] | None
    """History and settings of the training."""
    error: str | None
    """Why it failed, for a person; nothing otherwise."""
    duration_s: float
    recalled: bool = False
    """Whether its score is that of another job's trial, so that nothing was trained."""

    def __post_init__(self) -> None:
        check_trial_move(TrialState.RUNNING, self.state)
        if bool(self.error) != (self.state is TrialState.FAILED):
            raise InvalidInput.of("error", self.error, "a reason for a failed trial, nothing for another", "correct it")
        if not (math.isfinite(self.duration_s) and self.duration_s >= 0):
            raise InvalidInput.of("duration_s", self.duration_s, "a finite number of seconds, 0 or more", "correct it")


@dataclass(frozen=True)
class TrialSummary:
    """What tables and fronts need of a trial: everything but its architecture, sampler state and history."""

    number: int
    state: TrialState
    architecture_id: str
    metrics: dict[str, float]
    violations: dict[str, float]
    skip_reason: SkipReason | None
    same_as: int | None
    error: str | None
    weights_sha256: str | None
    started_at: datetime
    finished_at: datetime | None
    duration_s: float | None


@dataclass(frozen=True)
class TrialRecord(TrialSummary):
    """One trial in full as it stood when it was read."""

    job_id: str
    architecture: dict[str, Any]
    sampler: dict[str, Any]
    training: dict[str, Any] | None


@dataclass(frozen=True)
class TrialCounts:
    """How many trials of a job are in which state; skipped ones by their reason."""

    running: int
    complete: int
    stopped: int
    failed: int
    duplicate: int
    over_limit: int

    @property
    def evaluated(self) -> int:
        """How many candidates have been evaluated, whatever came of it."""
        return self.complete + self.stopped + self.failed


class RetrainingState(StrEnum):
    """Where a retraining stands."""

    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"


@dataclass(frozen=True)
class RetrainingKey:
    """Which retraining of a job: an architecture, how long it is trained, under which seed."""

    trial: int
    """The number of the trial that the architecture is of."""
    steps: int
    seed: int


@dataclass(frozen=True)
class RetrainingRecord:
    """The training of one architecture in full, after the search, as it stood when it was read."""

    key: RetrainingKey
    state: RetrainingState
    scores: tuple[dict[str, Any], ...]
    """`steps` and the `metrics` on validation after them, in the order of the steps; the last are those of the key."""
    test_metrics: dict[str, float] | None
    """On the test split, once, at the end."""
    error: str | None
    weights_sha256: str | None
    started_at: datetime
    finished_at: datetime | None
    duration_s: float
    training: dict[str, Any] | None
    """As that of a trial."""


@dataclass(frozen=True)
class RetrainingOutcome:
    """How a retraining ended: with its last score and its weights, or with an error.

    Raises `InvalidInput` when neither or both are given.
    """

    duration_s: float
    """Of the last part: since the score before."""
    training: dict[str, Any] | None = None
    metrics: dict[str, float] | None = None
    test_metrics: dict[str, float] | None = None
    weights: bytes | None = None
    error: str | None = None

    def __post_init__(self) -> None:
        if (self.metrics is None) != bool(self.error):
            raise InvalidInput.of("error", self.error, "metrics or a reason for having none", "give one of them")


@dataclass(frozen=True)
class LatencyTableRecord:
    """One version of a device's latency table."""

    id: int
    device: str
    version: int
    """1, 2, … for each device."""
    workload_key: str
    space: str
    created_at: datetime
    """When the table was stored."""
    fingerprint: str
    """Of the device as it was when measured; figures of another fingerprint are not comparable."""
    summary: dict[str, Any]
    """The light figures that a list shows, as given when the table was added."""
    document: dict[str, Any] | None
    """The whole table; None in lists."""


@dataclass(frozen=True)
class EventRecord:
    """Something that happened to a job. Of two events the later one has the larger sequence number."""

    sequence: int
    job_id: str
    kind: str
    """`job` with data {"state", "reason"}, or `trial` with data {"number", "state"}."""
    data: dict[str, Any]
    created_at: datetime
