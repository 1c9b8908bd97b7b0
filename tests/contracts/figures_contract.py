"""What the figures of every store must tell. A test file subclasses this and gives a `store` fixture."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update
from store_contract import KEY, complete, failed, job_to_finish, new_trial, running_job, skipped, trained

from nas.errors import InvalidInput
from nas.store.figures import EndedEvaluation, EvaluationKind
from nas.store.records import JobState, RetrainingState, SkipReason, TrialCounts, TrialOutcome, TrialState
from nas.store.store import Store
from nas.store.tables import events, jobs, retrainings, trials

TRIAL, RETRAINING = EvaluationKind.TRIAL, EvaluationKind.RETRAINING
AGO = timedelta(minutes=20)


def set_back(store: Store) -> None:
    """Make everything so far have happened twenty minutes ago."""
    with store._database.write() as connection:
        for table, names in (
            (jobs, ("created_at", "idle_since")),
            (trials, ("started_at", "finished_at")),
            (retrainings, ("started_at", "finished_at")),
            (events, ("created_at",)),
        ):
            key = list(table.primary_key.columns)
            for row in connection.execute(table.select()).all():
                values = {name: row._mapping[name] and row._mapping[name] - AGO for name in names}
                is_row = [column == row._mapping[column.name] for column in key]
                connection.execute(update(table).where(*is_row).values(values))


class FiguresContract:
    def test_an_empty_store_tells_of_nothing(self, store: Store) -> None:
        figures = store.figures(600)
        assert figures.jobs == dict.fromkeys(JobState, 0)
        assert (figures.oldest_wait_s, figures.leases_held, figures.leases_expired) == (0, 0, 0)
        assert figures.trials == TrialCounts(0, 0, 0, 0, 0, 0)
        assert figures.evaluations == ()

    def test_running_jobs_are_held_or_left(self, store: Store) -> None:
        running_job(store)
        running_job(store, lease_s=0)
        running_job(store, lease_s=0)
        store.add_job("waits", {})
        figures = store.figures(600)
        assert (figures.leases_held, figures.leases_expired) == (1, 2)
        assert figures.jobs == store.job_counts()

    def test_trials_of_all_jobs_are_counted_by_state(self, store: Store) -> None:
        for _ in range(2):
            job = running_job(store)
            for number in range(3):
                store.add_trial(job.id, 1, new_trial(number))
            store.finish_trial(job.id, 1, 0, complete(), None)
            store.finish_trial(job.id, 1, 1, failed(), None)
            store.add_trial(job.id, 1, skipped(3, SkipReason.DUPLICATE, same_as=0))
            store.add_trial(job.id, 1, skipped(4, SkipReason.OVER_LIMIT))
        expected = TrialCounts(running=2, complete=2, stopped=0, failed=2, duplicate=2, over_limit=2)
        assert store.figures(600).trials == expected

    def test_the_oldest_wait_is_that_of_the_job_that_has_been_in_the_queue_longest(self, store: Store) -> None:
        store.add_job("first", {})
        set_back(store)
        store.add_job("second", {})
        assert AGO.total_seconds() <= store.figures(600).oldest_wait_s < AGO.total_seconds() + 60

    def test_a_job_that_waits_again_has_waited_since_it_came_back(self, store: Store) -> None:
        job, _ = store.add_job("first", {})
        store.request_pause(job.id)
        set_back(store)
        assert store.figures(600).oldest_wait_s == 0
        store.resume_job(job.id)
        assert store.figures(600).oldest_wait_s < 60
        set_back(store)
        store.set_priority(job.id, 5)  # changes where it stands in the queue, not since when
        assert AGO.total_seconds() <= store.figures(600).oldest_wait_s < AGO.total_seconds() + 60

    def test_evaluations_are_those_that_ended_within_the_window(self, store: Store) -> None:
        job = running_job(store)
        for number in range(5):
            store.add_trial(job.id, 1, new_trial(number))
        store.finish_trial(job.id, 1, 0, complete(), None)
        set_back(store)
        store.finish_trial(job.id, 1, 1, complete(), None)
        store.finish_trial(job.id, 1, 2, failed(), None)
        store.score_trial(job.id, 1, 3, {"error_rate": 0.5}, {}, 2.0)
        store.add_trial(job.id, 1, skipped(5, SkipReason.OVER_LIMIT))
        ended = [EndedEvaluation(TRIAL, TrialState.COMPLETE, 1.5), EndedEvaluation(TRIAL, TrialState.FAILED, 0.5)]
        assert sorted(store.figures(600).evaluations, key=lambda evaluation: evaluation.state) == ended
        assert len(store.figures(1800).evaluations) == 3

    def test_a_recalled_score_is_no_evaluation(self, store: Store) -> None:
        job = running_job(store)
        store.add_trial(job.id, 1, new_trial(0))
        outcome = TrialOutcome(TrialState.COMPLETE, {"macs": 1000}, {"recalled": {}}, None, 0.0, recalled=True)
        store.finish_trial(job.id, 1, 0, outcome, None)
        assert store.figures(600).evaluations == ()

    def test_a_retraining_is_told_of_once_and_its_trial_not_again(self, store: Store) -> None:
        job = job_to_finish(store)
        set_back(store)
        store.start_retraining(job.id, 2, KEY)
        store.score_retraining(job.id, 2, KEY, {"steps": 1, "metrics": {}}, {}, 2.0)
        assert store.figures(600).evaluations == ()
        store.end_retraining(job.id, 2, KEY, trained())
        duration_s = store.retrainings(job.id)[0].duration_s
        assert duration_s > 2.0
        told = EndedEvaluation(RETRAINING, RetrainingState.COMPLETE, duration_s)
        assert store.figures(600).evaluations == (told,)

    def test_what_the_end_of_its_job_broke_off_is_no_evaluation(self, store: Store) -> None:
        job = running_job(store)
        store.add_trial(job.id, 1, new_trial(0))
        store.request_pause(job.id)
        store.pause_job(job.id, 1)
        set_back(store)  # all the while nobody trains it
        store.request_cancel(job.id)
        assert store.trial(job.id, 0).duration_s >= AGO.total_seconds()
        finished = job_to_finish(store)
        store.start_retraining(finished.id, 2, KEY)
        store.finish_job(finished.id, 2, JobState.SUCCEEDED, "cancelled")
        assert store.retrainings(finished.id)[0].state is RetrainingState.FAILED
        set_back(store)
        assert store.figures(1800).trials.failed == 1
        assert [told for told in store.figures(1800).evaluations if told.state == "failed"] == []

    def test_what_was_deleted_is_told_of_no_more(self, store: Store) -> None:
        job = running_job(store)
        store.add_trial(job.id, 1, new_trial(0))
        store.finish_trial(job.id, 1, 0, complete(), None)
        store.finish_job(job.id, 1, JobState.SUCCEEDED, None)
        assert len(store.figures(600).evaluations) == 1
        store.delete_job(job.id)
        assert store.figures(600) == store.figures(60)
        assert store.figures(600).trials.complete == 0

    @pytest.mark.parametrize("window_s", [0, -1, float("nan"), 86_401])
    def test_a_window_out_of_range_is_invalid(self, store: Store, window_s: float) -> None:
        with pytest.raises(InvalidInput, match="window_s"):
            store.figures(window_s)
