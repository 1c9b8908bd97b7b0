"""Retrainings: architectures of a search that are trained in full when it is over."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from nas.errors import IllegalMove, NotFound
from nas.store.artifacts import add_artifact
from nas.store.database import Database, Section
from nas.store.events import add_event
from nas.store.leases import lock_held_job
from nas.store.records import RetrainingKey, RetrainingOutcome, RetrainingRecord, RetrainingState
from nas.store.tables import retrainings, trials
from nas.store.values import mended_text, plain, within_range


class Retrainings(Section):
    """Writing retrainings under a job's lease, and reading them. Each change is an event of the trial."""

    def start_retraining(self, job_id: str, token: int, key: RetrainingKey) -> RetrainingRecord:
        """Record that a retraining begins, or begins again after a failure; one that is under way stays as it is.

        Raises `IllegalMove` for one that is complete, `LeaseLost`, and `NotFound` for a trial that the job has not.
        """
        with self._database.write() as connection:
            lock_held_job(connection, job_id, token)
            row = connection.execute(select(retrainings).where(_is(job_id, key))).first()
            if row is None:
                return _record(_insert(connection, job_id, key))
            if row.state == RetrainingState.COMPLETE:
                raise IllegalMove(f"The retraining of trial {key.trial} of {job_id} with seed {key.seed} is complete.")
            if row.state == RetrainingState.RUNNING:
                return _record(row)
            anew: dict[str, Any] = {
                "state": RetrainingState.RUNNING,
                "scores": [],
                "error": None,
                "training": None,
                "started_at": Database.now(connection),
                "finished_at": None,
                "duration_s": 0.0,
            }
            return _record(_changed(connection, job_id, key, anew))

    def score_retraining(
        self,
        job_id: str,
        token: int,
        key: RetrainingKey,
        score: dict[str, Any],
        training: dict[str, Any],
        duration_s: float,
    ) -> RetrainingRecord:
        """Record a score on the way, `steps` and `metrics`, of a retraining that goes on.

        Raises `IllegalMove` for one that does not run, `LeaseLost`, `NotFound`, `InvalidInput`.
        """
        score = plain(score, "score")
        with self._database.write() as connection:
            row = _running(connection, job_id, token, key)
            changes = {
                "scores": [*row.scores, score],
                "training": plain(training, "training"),
                "duration_s": row.duration_s + float(duration_s),
            }
            return _record(_changed(connection, job_id, key, changes))

    def end_retraining(
        self, job_id: str, token: int, key: RetrainingKey, outcome: RetrainingOutcome
    ) -> RetrainingRecord:
        """Record how a retraining ended, its weights in the same transaction.

        Raises `IllegalMove` for one that does not run, `LeaseLost`, `NotFound`, `InvalidInput`.
        """
        changes: dict[str, Any] = {
            "state": RetrainingState.FAILED if outcome.error else RetrainingState.COMPLETE,
            "test_metrics": plain(outcome.test_metrics, "test_metrics"),
            "error": mended_text(outcome.error),
        }
        score = plain({"steps": key.steps, "metrics": outcome.metrics}, "metrics")
        with self._database.write() as connection:
            row = _running(connection, job_id, token, key)
            if not outcome.error:
                changes |= {
                    "scores": [*row.scores, score],
                    "training": plain(outcome.training, "training"),
                    "weights_sha256": None if outcome.weights is None else add_artifact(connection, outcome.weights),
                }
            changes |= {
                "finished_at": Database.now(connection),
                "duration_s": row.duration_s + float(outcome.duration_s),
            }
            return _record(_changed(connection, job_id, key, changes))

    def retrainings(self, job_id: str) -> list[RetrainingRecord]:
        """Return the retrainings of a job by trial, steps and seed."""
        c = retrainings.c
        statement = select(retrainings).where(c.job_id == job_id).order_by(c.trial, c.steps, c.seed)
        with self._database.read() as connection:
            return [_record(row) for row in connection.execute(statement)]


def fail_running_retrainings(connection: Connection, job_id: str, error: str) -> None:
    """Close what still runs when its job ends, in the caller's transaction; a later finish begins it again."""
    running = select(retrainings).where(retrainings.c.job_id == job_id, retrainings.c.state == RetrainingState.RUNNING)
    now = Database.now(connection)
    for row in connection.execute(running).all():
        changes = {"state": RetrainingState.FAILED, "error": error, "finished_at": now}
        _changed(connection, job_id, _key(row), changes)


def _insert(connection: Connection, job_id: str, key: RetrainingKey) -> Row[Any]:
    _trial_state(connection, job_id, key.trial)
    values = {
        "job_id": job_id,
        "trial": key.trial,
        "steps": key.steps,
        "seed": key.seed,
        "state": RetrainingState.RUNNING,
        "scores": [],
        "started_at": Database.now(connection),
        "duration_s": 0.0,
    }
    row = connection.execute(insert(retrainings).values(values).returning(retrainings)).one()
    _add_event(connection, job_id, key)
    return row


def _running(connection: Connection, job_id: str, token: int, key: RetrainingKey) -> Row[Any]:
    """Return the row of a retraining that runs, its job locked."""
    lock_held_job(connection, job_id, token)
    row = connection.execute(select(retrainings).where(_is(job_id, key))).first()
    if row is None:
        raise NotFound(f"The job {job_id!r} has no retraining of trial {key.trial} with seed {key.seed}.")
    if row.state != RetrainingState.RUNNING:
        raise IllegalMove(f"The retraining of trial {key.trial} of {job_id} with seed {key.seed} is {row.state}.")
    return row


def _changed(connection: Connection, job_id: str, key: RetrainingKey, changes: dict[str, Any]) -> Row[Any]:
    statement = update(retrainings).where(_is(job_id, key)).values(changes).returning(retrainings)
    row = connection.execute(statement).one()
    _add_event(connection, job_id, key)
    return row


def _add_event(connection: Connection, job_id: str, key: RetrainingKey) -> None:
    state = _trial_state(connection, job_id, key.trial)
    add_event(connection, job_id, "trial", {"number": key.trial, "state": state})


def _trial_state(connection: Connection, job_id: str, number: int) -> str:
    statement = select(trials.c.state).where(trials.c.job_id == job_id, trials.c.number == within_range(number))
    state: str | None = connection.execute(statement).scalar_one_or_none()
    if state is None:
        raise NotFound(f"The job {job_id!r} has no trial {number}.")
    return state


def _is(job_id: str, key: RetrainingKey) -> Any:
    c = retrainings.c
    return (c.job_id == job_id) & (c.trial == key.trial) & (c.steps == key.steps) & (c.seed == key.seed)


def _key(row: Row[Any]) -> RetrainingKey:
    return RetrainingKey(row.trial, row.steps, row.seed)


def _record(row: Row[Any]) -> RetrainingRecord:
    return RetrainingRecord(
        _key(row),
        RetrainingState(row.state),
        tuple(row.scores),
        row.test_metrics,
        row.error,
        row.weights_sha256,
        row.started_at,
        row.finished_at,
        row.duration_s,
        row.training,
    )
