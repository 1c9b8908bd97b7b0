"""What every backend of the store must do. A test file subclasses these and gives a `store` fixture."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from nas.errors import Conflict, IllegalMove, InvalidInput, LeaseLost, NotFound
from nas.latency.device import Device
from nas.store.records import (
    JobRecord,
    JobState,
    NewTrial,
    RetrainingKey,
    RetrainingOutcome,
    RetrainingState,
    SkipReason,
    TrialCounts,
    TrialOutcome,
    TrialState,
)
from nas.store.store import Store
from nas.store.tables import jobs

DOCUMENT = {"name": "first", "budget": {"trials": 3}, "objectives": ["error_rate", "macs"], "limit": 0.25}
WORKLOAD_KEY = "batch=1,input_length=64,output_length=0"


def running_job(store: Store, lease_s: float = 60, worker: str = "worker-1") -> JobRecord:
    job, _ = store.add_job("first", DOCUMENT)
    claimed = store.claim_job_by_id(job.id, worker, lease_s)
    assert claimed is not None
    return claimed


def new_trial(number: int, **changes: Any) -> NewTrial:
    values: dict[str, Any] = {
        "number": number,
        "state": TrialState.RUNNING,
        "architecture": {"family": "encoder", "layers": [{"heads": 4}]},
        "architecture_id": f"a-{number}",
        "metrics": {"macs": 1000 + number, "size_mb": 0.5},
        "violations": {},
        "sampler": {"params": {"depth": 2}},
    }
    return NewTrial(**values | changes)


def skipped(number: int, reason: SkipReason, same_as: int | None = None) -> NewTrial:
    return new_trial(number, state=TrialState.SKIPPED, skip_reason=reason, same_as=same_as)


def complete(error_rate: float = 0.25) -> TrialOutcome:
    metrics = {"macs": 1000, "error_rate": error_rate}
    return TrialOutcome(TrialState.COMPLETE, metrics, {"history": [[0, 3.5], [10, 2.25]]}, None, 1.5)


def failed(error: str = "the loss is not finite") -> TrialOutcome:
    return TrialOutcome(TrialState.FAILED, {"macs": 1000}, None, error, 0.5)


def kinds_and_data(store: Store, job_id: str | None, after: int = 0) -> list[tuple[str, dict[str, Any]]]:
    return [(event.kind, event.data) for event in store.events_after(job_id, after)]


class JobContract:
    def test_a_submitted_job_is_queued_and_reads_back_as_it_was_returned(self, store: Store) -> None:
        job, created = store.add_job("first", DOCUMENT)
        assert created
        assert job.id.startswith("j-")
        assert (job.state, job.lease_token, job.document) == (JobState.QUEUED, 0, DOCUMENT)
        assert store.job(job.id) == job

    def test_datetimes_are_aware_and_in_utc(self, store: Store) -> None:
        job = running_job(store)
        trial = store.add_trial(job.id, 1, new_trial(0))
        for instant in (job.created_at, job.started_at, job.lease_expires_at, trial.started_at):
            assert instant is not None
            assert instant.tzinfo is UTC
        assert job.created_at <= (job.started_at or job.created_at) <= trial.started_at
        assert store.events_after(job.id, 0)[0].created_at.tzinfo is UTC

    def test_the_same_key_with_an_equal_document_gives_the_first_job(self, store: Store) -> None:
        first, _ = store.add_job("first", DOCUMENT, "key")
        again, created = store.add_job("first", dict(reversed(DOCUMENT.items())), "key")
        assert (again, created) == (first, False)
        assert len(kinds_and_data(store, None)) == 1

    def test_the_same_key_with_another_document_is_a_conflict(self, store: Store) -> None:
        store.add_job("first", DOCUMENT, "key")
        with pytest.raises(Conflict, match="'key' was used for the job j-"):
            store.add_job("first", DOCUMENT | {"limit": 0.5}, "key")

    def test_a_job_is_found_by_its_key(self, store: Store) -> None:
        job, _ = store.add_job("first", DOCUMENT, "key")
        store.add_job("second", DOCUMENT)
        assert store.job_with_key("key") == job
        assert store.job_with_key("other") is None
        with pytest.raises(InvalidInput, match="idempotency_key"):
            store.job_with_key("nul \0")

    def test_jobs_without_a_key_are_all_different(self, store: Store) -> None:
        assert store.add_job("first", DOCUMENT)[0].id != store.add_job("first", DOCUMENT)[0].id

    def test_an_unknown_job_is_not_found(self, store: Store) -> None:
        for ask in (
            lambda: store.job("j-none"),
            lambda: store.request_cancel("j-none"),
            lambda: store.claim_job_by_id("j-none", "w", 1),
            lambda: store.heartbeat("j-none", 1, 1),
            lambda: store.add_trial("j-none", 1, new_trial(0)),
        ):
            with pytest.raises(NotFound, match="j-none"):
                ask()

    @pytest.mark.parametrize("value", [math.nan, math.inf, object(), {1, 2}, "nul \0", "surrogate \ud800"])
    def test_what_a_database_cannot_keep_is_refused_and_nothing_is_written(self, store: Store, value: Any) -> None:
        with pytest.raises(InvalidInput, match="document"):
            store.add_job("first", {"deep": [{"value": value}]})
        if isinstance(value, str):
            with pytest.raises(InvalidInput, match="name"):
                store.add_job(value, DOCUMENT)
            with pytest.raises(InvalidInput, match="idempotency_key"):
                store.add_job("first", DOCUMENT, value)
        assert store.jobs() == ([], None)

    def test_pages_run_from_the_newest_to_the_oldest_without_gap_or_repeat(self, store: Store) -> None:
        ids = [store.add_job(f"job-{n}", DOCUMENT)[0].id for n in range(7)]
        seen: list[str] = []
        page, cursor = store.jobs(limit=3)
        store.add_job("late", DOCUMENT)  # moves nothing on the pages that follow
        seen += [job.id for job in page]
        while cursor is not None:
            page, cursor = store.jobs(after=cursor, limit=3)
            seen += [job.id for job in page]
        assert seen == ids[::-1]

    def test_a_page_that_holds_the_rest_exactly_has_no_next_page(self, store: Store) -> None:
        for n in range(3):
            store.add_job(f"job-{n}", DOCUMENT)
        assert store.jobs(limit=3)[1] is None

    @pytest.mark.parametrize("cursor", ["", "3", "nonsense", "am9iczotMQ==", "é", "am9iczphYmM="])
    def test_a_cursor_that_is_not_ours_is_invalid(self, store: Store, cursor: str) -> None:
        with pytest.raises(InvalidInput, match="cursor"):
            store.jobs(after=cursor)

    @pytest.mark.parametrize("limit", [0, -1, 1_000_000])
    def test_a_page_size_out_of_range_is_invalid(self, store: Store, limit: int) -> None:
        with pytest.raises(InvalidInput, match="limit"):
            store.jobs(limit=limit)

    def test_jobs_are_counted_by_state(self, store: Store) -> None:
        running_job(store)
        store.add_job("second", DOCUMENT)
        store.request_cancel(store.add_job("third", DOCUMENT)[0].id)
        assert store.job_counts() == {
            JobState.QUEUED: 1,
            JobState.RUNNING: 1,
            JobState.PAUSED: 0,
            JobState.SUCCEEDED: 0,
            JobState.FAILED: 0,
            JobState.CANCELLED: 1,
        }


class LeaseContract:
    def test_jobs_are_claimed_in_the_order_of_submission(self, store: Store) -> None:
        ids = [store.add_job(f"job-{n}", DOCUMENT)[0].id for n in range(3)]
        claimed = [store.claim_job("worker-1", 60) for _ in range(4)]
        assert [job and job.id for job in claimed] == [*ids, None]

    def test_a_claim_makes_the_job_run_under_a_new_token(self, store: Store) -> None:
        job = running_job(store, lease_s=60, worker="worker-7")
        assert (job.state, job.lease_owner, job.lease_token) == (JobState.RUNNING, "worker-7", 1)
        assert job.started_at is not None
        assert job.lease_expires_at == job.started_at + timedelta(seconds=60)
        assert store.job(job.id) == job

    def test_a_held_job_is_claimed_by_nobody_else(self, store: Store) -> None:
        job = running_job(store)
        assert store.claim_job("worker-2", 60) is None
        assert store.claim_job_by_id(job.id, "worker-2", 60) is None
        assert store.job(job.id) == job

    def test_a_job_whose_lease_ran_out_goes_to_the_next_worker(self, store: Store) -> None:
        dead = running_job(store, lease_s=0)
        taken = store.claim_job("worker-2", 60)
        assert taken is not None
        assert (taken.id, taken.lease_owner, taken.lease_token) == (dead.id, "worker-2", 2)
        assert taken.started_at == dead.started_at

    @pytest.mark.parametrize("set_back", [timedelta(hours=1), timedelta(days=400)])
    def test_a_lease_given_before_the_clock_was_set_back_is_over(self, store: Store, set_back: timedelta) -> None:
        dead = running_job(store, lease_s=15)
        assert dead.lease_expires_at is not None
        with store._database.write() as connection:
            connection.execute(update(jobs).values(lease_expires_at=dead.lease_expires_at + set_back))
        taken = store.claim_job("worker-2", 60)
        assert taken is not None
        assert (taken.id, taken.lease_owner) == (dead.id, "worker-2")

    @pytest.mark.parametrize("ask", [Store.request_pause, Store.request_cancel])
    def test_nobody_is_waited_for_whose_lease_is_of_another_time(
        self, store: Store, ask: Callable[[Store, str], JobRecord]
    ) -> None:
        dead = running_job(store, lease_s=15)
        assert dead.lease_expires_at is not None
        with store._database.write() as connection:
            connection.execute(update(jobs).values(lease_expires_at=dead.lease_expires_at + timedelta(hours=1)))
        assert ask(store, dead.id).state in (JobState.PAUSED, JobState.CANCELLED)

    def test_an_expired_job_is_claimed_before_younger_ones(self, store: Store) -> None:
        dead = running_job(store, lease_s=0)
        store.add_job("younger", DOCUMENT)
        taken = store.claim_job("worker-2", 60)
        assert taken is not None
        assert taken.id == dead.id

    def test_the_old_token_is_refused_everywhere_after_a_takeover(self, store: Store) -> None:
        dead = running_job(store, lease_s=0)
        store.add_trial(dead.id, 1, new_trial(0))
        store.claim_job("worker-2", 60)
        before = (store.job(dead.id), store.trials(dead.id), store.events_after(None, 0))
        for write in (
            lambda: store.heartbeat(dead.id, 1, 60),
            lambda: store.release_job(dead.id, 1),
            lambda: store.set_reference(dead.id, 1, {"point": {}}),
            lambda: store.finish_job(dead.id, 1, JobState.SUCCEEDED, None),
            lambda: store.add_trial(dead.id, 1, new_trial(1)),
            lambda: store.finish_trial(dead.id, 1, 0, complete(), b"weights"),
        ):
            with pytest.raises(LeaseLost, match="worker-2"):
                write()
        assert (store.job(dead.id), store.trials(dead.id), store.events_after(None, 0)) == before

    def test_a_lease_that_ran_out_unnoticed_can_still_be_renewed(self, store: Store) -> None:
        job = running_job(store, lease_s=0)
        renewed = store.heartbeat(job.id, job.lease_token, 60)
        assert (renewed.lease_expires_at or job.created_at) > (job.lease_expires_at or job.created_at)
        assert store.claim_job("worker-2", 60) is None

    def test_nothing_is_written_for_a_job_that_does_not_run(self, store: Store) -> None:
        queued, _ = store.add_job("first", DOCUMENT)
        with pytest.raises(LeaseLost, match="queued"):
            store.heartbeat(queued.id, 0, 60)
        job = running_job(store)
        store.finish_job(job.id, 1, JobState.SUCCEEDED, None)
        for write in (
            lambda: store.heartbeat(job.id, 1, 60),
            lambda: store.add_trial(job.id, 1, new_trial(0)),
            lambda: store.finish_job(job.id, 1, JobState.FAILED, "again"),
        ):
            with pytest.raises(LeaseLost, match="succeeded"):
                write()

    def test_a_released_job_goes_on_with_the_next_claim(self, store: Store) -> None:
        job = running_job(store)
        store.release_job(job.id, job.lease_token)
        assert store.job(job.id).state is JobState.RUNNING
        taken = store.claim_job("worker-2", 60)
        assert taken is not None
        assert (taken.id, taken.lease_token) == (job.id, 2)

    def test_a_finished_job_is_never_claimed(self, store: Store) -> None:
        for state in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED):
            job = running_job(store)
            store.finish_job(job.id, 1, state, "because")
            assert store.claim_job("worker-2", 60) is None
            assert store.claim_job_by_id(job.id, "worker-2", 60) is None

    @pytest.mark.parametrize("lease_s", [-1, math.nan, math.inf, 1e9])
    def test_a_lease_of_no_sensible_length_is_invalid(self, store: Store, lease_s: float) -> None:
        store.add_job("first", DOCUMENT)
        with pytest.raises(InvalidInput, match="lease_s"):
            store.claim_job("worker-1", lease_s)
        assert store.job_counts()[JobState.QUEUED] == 1


class EndingContract:
    def test_a_finished_job_says_when_and_why(self, store: Store) -> None:
        job = running_job(store)
        ended = store.finish_job(job.id, 1, JobState.FAILED, "the data set is gone")
        assert (ended.state, ended.reason) == (JobState.FAILED, "the data set is gone")
        assert ended.finished_at is not None
        assert ended.lease_expires_at is None
        assert store.job(job.id) == ended

    @pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING])
    def test_a_job_cannot_end_in_a_state_that_is_no_end(self, store: Store, state: JobState) -> None:
        job = running_job(store)
        with pytest.raises(IllegalMove, match=state):
            store.finish_job(job.id, 1, state, None)
        assert store.job(job.id) == job

    def test_a_reason_that_no_database_can_keep_is_mended_not_refused(self, store: Store) -> None:
        job = running_job(store)
        ended = store.finish_job(job.id, 1, JobState.FAILED, "a\0b\udcffc")
        assert ended.reason == "a�b?c"

    def test_a_queued_job_is_cancelled_at_once(self, store: Store) -> None:
        job, _ = store.add_job("first", DOCUMENT)
        cancelled = store.request_cancel(job.id)
        assert cancelled.state is JobState.CANCELLED
        assert cancelled.finished_at is not None
        assert store.claim_job("worker-1", 60) is None

    def test_a_running_job_is_flagged_and_its_worker_sees_it_at_the_next_heartbeat(self, store: Store) -> None:
        job = running_job(store)
        assert store.request_cancel(job.id).state is JobState.RUNNING
        assert store.heartbeat(job.id, 1, 60).cancel_requested
        assert store.request_cancel(job.id).cancel_requested
        assert store.finish_job(job.id, 1, JobState.CANCELLED, None).state is JobState.CANCELLED

    def test_a_finished_job_cannot_be_cancelled(self, store: Store) -> None:
        job = running_job(store)
        store.finish_job(job.id, 1, JobState.SUCCEEDED, None)
        with pytest.raises(IllegalMove, match="succeeded: only one that has not ended can be cancelled"):
            store.request_cancel(job.id)

    def test_trials_that_still_run_fail_with_their_job(self, store: Store) -> None:
        job = running_job(store)
        store.add_trial(job.id, 1, new_trial(0))
        store.finish_trial(job.id, 1, 0, complete(), None)
        store.add_trial(job.id, 1, new_trial(1))
        before = store.last_sequence(job.id)
        store.finish_job(job.id, 1, JobState.CANCELLED, "asked to")
        assert store.counts(job.id) == TrialCounts(
            running=0, complete=1, stopped=0, failed=1, duplicate=0, over_limit=0
        )
        trial = store.trial(job.id, 1)
        assert trial.error == "the job ended (cancelled) while this trial was running"
        assert trial.duration_s is not None
        assert kinds_and_data(store, job.id, before) == [
            ("trial", {"number": 1, "state": "failed"}),
            ("job", {"state": "cancelled", "reason": "asked to"}),
        ]

    def test_the_reference_of_a_job_is_kept(self, store: Store) -> None:
        job = running_job(store)
        reference = {"point": {"error_rate": 1.0, "macs": 2e6}, "ideal": {"error_rate": 0.0, "macs": 1000}}
        store.set_reference(job.id, 1, reference)
        assert store.job(job.id).reference == reference


class TrialContract:
    def test_a_trial_reads_back_as_it_was_returned(self, store: Store) -> None:
        job = running_job(store)
        new = new_trial(0, violations={"macs <= 500": 500.0})
        trial = store.add_trial(job.id, 1, new)
        assert (trial.state, trial.architecture, trial.sampler) == (new.state, new.architecture, new.sampler)
        assert (trial.metrics, trial.violations) == (new.metrics, new.violations)
        assert store.trial(job.id, 0) == trial

    def test_a_number_that_exists_is_a_conflict_and_the_first_trial_stays(self, store: Store) -> None:
        job = running_job(store)
        first = store.add_trial(job.id, 1, new_trial(0))
        with pytest.raises(Conflict, match="already has a trial 0"):
            store.add_trial(job.id, 1, new_trial(0, architecture_id="a-other"))
        assert store.trials(job.id) == [first]

    def test_two_jobs_number_their_trials_independently(self, store: Store) -> None:
        for _ in range(2):
            job = running_job(store)
            store.add_trial(job.id, 1, new_trial(0))
            assert len(store.trials(job.id)) == 1

    def test_a_finished_trial_has_its_outcome_and_weights(self, store: Store) -> None:
        job = running_job(store)
        store.add_trial(job.id, 1, new_trial(0))
        weights = bytes(range(256)) * 1000
        trial = store.finish_trial(job.id, 1, 0, complete(0.125), weights)
        assert (trial.state, trial.metrics["error_rate"], trial.duration_s) == (TrialState.COMPLETE, 0.125, 1.5)
        assert trial.training == {"history": [[0, 3.5], [10, 2.25]]}
        assert store.trial(job.id, 0) == trial
        assert store.artifact(trial.weights_sha256 or "") == weights

    def test_equal_weights_are_kept_once(self, store: Store) -> None:
        job = running_job(store)
        digests = set()
        for number in range(2):
            store.add_trial(job.id, 1, new_trial(number))
            digests.add(store.finish_trial(job.id, 1, number, complete(), b"same").weights_sha256)
        assert len(digests) == 1

    def test_a_failed_trial_says_why_and_has_no_weights(self, store: Store) -> None:
        job = running_job(store)
        store.add_trial(job.id, 1, new_trial(0))
        trial = store.finish_trial(job.id, 1, 0, failed("bad \0 text"), None)
        assert (trial.state, trial.error, trial.weights_sha256) == (TrialState.FAILED, "bad � text", None)

    def test_a_trial_is_scored_again_and_again_while_it_runs_and_then_stopped(self, store: Store) -> None:
        job = running_job(store)
        store.add_trial(job.id, 1, new_trial(0))
        before = store.last_sequence()
        for steps in (10, 30):
            training = {"rungs": [{"steps": steps}]}
            trial = store.score_trial(job.id, 1, 0, {"macs": 1000, "error_rate": 1 / steps}, training, 0.5)
            assert trial == store.trial(job.id, 0)
            assert (trial.state, trial.training) == (TrialState.RUNNING, training)
            assert trial.metrics["error_rate"] == 1 / steps
            assert store.counts(job.id).running == 1
        assert store.last_sequence() == before + 2  # whoever follows the events is told
        outcome = TrialOutcome(TrialState.STOPPED, trial.metrics, {"stopped": "others are better"}, None, 0.5)
        stopped = store.finish_trial(job.id, 1, 0, outcome, None)
        assert (stopped.state, stopped.error, stopped.weights_sha256) == (TrialState.STOPPED, None, None)
        assert store.counts(job.id) == TrialCounts(
            running=0, complete=0, stopped=1, failed=0, duplicate=0, over_limit=0
        )
        with pytest.raises(IllegalMove, match="only a running one can be scored"):
            store.score_trial(job.id, 1, 0, {}, {}, 0.5)

    def test_only_the_worker_that_holds_the_job_scores_its_trials(self, store: Store) -> None:
        job = running_job(store, lease_s=0)
        store.add_trial(job.id, 1, new_trial(0))
        store.claim_job("worker-2", 60)
        with pytest.raises(LeaseLost):
            store.score_trial(job.id, 1, 0, {"macs": 1}, {}, 0.5)
        with pytest.raises(NotFound, match="no trial 7"):
            store.score_trial(job.id, 2, 7, {"macs": 1}, {}, 0.5)
        assert store.trial(job.id, 0).metrics == new_trial(0).metrics

    def test_a_finished_trial_never_changes(self, store: Store) -> None:
        job = running_job(store)
        store.add_trial(job.id, 1, new_trial(0))
        store.add_trial(job.id, 1, skipped(1, SkipReason.OVER_LIMIT))
        store.finish_trial(job.id, 1, 0, complete(), b"weights")
        before = (store.trials(job.id), store.last_sequence())
        for number in (0, 1):
            for outcome in (complete(0.5), failed()):
                with pytest.raises(IllegalMove, match="it has ended"):
                    store.finish_trial(job.id, 1, number, outcome, b"other weights")
        assert (store.trials(job.id), store.last_sequence()) == before

    def test_what_cannot_be_kept_leaves_the_trial_running_and_no_weights(self, store: Store) -> None:
        job = running_job(store)
        store.add_trial(job.id, 1, new_trial(0))
        with pytest.raises(InvalidInput, match="metrics"):
            store.finish_trial(job.id, 1, 0, complete(math.nan), b"weights")
        assert store.trial(job.id, 0).state is TrialState.RUNNING

    def test_the_next_worker_finishes_a_trial_that_the_dead_one_began(self, store: Store) -> None:
        job = running_job(store, lease_s=0)
        store.add_trial(job.id, 1, new_trial(0))
        store.claim_job("worker-2", 60)
        assert store.finish_trial(job.id, 2, 0, complete(), None).state is TrialState.COMPLETE

    def test_an_absent_trial_is_not_found(self, store: Store) -> None:
        job = running_job(store)
        for number in (0, -1, 10**30):
            with pytest.raises(NotFound, match="no trial"):
                store.trial(job.id, number)
        with pytest.raises(NotFound, match="no trial 0"):
            store.finish_trial(job.id, 1, 0, complete(), None)

    def test_trials_come_by_number_in_pages_and_by_state(self, store: Store) -> None:
        job = running_job(store)
        for number in (3, 1, 0, 4, 2):
            store.add_trial(job.id, 1, new_trial(number))
        store.finish_trial(job.id, 1, 3, complete(), None)
        numbers = lambda **where: [trial.number for trial in store.trials(job.id, **where)]  # noqa: E731
        assert numbers() == [0, 1, 2, 3, 4]
        assert numbers(after=1) == [2, 3, 4]
        assert numbers(after=1, limit=2) == [2, 3]
        assert numbers(state=TrialState.COMPLETE) == [3]
        assert numbers(after=10**30) == []
        assert store.trials("j-none") == []
        architectures = [(trial.number, trial.architecture) for trial in store.trials(job.id)]
        assert store.trial_architectures(job.id) == architectures
        assert store.trial_architectures(job.id, after=2) == architectures[3:]
        assert store.trial_architectures("j-none") == []
        assert store.trials_numbered(job.id, [4, 0, 99]) == [store.trial(job.id, 0), store.trial(job.id, 4)]

    def test_figures_of_complete_trials_are_read_as_they_were_recorded(self, store: Store) -> None:
        job = running_job(store)
        for number in range(4):
            store.add_trial(job.id, 1, new_trial(number))
        store.add_trial(job.id, 1, skipped(4, SkipReason.DUPLICATE, same_as=0))
        exact = {"latency_ms@a-phone": 0.1 + 0.2, "macs": 2**40 + 1, "error_rate": 1e-7}
        store.finish_trial(job.id, 1, 2, TrialOutcome(TrialState.COMPLETE, exact, None, None, 1.0), None)
        store.finish_trial(job.id, 1, 0, complete(0.25), None)
        store.finish_trial(job.id, 1, 1, failed(), None)
        names = ["latency_ms@a-phone", "error_rate", "macs"]
        assert store.metric_values(job.id, names) == [(0, None, 0.25, 1000), (2, 0.1 + 0.2, 1e-7, 2**40 + 1)]
        assert store.metric_values(job.id, ["macs"], [2, 3, 99]) == [(2, 2**40 + 1)]
        assert store.metric_values(job.id, ["macs"], []) == []
        assert store.metric_values("j-none", ["macs"]) == []
        rows = store.trial_columns(job.id, ["error_rate", "macs"])
        assert [row[:4] for row in rows] == [
            (0, "complete", None, 0.25),
            (1, "failed", None, None),
            (2, "complete", None, 1e-7),
            (3, "running", None, None),
            (4, "skipped", "duplicate", None),
        ]
        assert (rows[0][4], rows[2][4]) == (1000, 2**40 + 1)
        assert store.trial_columns(job.id, ["error_rate", "macs"], after=2) == rows[3:]
        assert store.trial_columns("j-none", ["macs"]) == []

    def test_steps_taken_are_those_of_all_scored_trials(self, store: Store) -> None:
        job, another = running_job(store), running_job(store)
        assert store.steps_taken(job.id) == 0
        stopped = replace(complete(), state=TrialState.STOPPED, training={"steps_taken": 30})
        outcomes = [replace(complete(), training={"steps_taken": 100}), stopped, complete(), failed()]
        for number, outcome in enumerate(outcomes):
            store.add_trial(job.id, 1, new_trial(number))
            store.finish_trial(job.id, 1, number, outcome, None)
        store.add_trial(job.id, 1, new_trial(len(outcomes)))
        store.score_trial(job.id, 1, len(outcomes), {"macs": 1000}, {"steps_taken": 7}, 0.5)
        assert store.steps_taken(job.id) == 130, "of those that ended; one of them says nothing of it"
        assert store.steps_taken(another.id) == 0

    def test_scored_trials_of_an_architecture_are_those_of_all_jobs(self, store: Store) -> None:
        jobs = [running_job(store), running_job(store)]
        stopped = replace(complete(), state=TrialState.STOPPED)
        for job, outcome in zip(jobs, (complete(), stopped), strict=True):
            for number, name in enumerate(("a-same", "a-other", "a-same")):
                store.add_trial(job.id, 1, new_trial(number, architecture_id=name))
            store.finish_trial(job.id, 1, 0, outcome, b"weights")
            store.finish_trial(job.id, 1, 1, complete(), None)
        found = sorted(store.scored_trials_of("a-same"), key=lambda trial: trial.job_id)
        assert found == sorted((store.trial(job.id, 0) for job in jobs), key=lambda trial: trial.job_id)
        assert store.scored_trials_of("a-none") == []

    def test_recalled_trials_are_counted_by_job(self, store: Store) -> None:
        job, another = running_job(store), running_job(store)
        for number in range(3):
            store.add_trial(job.id, 1, new_trial(number))
            store.finish_trial(job.id, 1, number, replace(complete(), recalled=number != 1), None)
        assert (store.recalled_count(job.id), store.recalled_count(another.id)) == (2, 0)

    def test_a_summary_agrees_with_the_full_record(self, store: Store) -> None:
        job = running_job(store)
        store.add_trial(job.id, 1, new_trial(0))
        store.finish_trial(job.id, 1, 0, complete(), b"weights")
        store.add_trial(job.id, 1, skipped(1, SkipReason.DUPLICATE, same_as=0))
        summaries = store.trial_summaries(job.id)
        assert len(summaries) == 2
        for summary, record in zip(summaries, store.trials(job.id), strict=True):
            assert vars(summary) == {name: vars(record)[name] for name in vars(summary)}
        assert store.trial_summaries(job.id, state=TrialState.SKIPPED) == summaries[1:]

    def test_trials_are_counted_by_state_and_reason(self, store: Store) -> None:
        job = running_job(store)
        assert store.counts(job.id) == TrialCounts(0, 0, 0, 0, 0, 0)
        for number in range(3):
            store.add_trial(job.id, 1, new_trial(number))
        store.finish_trial(job.id, 1, 0, complete(), None)
        store.finish_trial(job.id, 1, 1, failed(), None)
        store.add_trial(job.id, 1, skipped(3, SkipReason.DUPLICATE, same_as=0))
        store.add_trial(job.id, 1, skipped(4, SkipReason.OVER_LIMIT))
        store.add_trial(job.id, 1, skipped(5, SkipReason.OVER_LIMIT))
        assert store.counts(job.id) == TrialCounts(
            running=1, complete=1, stopped=0, failed=1, duplicate=1, over_limit=2
        )

    def test_a_skipped_trial_is_finished_from_the_start(self, store: Store) -> None:
        job = running_job(store)
        trial = store.add_trial(job.id, 1, skipped(0, SkipReason.OVER_LIMIT))
        assert trial.finished_at == trial.started_at
        assert trial.duration_s == 0

    def test_an_unknown_artifact_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFound, match="artifact"):
            store.artifact("0" * 64)

    def test_numbers_keep_their_value_and_their_kind(self, store: Store) -> None:
        job = running_job(store)
        metrics = {"a": 0.1, "b": 1e-300, "c": 2**53 - 1, "d": 1.0, "e": -0.0, "f": 123456789.123456789, "g": 5e15}
        found = store.add_trial(job.id, 1, new_trial(0, metrics=metrics)).metrics
        assert found == metrics
        assert {name: type(value) for name, value in found.items()} == {n: type(v) for n, v in metrics.items()}


class EventContract:
    def test_every_change_of_a_job_and_its_trials_is_told_in_order(self, store: Store) -> None:
        job = running_job(store)
        store.add_trial(job.id, 1, new_trial(0))
        store.add_trial(job.id, 1, skipped(1, SkipReason.OVER_LIMIT))
        store.finish_trial(job.id, 1, 0, complete(), None)
        store.release_job(job.id, 1)
        store.claim_job("worker-2", 60)
        store.finish_job(job.id, 2, JobState.SUCCEEDED, None)
        assert kinds_and_data(store, job.id) == [
            ("job", {"state": "queued", "reason": None}),
            ("job", {"state": "running", "reason": None}),
            ("trial", {"number": 0, "state": "running"}),
            ("trial", {"number": 1, "state": "skipped"}),
            ("trial", {"number": 0, "state": "complete"}),
            ("job", {"state": "running", "reason": None}),
            ("job", {"state": "succeeded", "reason": None}),
        ]

    def test_a_request_to_cancel_a_running_job_is_told_once(self, store: Store) -> None:
        job = running_job(store)
        before = store.last_sequence()
        store.request_cancel(job.id)
        store.request_cancel(job.id)
        assert kinds_and_data(store, job.id, before) == [("job", {"state": "running", "reason": None})]

    def test_events_continue_after_the_last_one_seen(self, store: Store) -> None:
        first, second = running_job(store), running_job(store)
        everything = store.events_after(None, 0)
        assert [event.job_id for event in everything] == [first.id, first.id, second.id, second.id]
        assert store.events_after(None, everything[1].sequence) == everything[2:]
        assert store.events_after(None, 0, limit=3) == everything[:3]
        assert store.events_after(second.id, 0) == everything[2:]
        assert store.events_after(None, 10**30) == []
        assert store.last_sequence() == everything[3].sequence
        assert store.last_sequence(first.id) == everything[1].sequence
        assert store.last_sequence("j-none") == 0

    def test_a_refused_write_leaves_no_event(self, store: Store) -> None:
        job = running_job(store)
        before = store.last_sequence()
        with pytest.raises(LeaseLost):
            store.add_trial(job.id, 99, new_trial(0))
        with pytest.raises(NotFound):
            store.finish_trial(job.id, 1, 0, complete(), None)
        assert store.last_sequence() == before


class CatalogueContract:
    def test_a_search_space_keeps_its_name_for_one_content(self, store: Store) -> None:
        space = {"name": "tiny", "encoder": {"depth": [1, 2]}}
        store.add_search_space(space)
        store.add_search_space(dict(space))
        store.add_search_space({"name": "another", "encoder": {}})
        assert store.search_space("tiny") == space
        assert [document["name"] for document in store.search_spaces()] == ["another", "tiny"]
        with pytest.raises(Conflict, match="'tiny'"):
            store.add_search_space({"name": "tiny", "encoder": {"depth": [3]}})
        assert store.search_space("tiny") == space

    def test_a_device_is_replaced_under_its_name(self, store: Store) -> None:
        assert store.put_device({"name": "pi-4", "cores": 4})
        assert not store.put_device({"cores": 4, "name": "pi-4"})
        assert store.put_device({"name": "pi-4", "cores": 8})
        store.put_device({"name": "pi", "cores": 1})
        assert store.device("pi-4") == {"name": "pi-4", "cores": 8}
        assert [device["name"] for device in store.devices()] == ["pi", "pi-4"]

    def test_a_data_set_is_replaced_under_its_name(self, store: Store) -> None:
        store.put_dataset("languages", "1", "aa", {"outputs": 35})
        store.put_dataset("languages", "2", "bb", {"outputs": 36})
        expected = {"name": "languages", "version": "2", "sha256": "bb", "outputs": 36}
        assert store.dataset("languages") == expected
        assert store.datasets() == [expected]

    def test_unknown_names_are_not_found(self, store: Store) -> None:
        for ask in (store.search_space, store.device, store.dataset):
            with pytest.raises(NotFound, match="'nothing'"):
                ask("nothing")

    def test_a_document_without_a_name_is_invalid(self, store: Store) -> None:
        for put in (store.add_search_space, store.put_device):
            with pytest.raises(InvalidInput, match="name"):
                put({"cores": 4})


DEVICE = {
    "name": "pi-4",
    "hardware": "Cortex-A72 (aarch64)",
    "cores": 4,
    "runtime": "onnxruntime",
    "runtime_version": "1.32.0",
    "threads": 1,
    "system": "Linux 6.1",
}


def latency_table(input_length: int = 64, space: str = "text-encoder", **changes: Any) -> dict[str, Any]:
    workload = {"batch": 1, "input_length": input_length}
    entries = {"head(outputs=35)": {"latency_ns": 1234567890123}}
    return {"device": DEVICE, "workload": workload, "space": space, "entries": entries} | changes


class LatencyTableContract:
    def test_a_table_reads_back_as_it_was_returned(self, store: Store) -> None:
        store.put_device(DEVICE)
        document, summary = latency_table(), {"entries": 1, "errors": {"bias_percent": -0.5}}
        added = store.add_latency_table("pi-4", document, summary)
        assert (added.device, added.version, added.space) == ("pi-4", 1, "text-encoder")
        assert added.workload_key == WORKLOAD_KEY
        assert added.fingerprint == Device.from_dict(DEVICE).fingerprint
        assert (added.document, added.summary) == (document, summary)
        assert added.created_at.tzinfo is UTC
        assert store.latency_table("pi-4", 1) == added
        assert store.latency_tables("pi-4") == [replace(added, document=None)]

    def test_each_device_counts_its_versions_from_one(self, store: Store) -> None:
        for name in ("pi-4", "pi-5"):
            store.put_device(DEVICE | {"name": name})
            assert [store.add_latency_table(name, latency_table()).version for _ in range(3)] == [1, 2, 3]

    def test_the_newest_table_of_a_workload_and_space_is_found(self, store: Store) -> None:
        store.put_device(DEVICE)
        for table in (latency_table(), latency_table(128), latency_table(), latency_table(space="smoke")):
            store.add_latency_table("pi-4", table)
        newest = store.latest_latency_table("pi-4", WORKLOAD_KEY, "text-encoder")
        assert newest == store.latency_table("pi-4", 3)
        assert store.latest_latency_table("pi-4", WORKLOAD_KEY) == store.latency_table("pi-4", 4)
        assert store.latest_latency_table("pi-4", WORKLOAD_KEY, "absent") is None
        assert store.latest_latency_table("pi-4", WORKLOAD_KEY.replace("64", "65")) is None
        assert store.latest_latency_table("absent", WORKLOAD_KEY) is None

    def test_absent_devices_and_versions_are_not_found(self, store: Store) -> None:
        with pytest.raises(NotFound, match="register it"):
            store.add_latency_table("pi-4", latency_table())
        store.put_device(DEVICE)
        for version in (0, 1, 10**30):
            with pytest.raises(NotFound, match="no latency table"):
                store.latency_table("pi-4", version)
        assert store.latency_tables("pi-4") == store.latency_tables("absent") == []

    @pytest.mark.parametrize("field", ["device", "workload", "space"])
    def test_a_table_that_does_not_say_what_it_is_of_is_invalid(self, store: Store, field: str) -> None:
        store.put_device(DEVICE)
        for broken in ({field: None}, {field: 7}, {field: {}}):
            with pytest.raises(InvalidInput, match=f"latency_table.{field}"):
                store.add_latency_table("pi-4", latency_table(**broken))
        assert store.latency_tables("pi-4") == []


FINISH = {"steps": 40, "seeds": 2, "members": 3, "sample": 0}
KEY = RetrainingKey(trial=0, steps=40, seed=1)


def job_to_finish(store: Store) -> JobRecord:
    """Return a job whose search has succeeded, queued to be finished, and claimed with token 2."""
    job = running_job(store)
    store.add_trial(job.id, 1, new_trial(0))
    store.finish_trial(job.id, 1, 0, complete(), b"proxy")
    store.finish_job(job.id, 1, JobState.SUCCEEDED, "budget spent")
    store.request_finish(job.id, FINISH)
    claimed = store.claim_job("worker-2", 60)
    assert claimed is not None
    return claimed


def trained(error_rate: float = 0.125, weights: bytes | None = b"trained") -> RetrainingOutcome:
    return RetrainingOutcome(2.0, {"label": "trained"}, {"error_rate": error_rate}, {"error_rate": 0.25}, weights)


class FinishContract:
    def test_a_job_that_has_ended_is_queued_again_to_be_finished(self, store: Store) -> None:
        job = job_to_finish(store)
        assert (job.state, job.finish, job.lease_token) == (JobState.RUNNING, FINISH, 2)
        assert job.search_ended == {"state": "succeeded", "reason": "budget spent"}
        assert (job.finished_at, job.reason, job.cancel_requested) == (None, None, False)
        assert [data["state"] for kind, data in kinds_and_data(store, job.id) if kind == "job"] == [
            "queued",
            "running",
            "succeeded",
            "queued",
            "running",
        ]

    def test_the_same_request_is_one_and_another_is_refused_until_it_is_done(self, store: Store) -> None:
        job = job_to_finish(store)
        before = store.last_sequence()
        assert store.request_finish(job.id, FINISH) == store.job(job.id)
        assert store.last_sequence() == before
        with pytest.raises(IllegalMove, match="being finished in another way"):
            store.request_finish(job.id, FINISH | {"seeds": 3})
        store.finish_job(job.id, 2, JobState.SUCCEEDED, "done")
        assert store.request_finish(job.id, FINISH | {"seeds": 3}).state is JobState.QUEUED
        assert store.job(job.id).search_ended == {"state": "succeeded", "reason": "budget spent"}

    def test_a_search_that_goes_on_cannot_be_finished(self, store: Store) -> None:
        queued, _ = store.add_job("first", DOCUMENT)
        with pytest.raises(IllegalMove, match="is queued: it can be finished when it has ended"):
            store.request_finish(queued.id, FINISH)
        store.claim_job("worker-1", 60)
        with pytest.raises(IllegalMove, match="is running"):
            store.request_finish(queued.id, FINISH)

    def test_a_finish_that_nobody_began_is_taken_back_to_how_the_search_ended(self, store: Store) -> None:
        job = job_to_finish(store)
        store.finish_job(job.id, 2, JobState.SUCCEEDED, "done")
        store.request_finish(job.id, FINISH)
        back = store.request_cancel(job.id)
        assert (back.state, back.reason) == (JobState.SUCCEEDED, "budget spent; finishing it: cancelled")
        assert back.finished_at is not None
        assert store.claim_job("worker-3", 60) is None

    def test_a_search_goes_on_to_be_finished_without_a_pause(self, store: Store) -> None:
        job = running_job(store)
        going = store.end_search(job.id, 1, "budget spent", FINISH)
        assert (going.state, going.finish) == (JobState.RUNNING, FINISH)
        assert going.search_ended == {"state": "succeeded", "reason": "budget spent"}
        assert store.claim_job("worker-2", 60) is None

    def test_a_retraining_reads_back_as_it_was_returned_with_its_scores_and_weights(self, store: Store) -> None:
        job = job_to_finish(store)
        before = store.last_sequence()
        begun = store.start_retraining(job.id, 2, KEY)
        assert (begun.state, begun.scores) == (RetrainingState.RUNNING, ())
        score = {"steps": 10, "metrics": {"error_rate": 0.5}}
        assert store.score_retraining(job.id, 2, KEY, score, {"cpu_s": 1.0}, 1.5).scores == (score,)
        assert store.start_retraining(job.id, 2, KEY).scores == (score,)  # under way: it stays as it is
        ended = store.end_retraining(job.id, 2, KEY, trained())
        assert ended.state is RetrainingState.COMPLETE
        assert ended.scores == (score, {"steps": 40, "metrics": {"error_rate": 0.125}})
        assert (ended.test_metrics, ended.duration_s) == ({"error_rate": 0.25}, 3.5)
        assert store.artifact(ended.weights_sha256 or "") == b"trained"
        assert store.retrainings(job.id) == [ended]
        assert kinds_and_data(store, job.id, before) == [("trial", {"number": 0, "state": "complete"})] * 3
        assert store.trial(job.id, 0).metrics["error_rate"] == 0.25  # the search's own figure stays

    def test_a_complete_retraining_never_changes(self, store: Store) -> None:
        job = job_to_finish(store)
        store.start_retraining(job.id, 2, KEY)
        ended = store.end_retraining(job.id, 2, KEY, trained())
        for act in (
            lambda: store.start_retraining(job.id, 2, KEY),
            lambda: store.score_retraining(job.id, 2, KEY, {"steps": 1, "metrics": {}}, {}, 1.0),
            lambda: store.end_retraining(job.id, 2, KEY, trained(0.5)),
        ):
            with pytest.raises(IllegalMove, match="complete"):
                act()
        assert store.retrainings(job.id) == [ended]

    def test_a_failed_retraining_says_why_and_may_begin_again(self, store: Store) -> None:
        job = job_to_finish(store)
        store.start_retraining(job.id, 2, KEY)
        outcome = RetrainingOutcome(0.5, error="the loss is not finite")
        assert store.end_retraining(job.id, 2, KEY, outcome).error == "the loss is not finite"
        again = store.start_retraining(job.id, 2, KEY)
        assert (again.state, again.error, again.duration_s) == (RetrainingState.RUNNING, None, 0.0)

    def test_retrainings_that_still_run_fail_with_their_job(self, store: Store) -> None:
        job = job_to_finish(store)
        store.start_retraining(job.id, 2, KEY)
        store.finish_job(job.id, 2, JobState.SUCCEEDED, "cancelled")
        (record,) = store.retrainings(job.id)
        assert (record.state, record.error) == (
            RetrainingState.FAILED,
            "the job ended (succeeded) while this was running",
        )

    def test_only_the_worker_that_holds_the_job_writes_retrainings(self, store: Store) -> None:
        job = job_to_finish(store)
        store.start_retraining(job.id, 2, KEY)
        for act in (
            lambda: store.start_retraining(job.id, 1, KEY),
            lambda: store.score_retraining(job.id, 1, KEY, {"steps": 1, "metrics": {}}, {}, 1.0),
            lambda: store.end_retraining(job.id, 1, KEY, trained()),
        ):
            with pytest.raises(LeaseLost):
                act()
        assert store.retrainings(job.id)[0].state is RetrainingState.RUNNING

    def test_absent_trials_and_retrainings_are_not_found(self, store: Store) -> None:
        job = job_to_finish(store)
        with pytest.raises(NotFound, match="no trial 7"):
            store.start_retraining(job.id, 2, replace(KEY, trial=7))
        with pytest.raises(NotFound, match="no retraining of trial 0 with seed 9"):
            store.end_retraining(job.id, 2, replace(KEY, seed=9), trained())

    def test_an_outcome_has_metrics_or_an_error(self, store: Store) -> None:
        for broken in ({}, {"metrics": {"loss": 1.0}, "error": "but"}):
            with pytest.raises(InvalidInput, match="error"):
                RetrainingOutcome(1.0, **broken)


class StoreContract(
    JobContract,
    LeaseContract,
    EndingContract,
    TrialContract,
    FinishContract,
    EventContract,
    CatalogueContract,
    LatencyTableContract,
):
    """All of it."""
