"""Trials: the record of every candidate of a job. A finished trial never changes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Row, Select, func, insert, select, update

from nas.errors import Conflict, IllegalMove, NotFound
from nas.store.artifacts import add_artifact
from nas.store.database import Database, Section, insert_unless_there
from nas.store.events import add_event
from nas.store.leases import lock_held_job
from nas.store.records import (
    NewTrial,
    SkipReason,
    TrialCounts,
    TrialOutcome,
    TrialRecord,
    TrialState,
    TrialSummary,
    check_trial_move,
)
from nas.store.tables import recalled_trials, trials
from nas.store.values import check_limit, mended_text, plain, plain_text, within_range

SUMMARY_COLUMNS: tuple[Column[Any], ...] = tuple(
    column for column in trials.c if column.name not in ("job_id", "architecture", "sampler", "training")
)

INTERRUPTED = "the job ended"
"""How the error begins of a trial or retraining that its job's end broke off: nothing went wrong with it."""


class Trials(Section):
    """Writing trials under a lease, and reading them."""

    def add_trial(self, job_id: str, token: int, new: NewTrial) -> TrialRecord:
        """Record a candidate before its training, or one that is skipped.

        Raises `Conflict` for a number that exists, `LeaseLost`, `NotFound`, and `InvalidInput` for values that
        JSON does not have.
        """
        values = {
            "job_id": job_id,
            "number": new.number,
            "state": new.state,
            "skip_reason": new.skip_reason,
            "same_as": new.same_as,
            "architecture": plain(new.architecture, "architecture"),
            "architecture_id": plain_text(new.architecture_id, "architecture_id"),
            "metrics": plain(new.metrics, "metrics"),
            "violations": plain(new.violations, "violations"),
            "sampler": plain(new.sampler, "sampler"),
        }
        with self._database.write() as connection:
            lock_held_job(connection, job_id, token)
            now = Database.now(connection)
            values["started_at"] = now
            if new.state.is_final:
                values |= {"finished_at": now, "duration_s": 0.0}
            if not insert_unless_there(connection, trials, values):
                raise Conflict(f"The job {job_id} already has a trial {new.number}.")
            row = _row(connection, job_id, new.number)
            _add_trial_event(connection, row)
            return _record(row)

    def finish_trial(
        self, job_id: str, token: int, number: int, outcome: TrialOutcome, weights: bytes | None
    ) -> TrialRecord:
        """Record how a candidate's training ended, its weights in the same transaction.

        Raises `IllegalMove` for a trial that does not run, `LeaseLost`, `NotFound`, `InvalidInput`.
        """
        values = {
            "state": outcome.state,
            "metrics": plain(outcome.metrics, "metrics"),
            "training": plain(outcome.training, "training"),
            "error": mended_text(outcome.error),
            "duration_s": float(outcome.duration_s),
        }
        with self._database.write() as connection:
            lock_held_job(connection, job_id, token)
            check_trial_move(TrialState(_row(connection, job_id, number).state), outcome.state)
            values["weights_sha256"] = None if weights is None else add_artifact(connection, weights)
            values["finished_at"] = Database.now(connection)
            row = connection.execute(update(trials).where(_is(job_id, number)).values(values).returning(trials)).one()
            if outcome.recalled:
                connection.execute(insert(recalled_trials).values(job_id=job_id, number=number))
            _add_trial_event(connection, row)
            return _record(row)

    def score_trial(
        self,
        job_id: str,
        token: int,
        number: int,
        metrics: dict[str, float],
        training: dict[str, Any],
        duration_s: float,
    ) -> TrialRecord:
        """Record the score of a running candidate that may be trained on.

        Raises `IllegalMove` for a trial that does not run, `LeaseLost`, `NotFound`, `InvalidInput`.
        """
        values = {
            "metrics": plain(metrics, "metrics"),
            "training": plain(training, "training"),
            "duration_s": float(duration_s),
        }
        with self._database.write() as connection:
            lock_held_job(connection, job_id, token)
            state = TrialState(_row(connection, job_id, number).state)
            if state.is_final:
                raise IllegalMove(f"Trial {number} of job {job_id} is {state}: only a running one can be scored.")
            row = connection.execute(update(trials).where(_is(job_id, number)).values(values).returning(trials)).one()
            _add_trial_event(connection, row)
            return _record(row)

    def trial(self, job_id: str, number: int) -> TrialRecord:
        """Return one trial; raise `NotFound`."""
        with self._database.read() as connection:
            return _record(_row(connection, job_id, number))

    def trials(
        self, job_id: str, after: int = -1, limit: int | None = None, state: TrialState | None = None
    ) -> list[TrialRecord]:
        """Return the trials with a number above `after`, by number, in full; at most `limit` if given."""
        statement = _page(select(trials), job_id, after, limit, state)
        with self._database.read() as connection:
            return [_record(row) for row in connection.execute(statement)]

    def trials_numbered(self, job_id: str, numbers: Collection[int]) -> list[TrialRecord]:
        """Return the trials of these numbers, by number, in full; absent ones are left out."""
        wanted = [within_range(number) for number in numbers]
        statement = select(trials).where(trials.c.job_id == job_id, trials.c.number.in_(wanted))
        with self._database.read() as connection:
            return [_record(row) for row in connection.execute(statement.order_by(trials.c.number))]

    def trial_summaries(
        self, job_id: str, after: int = -1, limit: int | None = None, state: TrialState | None = None
    ) -> list[TrialSummary]:
        """Return what `trials` does without the large fields: 10,000 of them in a fraction of a second."""
        statement = _page(select(*SUMMARY_COLUMNS), job_id, after, limit, state)
        with self._database.read() as connection:
            return [TrialSummary(**_summary_fields(row)) for row in connection.execute(statement)]

    def metric_values(
        self, job_id: str, names: Sequence[str], numbers: Collection[int] | None = None
    ) -> list[tuple[float | None, ...]]:
        """Return the number and the metrics of these names of each complete trial, by number; None for what it lacks.

        Of all of a job, a hundred thousand in less than a second, or of those with some `numbers`.
        """
        columns = [trials.c.metrics[name].as_float() for name in names]
        complete = (trials.c.job_id == job_id) & (trials.c.state == TrialState.COMPLETE)
        statement = select(trials.c.number, *columns).where(complete).order_by(trials.c.number)
        if numbers is not None:
            statement = statement.where(trials.c.number.in_([within_range(number) for number in numbers]))
        with self._database.read() as connection:
            return [tuple(row) for row in connection.execute(statement)]

    def trial_columns(self, job_id: str, names: Sequence[str], after: int = -1) -> list[tuple[Any, ...]]:
        """Return number, state, skip reason and the metrics of these names of each trial above `after`, by number.

        States and reasons are the texts that they are stored as; None stands for what a trial lacks.
        """
        columns = [trials.c.metrics[name].as_float() for name in names]
        statement = _page(
            select(trials.c.number, trials.c.state, trials.c.skip_reason, *columns), job_id, after, None, None
        )
        with self._database.read() as connection:
            return [tuple(row) for row in connection.execute(statement)]

    def trial_architectures(self, job_id: str, after: int = -1) -> list[tuple[int, dict[str, Any]]]:
        """Return the number and the architecture of each trial with a number above `after`, by number."""
        statement = _page(select(trials.c.number, trials.c.architecture), job_id, after, None, None)
        with self._database.read() as connection:
            return [(row.number, row.architecture) for row in connection.execute(statement)]

    def scored_trials_of(self, architecture_id: str) -> list[TrialRecord]:
        """Return the trials of all jobs that scored an architecture and have ended, in full."""
        scored = trials.c.state.in_([TrialState.COMPLETE, TrialState.STOPPED])
        statement = select(trials).where(trials.c.architecture_id == architecture_id, scored)
        with self._database.read() as connection:
            return [_record(row) for row in connection.execute(statement)]

    def recalled_count(self, job_id: str) -> int:
        """Return how many trials of a job have the score of another job's trial."""
        statement = select(func.count()).select_from(recalled_trials).where(recalled_trials.c.job_id == job_id)
        with self._database.read() as connection:
            return int(connection.execute(statement).scalar_one())

    def steps_taken(self, job_id: str) -> int:
        """Return the steps that all trials that were scored have trained, as their `training` says."""
        steps = trials.c.training["steps_taken"].as_integer()
        scored = trials.c.state.in_([TrialState.COMPLETE, TrialState.STOPPED])
        with self._database.read() as connection:
            statement = select(func.coalesce(func.sum(steps), 0)).where(trials.c.job_id == job_id, scored)
            return int(connection.execute(statement).scalar_one())

    def counts(self, job_id: str) -> TrialCounts:
        """Return how many trials of the job are in which state."""
        with self._database.read() as connection:
            return trial_counts(connection, job_id)


def trial_counts(connection: Connection, job_id: str | None = None) -> TrialCounts:
    """Return how many trials are in which state, of one job or of all; an index alone is read."""
    statement = select(trials.c.state, trials.c.skip_reason, func.count()).group_by(
        trials.c.state, trials.c.skip_reason
    )
    if job_id is not None:
        statement = statement.where(trials.c.job_id == job_id)
    found = {(state, reason): count for state, reason, count in connection.execute(statement)}
    return TrialCounts(
        running=found.get((TrialState.RUNNING, None), 0),
        complete=found.get((TrialState.COMPLETE, None), 0),
        stopped=found.get((TrialState.STOPPED, None), 0),
        failed=found.get((TrialState.FAILED, None), 0),
        duplicate=found.get((TrialState.SKIPPED, SkipReason.DUPLICATE), 0),
        over_limit=found.get((TrialState.SKIPPED, SkipReason.OVER_LIMIT), 0),
    )


def fail_running_trials(connection: Connection, job_id: str, error: str) -> None:
    """Close what still runs when its job ends, in the caller's transaction: nobody could finish it later."""
    now = Database.now(connection)
    running = connection.execute(
        select(trials.c.number, trials.c.started_at)
        .where(trials.c.job_id == job_id, trials.c.state == TrialState.RUNNING)
        .order_by(trials.c.number)
    ).all()
    for number, started_at in running:
        duration_s = max(0.0, (now - started_at).total_seconds())
        row = connection.execute(
            update(trials)
            .where(_is(job_id, number))
            .values(state=TrialState.FAILED, error=error, finished_at=now, duration_s=duration_s)
            .returning(trials)
        ).one()
        _add_trial_event(connection, row)


def _is(job_id: str, number: int) -> Any:
    return (trials.c.job_id == job_id) & (trials.c.number == within_range(number))


def _row(connection: Connection, job_id: str, number: int) -> Row[Any]:
    row = connection.execute(select(trials).where(_is(job_id, number))).first()
    if row is None:
        raise NotFound(f"The job {job_id!r} has no trial {number}.")
    return row


def _page(statement: Select[Any], job_id: str, after: int, limit: int | None, state: TrialState | None) -> Select[Any]:
    statement = statement.where(trials.c.job_id == job_id, trials.c.number > within_range(after))
    if state is not None:
        statement = statement.where(trials.c.state == state)
    if limit is not None:
        statement = statement.limit(check_limit(limit))
    return statement.order_by(trials.c.number)


def _add_trial_event(connection: Connection, row: Row[Any]) -> None:
    add_event(connection, row.job_id, "trial", {"number": row.number, "state": row.state})


def _summary_fields(row: Row[Any]) -> dict[str, Any]:
    return dict(row._mapping) | {
        "state": TrialState(row.state),
        "skip_reason": SkipReason(row.skip_reason) if row.skip_reason else None,
    }


def _record(row: Row[Any]) -> TrialRecord:
    return TrialRecord(**_summary_fields(row))
