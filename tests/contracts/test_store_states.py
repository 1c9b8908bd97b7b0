"""Jobs and trials against a model of them: whatever is called in whatever order, only legal moves happen."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import delete
from store_contract import DOCUMENT, complete, failed, new_trial, skipped

from nas.errors import Conflict, IllegalMove, InvalidInput, LeaseLost, NotFound
from nas.store.database import Database
from nas.store.records import (
    JOB_MOVES,
    TRIAL_MOVES,
    JobState,
    SkipReason,
    TrialOutcome,
    TrialState,
    check_job_move,
    check_trial_move,
)
from nas.store.store import Store
from nas.store.tables import metadata


@pytest.mark.parametrize("old", JobState)
@pytest.mark.parametrize("new", JobState)
def test_a_job_makes_the_moves_of_its_table_and_no_other(old: JobState, new: JobState) -> None:
    allowed = {
        ("queued", "running"),
        ("queued", "cancelled"),
        ("queued", "paused"),
        ("running", "paused"),
        ("paused", "queued"),
        ("paused", "cancelled"),
        *(("paused", ended) for ended in ("succeeded", "failed")),  # was to be finished, and is no longer
        ("running", "running"),
        ("running", "succeeded"),
        ("running", "failed"),
        ("running", "cancelled"),
        *((ended, "queued") for ended in ("succeeded", "failed", "cancelled")),  # to be finished or retried
        *(("queued", ended) for ended in ("succeeded", "failed")),  # and no longer
    }
    if (old, new) in allowed:
        check_job_move(old, new)
    else:
        with pytest.raises(IllegalMove, match=f"{old} can't become {new}"):
            check_job_move(old, new)


@pytest.mark.parametrize("old", TrialState)
@pytest.mark.parametrize("new", TrialState)
def test_a_trial_makes_the_moves_of_its_table_and_no_other(old: TrialState, new: TrialState) -> None:
    if (old, new) in {("running", "complete"), ("running", "stopped"), ("running", "failed")}:
        check_trial_move(old, new)
    else:
        with pytest.raises(IllegalMove, match=f"{old} can't become {new}"):
            check_trial_move(old, new)


def test_the_tables_of_moves_know_every_state() -> None:
    assert set(JOB_MOVES) == set(JobState)
    assert set(TRIAL_MOVES) == set(TrialState)


@pytest.mark.parametrize(
    "changes",
    [
        {"number": -1},
        {"number": 2**31},
        {"skip_reason": SkipReason.OVER_LIMIT},
        {"same_as": 0},
        {"state": TrialState.SKIPPED},
        {"state": TrialState.SKIPPED, "skip_reason": SkipReason.DUPLICATE},
        {"state": TrialState.SKIPPED, "skip_reason": SkipReason.OVER_LIMIT, "same_as": 0},
    ],
)
def test_a_trial_whose_parts_contradict_each_other_cannot_be_built(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        new_trial(**{"number": 0} | changes)


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.STOPPED, TrialState.FAILED])
def test_a_trial_does_not_begin_at_its_end(state: TrialState) -> None:
    with pytest.raises(IllegalMove, match="begins running or skipped"):
        new_trial(0, state=state)


@pytest.mark.parametrize("state", [TrialState.RUNNING, TrialState.SKIPPED])
def test_an_outcome_is_an_end(state: TrialState) -> None:
    with pytest.raises(IllegalMove):
        TrialOutcome(state, {}, None, None, 1.0)


@pytest.mark.parametrize(
    ("state", "error", "duration_s"),
    [
        (TrialState.COMPLETE, "but", 1.0),
        (TrialState.STOPPED, "but", 1.0),
        (TrialState.FAILED, None, 1.0),
        (TrialState.FAILED, "", 1.0),
        (TrialState.COMPLETE, None, -1.0),
        (TrialState.COMPLETE, None, float("nan")),
    ],
)
def test_an_outcome_whose_parts_contradict_each_other_cannot_be_built(
    state: TrialState, error: str | None, duration_s: float
) -> None:
    with pytest.raises(InvalidInput):
        TrialOutcome(state, {}, None, error, duration_s)


JOBS = st.integers(0, 1)
TOKENS = st.integers(0, 3)
NUMBERS = st.integers(0, 2)


def new_job() -> dict[str, Any]:
    """What is expected of a job that was just submitted."""
    return {
        "state": JobState.QUEUED,
        "token": 0,
        "held": False,
        "cancel": False,
        "pause": False,
        "priority": 0,
        "trials": {},
        "search": None,
    }


class JobsAndTrials(RuleBasedStateMachine):
    """Two jobs, any token, any order; `self.expected` is what must have happened."""

    store: Store
    database: Database

    @initialize()
    def begin(self) -> None:
        with self.database.write() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(delete(table))
        self.ids = [self.store.add_job(f"job-{n}", DOCUMENT)[0].id for n in range(2)]
        self.expected = [new_job() for _ in self.ids]
        self.events = [1, 1]

    def may_write(self, job: dict[str, Any], token: int) -> bool:
        return bool(job["state"] is JobState.RUNNING and job["token"] == token)

    def is_held(self, job: dict[str, Any]) -> bool:
        return bool(job["state"] is JobState.RUNNING and job["held"])

    def end(self, n: int, state: JobState) -> None:
        job = self.expected[n]
        job |= {"state": state, "search": job["search"] or state, "pause": False}
        for number, trial in job["trials"].items():
            if trial is TrialState.RUNNING:
                job["trials"][number] = TrialState.FAILED
                self.events[n] += 1
        self.events[n] += 1

    def expect(self, error: type[Exception] | None, action: Any) -> Any:
        if error is None:
            return action()
        with pytest.raises(error) as caught:
            action()
        assert caught.type is error
        return None

    @rule(lease_s=st.sampled_from([0, 600]))
    def claim(self, lease_s: float) -> None:
        claimed = self.store.claim_job("worker", lease_s)
        free = [
            n
            for n, job in enumerate(self.expected)
            if job["state"] is JobState.QUEUED or (job["state"] is JobState.RUNNING and not job["held"])
        ]
        free.sort(key=lambda n: -self.expected[n]["priority"])  # stable: of equals the oldest
        assert (claimed and claimed.id) == (self.ids[free[0]] if free else None)
        if free:
            job = self.expected[free[0]]
            job |= {"state": JobState.RUNNING, "token": job["token"] + 1, "held": lease_s > 0}
            self.events[free[0]] += 1

    @rule(n=JOBS, token=TOKENS, lease_s=st.sampled_from([0, 600]))
    def heartbeat(self, n: int, token: int, lease_s: float) -> None:
        job = self.expected[n]
        allowed = self.may_write(job, token)
        self.expect(None if allowed else LeaseLost, lambda: self.store.heartbeat(self.ids[n], token, lease_s))
        if allowed:
            job["held"] = lease_s > 0

    @rule(n=JOBS)
    def cancel(self, n: int) -> None:
        job = self.expected[n]
        self.expect(IllegalMove if job["state"].is_final else None, lambda: self.store.request_cancel(self.ids[n]))
        if job["state"].is_final:
            return
        if self.is_held(job):
            self.events[n] += not job["cancel"]
        else:
            self.end(n, job["search"] or JobState.CANCELLED)
        job |= {"cancel": True, "pause": False}

    @rule(n=JOBS)
    def pause(self, n: int) -> None:
        job = self.expected[n]
        allowed = not (job["state"].is_final or job["cancel"])
        self.expect(None if allowed else IllegalMove, lambda: self.store.request_pause(self.ids[n]))
        if not allowed or job["state"] is JobState.PAUSED:
            return
        if self.is_held(job):
            self.events[n] += not job["pause"]
            job["pause"] = True
        else:
            job |= {"state": JobState.PAUSED, "pause": False}
            self.events[n] += 1

    @rule(n=JOBS, token=TOKENS)
    def pause_job(self, n: int, token: int) -> None:
        job = self.expected[n]
        allowed = self.may_write(job, token)
        self.expect(None if allowed else LeaseLost, lambda: self.store.pause_job(self.ids[n], token))
        if allowed and job["pause"]:
            job |= {"state": JobState.PAUSED, "pause": False}
            self.events[n] += 1
        elif allowed:
            job["held"] = False

    @rule(n=JOBS)
    def resume(self, n: int) -> None:
        job = self.expected[n]
        self.expect(IllegalMove if job["state"].is_final else None, lambda: self.store.resume_job(self.ids[n]))
        if job["state"] is JobState.PAUSED:
            job["state"] = JobState.QUEUED
            self.events[n] += 1
        elif not job["state"].is_final and job["pause"]:
            job["pause"] = False
            self.events[n] += 1

    @rule(n=JOBS)
    def retry(self, n: int) -> None:
        job = self.expected[n]
        allowed = job["state"] in (JobState.FAILED, JobState.CANCELLED)
        self.expect(None if allowed else IllegalMove, lambda: self.store.retry_job(self.ids[n]))
        if allowed:
            job |= {"state": JobState.QUEUED, "search": None, "cancel": False}
            self.events[n] += 1

    @rule(n=JOBS, priority=st.sampled_from([-1, 0, 1]))
    def set_priority(self, n: int, priority: int) -> None:
        job = self.expected[n]
        ended = job["state"].is_final
        self.expect(IllegalMove if ended else None, lambda: self.store.set_priority(self.ids[n], priority))
        if not ended:
            self.events[n] += job["priority"] != priority
            job["priority"] = priority

    @rule(n=JOBS)
    def delete(self, n: int) -> None:
        job = self.expected[n]
        allowed = job["state"].is_final or job["state"] is JobState.PAUSED
        self.expect(None if allowed else IllegalMove, lambda: self.store.delete_job(self.ids[n]))
        if allowed:  # in its place comes a new one, which is the youngest then
            del self.ids[n], self.expected[n], self.events[n]
            self.ids.append(self.store.add_job("in its place", DOCUMENT)[0].id)
            self.expected.append(new_job())
            self.events.append(1)

    @rule(n=JOBS)
    def finish(self, n: int) -> None:
        job = self.expected[n]
        ended, asked = job["state"].is_final, {"seeds": 1}
        allowed = ended or job["search"] is not None
        self.expect(None if allowed else IllegalMove, lambda: self.store.request_finish(self.ids[n], asked))
        if ended:
            job |= {"search": job["search"] or job["state"], "state": JobState.QUEUED, "cancel": False}
            self.events[n] += 1

    @rule(n=JOBS, token=TOKENS, state=st.sampled_from(JobState))
    def finish_job(self, n: int, token: int, state: JobState) -> None:
        job = self.expected[n]
        error = IllegalMove if not state.is_final else None if self.may_write(job, token) else LeaseLost
        self.expect(error, lambda: self.store.finish_job(self.ids[n], token, state, "reason"))
        if error is None:
            self.end(n, state)

    @rule(n=JOBS, token=TOKENS, number=NUMBERS, skip=st.booleans())
    def add_trial(self, n: int, token: int, number: int, skip: bool) -> None:
        job = self.expected[n]
        new = skipped(number, SkipReason.OVER_LIMIT) if skip else new_trial(number)
        error = LeaseLost if not self.may_write(job, token) else Conflict if number in job["trials"] else None
        self.expect(error, lambda: self.store.add_trial(self.ids[n], token, new))
        if error is None:
            job["trials"][number] = new.state
            self.events[n] += 1

    @rule(n=JOBS, token=TOKENS, number=NUMBERS, outcome=st.sampled_from([complete(), failed()]))
    def finish_trial(self, n: int, token: int, number: int, outcome: TrialOutcome) -> None:
        job = self.expected[n]
        error: type[Exception] | None = None
        if not self.may_write(job, token):
            error = LeaseLost
        elif number not in job["trials"]:
            error = NotFound
        elif job["trials"][number] is not TrialState.RUNNING:
            error = IllegalMove
        self.expect(error, lambda: self.store.finish_trial(self.ids[n], token, number, outcome, b"w"))
        if error is None:
            job["trials"][number] = outcome.state
            self.events[n] += 1

    @invariant()
    def the_store_agrees(self) -> None:
        if not hasattr(self, "ids"):
            return
        for job_id, expected in zip(self.ids, self.expected, strict=True):
            job = self.store.job(job_id)
            assert (job.state, job.lease_token, job.priority) == (
                expected["state"],
                expected["token"],
                expected["priority"],
            )
            assert (job.cancel_requested, job.pause_requested) == (expected["cancel"], expected["pause"])
            assert (job.finished_at is not None) == job.state.is_final
            if job.state is JobState.PAUSED or job.state.is_final:
                assert job.idle_since is not None
            trials = self.store.trial_summaries(job_id)
            assert {trial.number: trial.state for trial in trials} == expected["trials"]
            assert all((trial.finished_at is not None) == trial.state.is_final for trial in trials)
        assert [len(self.store.events_after(job_id, 0)) for job_id in self.ids] == self.events


def test_any_order_of_calls_leaves_only_legal_states(store: Store, store_url: str) -> None:
    database = Database(store_url)
    machine = type("JobsAndTrialsHere", (JobsAndTrials,), {"store": store, "database": database})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=20,
            stateful_step_count=30,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    database.close()
