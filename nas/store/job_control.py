"""What people ask of jobs: to pause, to go on, to end, to be tried again or finished, to come first, to be gone."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, delete

from nas.errors import IllegalMove
from nas.search.priority import check_priority
from nas.store.artifacts import remove_unused_artifacts, weights_of_job
from nas.store.database import Database, Section
from nas.store.job_rows import add_job_event, changed_job, end_job, finished_reason, job_record
from nas.store.keys import Owner
from nas.store.leases import is_held, lock_held_job, lock_job
from nas.store.quotas import check_open_jobs
from nas.store.records import JobRecord, JobState, check_job_move
from nas.store.tables import events, jobs, recalled_trials, retrainings, trials
from nas.store.values import plain


class JobControl(Section):
    """Requests by people. A job that a worker holds is only marked: the worker does what is asked, and records it."""

    def request_cancel(self, job_id: str) -> JobRecord:
        """End a job that nobody works at, and ask the worker of another one to end it.

        A job that was to be finished goes back to how its search ended. Raises `NotFound`, and `IllegalMove` when
        the job has ended.
        """
        with self._database.write() as connection:
            row = lock_job(connection, job_id)
            if JobState(row.state).is_final:
                raise IllegalMove(f"The job {job_id} is {row.state}: only one that has not ended can be cancelled.")
            now = Database.now(connection)
            if is_held(row, now):
                if row.cancel_requested:
                    return job_record(row)
                row = changed_job(connection, job_id, {"cancel_requested": True, "pause_requested": False})
                add_job_event(connection, row)
                return job_record(row)
            ended = row.search_ended
            state = JobState(ended["state"]) if ended else JobState.CANCELLED
            if ended:
                reason = finished_reason(ended, "cancelled")
            else:
                reason = "cancelled" if row.started_at else "cancelled before it started"
            return job_record(end_job(connection, row, state, reason, {"cancel_requested": True}))

    def request_pause(self, job_id: str) -> JobRecord:
        """Pause a job that nobody works at, and ask the worker of another one to pause it.

        A job that is paused, or is to be, stays so. Raises `NotFound`, and `IllegalMove` when the job has ended or is
        being cancelled.
        """
        with self._database.write() as connection:
            row = lock_job(connection, job_id)
            state = JobState(row.state)
            if state.is_final or row.cancel_requested:
                what = state if state.is_final else "being cancelled"
                raise IllegalMove(f"The job {job_id} is {what}: only one that waits or runs can be paused.")
            if state is JobState.PAUSED:
                return job_record(row)
            if is_held(row, Database.now(connection)):
                if row.pause_requested:
                    return job_record(row)
                row = changed_job(connection, job_id, {"pause_requested": True})
                add_job_event(connection, row)
                return job_record(row)
            return job_record(_paused(connection, row))

    def pause_job(self, job_id: str, token: int) -> JobRecord:
        """Pause a running job as its worker, or give it back where nobody asks for that any more.

        What still runs of it is evaluated anew when it goes on. Raises `LeaseLost`, `NotFound`.
        """
        with self._database.write() as connection:
            row = lock_held_job(connection, job_id, token)
            if row.pause_requested:
                return job_record(_paused(connection, row))
            return job_record(changed_job(connection, job_id, {"lease_expires_at": Database.now(connection)}))

    def resume_job(self, job_id: str) -> JobRecord:
        """Queue a paused job again, or withdraw the request to pause it; one that waits or runs stays as it is.

        The time for which it was paused does not count into its hours. Raises `NotFound`, and `IllegalMove` when the
        job has ended.
        """
        with self._database.write() as connection:
            row = lock_job(connection, job_id)
            state = JobState(row.state)
            if state.is_final:
                raise IllegalMove(f"The job {job_id} is {state}: only a paused one can be resumed.")
            if state is JobState.PAUSED:
                check_job_move(state, JobState.QUEUED)
                row = changed_job(connection, job_id, {"state": JobState.QUEUED})
            elif row.pause_requested:
                row = changed_job(connection, job_id, {"pause_requested": False})
            else:
                return job_record(row)
            add_job_event(connection, row)
            return job_record(row)

    def retry_job(self, job_id: str, owner: Owner | None = None) -> JobRecord:
        """Queue a job whose search failed or was cancelled: its search goes on after the trials that it has.

        `owner` is who asks. Raises `NotFound`, `QuotaExceeded`, and `IllegalMove` for a job that has not ended, or
        whose search succeeded.
        """
        with self._database.write() as connection:
            row = lock_job(connection, job_id)
            state = JobState(row.state)
            if state not in (JobState.FAILED, JobState.CANCELLED):
                raise IllegalMove(f"The job {job_id} is {state}: only one that failed or was cancelled can be retried.")
            check_job_move(state, JobState.QUEUED)
            changes = {
                "state": JobState.QUEUED,
                "search_ended": None,
                "finish": None,
                "cancel_requested": False,
                "reason": None,
                "finished_at": None,
                "idle_since": row.idle_since or row.finished_at,
            }
            row = changed_job(connection, job_id, changes)
            check_open_jobs(connection, row, owner)
            add_job_event(connection, row)
            return job_record(row)

    def request_finish(self, job_id: str, finish: dict[str, Any], owner: Owner | None = None) -> JobRecord:
        """Queue a job that has ended, so that its architectures are trained in full as `finish` says.

        A job that is at it, or is to be, with the same `finish` stays as it is. `owner` is who asks. Raises `NotFound`,
        `InvalidInput`, `QuotaExceeded`, and `IllegalMove` for a job whose search goes on, or that is being finished in
        another way.
        """
        finish = plain(finish, "finish")
        with self._database.write() as connection:
            row = lock_job(connection, job_id)
            state = JobState(row.state)
            if not state.is_final:
                if row.search_ended is not None and row.finish == finish:
                    return job_record(row)
                what = "being finished in another way" if row.search_ended is not None else f"{state}"
                raise IllegalMove(f"The job {job_id} is {what}: it can be finished when it has ended.")
            check_job_move(state, JobState.QUEUED)
            changes = {
                "state": JobState.QUEUED,
                "finish": finish,
                # Jobs of the first release ended without a word about their search
                "search_ended": row.search_ended or {"state": row.state, "reason": row.reason},
                "cancel_requested": False,
                "reason": None,
                "finished_at": None,
            }
            row = changed_job(connection, job_id, changes)
            check_open_jobs(connection, row, owner)
            add_job_event(connection, row)
            return job_record(row)

    def set_priority(self, job_id: str, priority: int) -> JobRecord:
        """Have a job claimed before those of a lower priority, and after those of a higher one.

        Raises `NotFound`, `InvalidInput`, and `IllegalMove` when the job has ended.
        """
        check_priority(priority)
        with self._database.write() as connection:
            row = lock_job(connection, job_id)
            if JobState(row.state).is_final:
                raise IllegalMove(f"The job {job_id} is {row.state}: its priority no longer matters.")
            if row.priority != priority:
                row = changed_job(connection, job_id, {"priority": priority})
                add_job_event(connection, row)
            return job_record(row)

    def delete_job(self, job_id: str) -> None:
        """Remove a job with its trials, trainings, events, and the weights that no other job has.

        Its idempotency key is free again. Raises `NotFound`, and `IllegalMove` for a job that waits or runs.
        """
        with self._database.write() as connection:
            row = lock_job(connection, job_id)
            if not (JobState(row.state).is_final or row.state == JobState.PAUSED):
                raise IllegalMove(f"The job {job_id} is {row.state}: cancel or pause it before it is deleted.")
            weights = weights_of_job(connection, job_id)
            for table in (events, retrainings, recalled_trials, trials):
                connection.execute(delete(table).where(table.c.job_id == job_id))
            connection.execute(delete(jobs).where(jobs.c.id == job_id))
            remove_unused_artifacts(connection, weights)


def _paused(connection: Connection, row: Row[Any]) -> Row[Any]:
    check_job_move(JobState(row.state), JobState.PAUSED)
    changes = {
        "state": JobState.PAUSED,
        "pause_requested": False,
        "idle_since": row.idle_since or Database.now(connection),
        "lease_expires_at": None,
    }
    row = changed_job(connection, row.id, changes)
    add_job_event(connection, row)
    return row
