"""What people can ask of jobs, whatever backend keeps them."""

from __future__ import annotations

import pytest
from store_contract import DOCUMENT, FINISH, complete, kinds_and_data, new_trial, running_job, trained

from nas.errors import IllegalMove, InvalidInput, NotFound
from nas.store.records import JobRecord, JobState, RetrainingKey
from nas.store.store import Store

KEY = RetrainingKey(trial=0, steps=40, seed=1)


def job_with_trial(store: Store, weights: bytes = b"weights") -> JobRecord:
    """Return a running job that has a complete trial 0 with weights and a running trial 1."""
    job = running_job(store)
    store.add_trial(job.id, 1, new_trial(0))
    store.finish_trial(job.id, 1, 0, complete(), weights)
    store.add_trial(job.id, 1, new_trial(1))
    return job


def states(store: Store, job_id: str) -> list[str]:
    return [data["state"] for kind, data in kinds_and_data(store, job_id) if kind == "job"]


class PauseContract:
    def test_a_job_that_waits_is_paused_at_once_and_claimed_by_nobody(self, store: Store) -> None:
        job, _ = store.add_job("first", DOCUMENT)
        paused = store.request_pause(job.id)
        assert (paused.state, paused.pause_requested, paused.finished_at) == (JobState.PAUSED, False, None)
        assert paused.idle_since is not None
        assert store.claim_job("worker-1", 60) is None
        assert store.claim_job_by_id(job.id, "worker-1", 60) is None
        assert store.job(job.id) == paused

    def test_a_job_that_a_worker_is_at_is_paused_by_that_worker(self, store: Store) -> None:
        job = job_with_trial(store)
        asked = store.request_pause(job.id)
        assert (asked.state, asked.pause_requested) == (JobState.RUNNING, True)
        assert store.heartbeat(job.id, 1, 60).pause_requested
        paused = store.pause_job(job.id, 1)
        assert (paused.state, paused.pause_requested) == (JobState.PAUSED, False)
        assert store.counts(job.id).running == 1  # it is evaluated anew when the job goes on
        assert states(store, job.id) == ["queued", "running", "running", "paused"]

    def test_a_job_whose_worker_is_gone_is_paused_at_once(self, store: Store) -> None:
        job = running_job(store, lease_s=0)
        assert store.request_pause(job.id).state is JobState.PAUSED
        assert store.claim_job("worker-2", 60) is None

    def test_a_pause_that_a_worker_took_into_its_grave_is_made_when_it_is_asked_for_again(self, store: Store) -> None:
        job = running_job(store)
        store.request_pause(job.id)
        store.heartbeat(job.id, 1, 0)  # its last: the lease has run out
        assert store.request_pause(job.id).state is JobState.PAUSED

    def test_asking_twice_is_asking_once(self, store: Store) -> None:
        running, waiting = running_job(store), store.add_job("second", DOCUMENT)[0]
        asked = [store.request_pause(job.id) for job in (running, waiting)]
        before = store.last_sequence()
        assert [store.request_pause(job.id) for job in (running, waiting)] == asked
        assert store.last_sequence() == before

    def test_a_resumed_job_is_queued_where_it_stood_and_goes_on_with_its_trials(self, store: Store) -> None:
        job = job_with_trial(store)
        younger, _ = store.add_job("younger", DOCUMENT)
        store.request_pause(job.id)
        store.pause_job(job.id, 1)
        resumed = store.resume_job(job.id)
        assert resumed.state is JobState.QUEUED
        claimed = [store.claim_job("worker-2", 60) for _ in range(2)]
        assert [each and each.id for each in claimed] == [job.id, younger.id]
        assert claimed[0] is not None
        assert (claimed[0].lease_token, claimed[0].started_at) == (2, job.started_at)
        assert [trial.number for trial in store.trials(job.id)] == [0, 1]

    def test_the_time_until_a_worker_takes_it_up_again_is_kept_apart(self, store: Store) -> None:
        job = running_job(store, lease_s=0)
        for _ in range(2):
            before = store.job(job.id).idle_s
            paused = store.request_pause(job.id)
            resumed = store.resume_job(job.id)
            assert (resumed.idle_s, resumed.idle_since) == (before, paused.idle_since)
            claimed = store.claim_job("worker", 0)
            assert claimed is not None
            assert claimed.idle_since is None
            claimed_at = store.events_after(job.id, 0)[-1].created_at
            assert paused.idle_since is not None
            assert 0 < claimed.idle_s - before <= (claimed_at - paused.idle_since).total_seconds()

    def test_the_time_in_which_a_job_is_finished_is_kept_apart_too(self, store: Store) -> None:
        job = job_with_trial(store)
        ended = store.finish_job(job.id, 1, JobState.CANCELLED, "reason")
        store.request_finish(job.id, FINISH)
        finishing = store.claim_job("worker", 60)
        assert finishing is not None
        assert (finishing.idle_s, finishing.idle_since) == (0.0, ended.idle_since)
        store.finish_job(job.id, 2, JobState.CANCELLED, "finished")
        store.retry_job(job.id)
        again = store.claim_job("worker", 60)
        assert again is not None
        assert ended.idle_since is not None
        now = store.events_after(job.id, 0)[-1].created_at
        assert 0 < again.idle_s <= (now - ended.idle_since).total_seconds()

    def test_a_pause_before_a_job_has_begun_costs_nothing(self, store: Store) -> None:
        job, _ = store.add_job("first", DOCUMENT)
        store.request_pause(job.id)
        store.resume_job(job.id)
        claimed = store.claim_job("worker", 60)
        assert claimed is not None
        assert (claimed.idle_s, claimed.idle_since) == (0.0, None)

    def test_a_request_that_its_worker_has_not_heard_yet_is_withdrawn(self, store: Store) -> None:
        job = running_job(store)
        store.request_pause(job.id)
        resumed = store.resume_job(job.id)
        assert (resumed.state, resumed.pause_requested) == (JobState.RUNNING, False)
        assert not store.heartbeat(job.id, 1, 60).pause_requested

    def test_a_worker_that_heard_of_a_withdrawn_request_gives_the_job_back(self, store: Store) -> None:
        job = running_job(store)
        store.request_pause(job.id)
        store.resume_job(job.id)
        assert store.pause_job(job.id, 1).state is JobState.RUNNING
        taken = store.claim_job("worker-2", 60)
        assert taken is not None
        assert taken.id == job.id

    def test_resuming_what_waits_or_runs_changes_nothing(self, store: Store) -> None:
        running, waiting = running_job(store), store.add_job("second", DOCUMENT)[0]
        before = store.last_sequence()
        assert [store.resume_job(job.id).state for job in (running, waiting)] == [JobState.RUNNING, JobState.QUEUED]
        assert store.last_sequence() == before

    def test_a_paused_job_is_cancelled_at_once_and_what_ran_of_it_is_closed(self, store: Store) -> None:
        job = job_with_trial(store)
        store.request_pause(job.id)
        store.pause_job(job.id, 1)
        cancelled = store.request_cancel(job.id)
        assert (cancelled.state, cancelled.reason) == (JobState.CANCELLED, "cancelled")
        assert (store.counts(job.id).running, store.counts(job.id).failed) == (0, 1)

    def test_a_cancellation_comes_before_a_pause(self, store: Store) -> None:
        job = running_job(store)
        store.request_pause(job.id)
        asked = store.request_cancel(job.id)
        assert (asked.cancel_requested, asked.pause_requested) == (True, False)
        with pytest.raises(IllegalMove, match="being cancelled: only one that waits or runs can be paused"):
            store.request_pause(job.id)

    def test_a_paused_finish_goes_back_to_how_the_search_ended_when_it_is_cancelled(self, store: Store) -> None:
        job = job_with_trial(store)
        store.finish_job(job.id, 1, JobState.SUCCEEDED, "budget spent")
        store.request_finish(job.id, FINISH)
        assert store.request_pause(job.id).state is JobState.PAUSED
        back = store.request_cancel(job.id)
        assert (back.state, back.reason) == (JobState.SUCCEEDED, "budget spent; finishing it: cancelled")

    @pytest.mark.parametrize("end", [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED])
    def test_what_has_ended_is_neither_paused_nor_resumed(self, store: Store, end: JobState) -> None:
        job = running_job(store)
        store.finish_job(job.id, 1, end, "reason")
        for ask in (store.request_pause, store.resume_job):
            with pytest.raises(IllegalMove, match=f"{end}: only"):
                ask(job.id)

    def test_a_cancelled_job_without_a_worker_ends_at_once(self, store: Store) -> None:
        job = running_job(store, lease_s=0)
        store.add_trial(job.id, 1, new_trial(0))
        assert store.request_cancel(job.id).state is JobState.CANCELLED
        assert store.counts(job.id).failed == 1
        assert store.claim_job("worker-2", 60) is None


class RetryContract:
    @pytest.mark.parametrize("end", [JobState.FAILED, JobState.CANCELLED])
    def test_a_search_that_failed_or_was_cancelled_goes_on(self, store: Store, end: JobState) -> None:
        job = job_with_trial(store)
        store.finish_job(job.id, 1, end, "reason")
        queued = store.retry_job(job.id)
        assert (queued.state, queued.reason, queued.finished_at, queued.search_ended) == (
            JobState.QUEUED,
            None,
            None,
            None,
        )
        assert not queued.cancel_requested
        claimed = store.claim_job("worker-2", 60)
        assert claimed is not None
        assert claimed.idle_s > 0
        assert claimed.search_ended is None
        assert [trial.number for trial in store.trials(job.id)] == [0, 1]

    def test_a_search_that_succeeded_or_goes_on_is_not_tried_again(self, store: Store) -> None:
        job = running_job(store)
        with pytest.raises(IllegalMove, match="running: only one that failed or was cancelled"):
            store.retry_job(job.id)
        store.finish_job(job.id, 1, JobState.SUCCEEDED, "budget spent")
        with pytest.raises(IllegalMove, match="succeeded"):
            store.retry_job(job.id)
        waiting, _ = store.add_job("second", DOCUMENT)
        with pytest.raises(IllegalMove, match="queued"):
            store.retry_job(waiting.id)


class PriorityContract:
    def test_the_highest_priority_is_claimed_first_and_among_equals_the_oldest(self, store: Store) -> None:
        given = {"low": -5, "first": 0, "high": 7, "second": 0, "higher": 8}
        ids = {name: store.add_job(name, DOCUMENT, priority=priority)[0].id for name, priority in given.items()}
        store.set_priority(ids["second"], 1)
        claimed = [store.claim_job("worker", 60) for _ in ids]
        assert [job and job.name for job in claimed] == ["higher", "high", "second", "first", "low"]

    def test_a_priority_out_of_range_is_refused_and_nothing_is_written(self, store: Store) -> None:
        job, _ = store.add_job("first", DOCUMENT)
        for priority in (-101, 101, 2**40):
            with pytest.raises(InvalidInput, match="-100 to 100"):
                store.set_priority(job.id, priority)
            with pytest.raises(InvalidInput, match="-100 to 100"):
                store.add_job("second", DOCUMENT, priority=priority)
        assert store.jobs() == ([job], None)

    def test_a_change_is_told_once_and_none_is_made_when_it_is_over(self, store: Store) -> None:
        job = running_job(store)
        before = store.last_sequence()
        assert store.set_priority(job.id, 3).priority == 3
        assert store.last_sequence() > before
        before = store.last_sequence()
        store.set_priority(job.id, 3)
        assert store.last_sequence() == before
        store.finish_job(job.id, 1, JobState.SUCCEEDED, None)
        with pytest.raises(IllegalMove, match="no longer matters"):
            store.set_priority(job.id, 4)


class DeleteContract:
    def test_all_that_belongs_to_a_job_goes_with_it_and_nothing_else(self, store: Store) -> None:
        kept, gone = job_with_trial(store, b"shared"), job_with_trial(store, b"shared")
        for job in (kept, gone):
            store.finish_job(job.id, 1, JobState.SUCCEEDED, "budget spent")
            store.request_finish(job.id, FINISH)
            store.claim_job("worker", 60)
            store.start_retraining(job.id, 2, KEY)
            weights = b"of " + job.id.encode()
            store.end_retraining(job.id, 2, KEY, trained(weights=weights))
            store.finish_job(job.id, 2, JobState.SUCCEEDED, "done")
        shared, own = store.trial(gone.id, 0).weights_sha256, store.retrainings(gone.id)[0].weights_sha256
        assert shared is not None
        assert own is not None
        before = (store.job(kept.id), store.trials(kept.id), store.retrainings(kept.id), store.events_after(kept.id, 0))
        store.delete_job(gone.id)
        for ask in (lambda: store.job(gone.id), lambda: store.trial(gone.id, 0), lambda: store.artifact(own)):
            with pytest.raises(NotFound):
                ask()
        assert store.artifact(shared) == b"shared"
        assert (store.trials(gone.id), store.retrainings(gone.id), store.events_after(gone.id, 0)) == ([], [], [])
        assert before == (
            store.job(kept.id),
            store.trials(kept.id),
            store.retrainings(kept.id),
            store.events_after(kept.id, 0),
        )
        store.delete_job(kept.id)
        with pytest.raises(NotFound):
            store.artifact(shared)

    def test_its_key_is_free_again_and_numbers_of_events_are_not_given_twice(self, store: Store) -> None:
        job, _ = store.add_job("first", DOCUMENT, "key")
        store.request_cancel(job.id)
        newest = store.last_sequence()
        store.delete_job(job.id)
        again, created = store.add_job("first", {"another": 1}, "key")
        assert created
        assert again.id != job.id
        assert store.last_sequence(again.id) > newest

    def test_a_job_that_waits_or_runs_is_kept_and_a_paused_one_may_go(self, store: Store) -> None:
        job, _ = store.add_job("first", DOCUMENT)
        with pytest.raises(IllegalMove, match="queued: cancel or pause it before it is deleted"):
            store.delete_job(job.id)
        store.claim_job("worker", 60)
        with pytest.raises(IllegalMove, match="running"):
            store.delete_job(job.id)
        store.request_pause(job.id)
        store.pause_job(job.id, 1)
        store.delete_job(job.id)
        assert store.jobs() == ([], None)

    def test_a_job_that_is_not_there_is_not_found(self, store: Store) -> None:
        for ask in (store.request_pause, store.resume_job, store.retry_job, store.delete_job):
            with pytest.raises(NotFound, match="j-none"):
                ask("j-none")
        with pytest.raises(NotFound, match="j-none"):
            store.pause_job("j-none", 1)
        with pytest.raises(NotFound, match="j-none"):
            store.set_priority("j-none", 1)


class ControlContract(PauseContract, RetryContract, PriorityContract, DeleteContract):
    """All of it."""
