"""The worker on real data: the same job twice, killed and taken over, cancelled, stopped, failing."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from nas.architecture import Architecture
from nas.errors import Conflict
from nas.export.weights import load_weights
from nas.jobs.catalogue import retry, submit
from nas.jobs.report import describe_job, front_of
from nas.jobs.worker import Worker
from nas.models import build_model
from nas.quality.datasets import load_dataset
from nas.quality.score import evaluate
from nas.store.database import Database
from nas.store.records import JobState, TrialState
from nas.store.tables import jobs
from nas.workload import Workload
from tests.integration.api_examples import RecordingWorker, job_document
from tests.integration.processes import descendants, running, until


def queued(store, **changes):
    return submit(store, job_document(**{"budget": {"trials": 6}, "sampler": "tpe", **changes}))[0]


def record(store, job):
    return [
        (t.number, t.state, t.architecture_id, t.skip_reason, t.same_as, t.metrics.get("error_rate"), t.weights_sha256)
        for t in store.trials(job.id)
    ]


def test_two_runs_of_one_job_give_the_same_trials_scores_and_weights(store):
    first, second = queued(store), queued(store)
    worker = Worker(store, processes=1)
    assert worker.run_job(first.id).state is JobState.SUCCEEDED
    assert worker.run_job(second.id).state is JobState.SUCCEEDED
    assert record(store, first) == record(store, second)
    assert store.counts(first.id).complete == 6


@pytest.mark.long
def test_two_processes_give_the_same_trials_on_every_run(store):
    first, second = (queued(store, budget={"trials": 5}) for _ in range(2))
    for job in (first, second):
        Worker(store, processes=2).run_job(job.id)
    assert record(store, first) == record(store, second)


def test_stored_weights_score_what_the_trial_says(store):
    job = queued(store, budget={"trials": 2})
    Worker(store, processes=1).run_job(job.id)
    dataset = load_dataset("language-identification")
    for trial in store.trials(job.id, state=TrialState.COMPLETE):
        model = build_model(Architecture.from_dict(trial.architecture))
        load_weights(model, store.artifact(trial.weights_sha256))
        again = evaluate(model, dataset, "validation", Workload(input_length=16))
        assert again["error_rate"] == pytest.approx(trial.metrics["error_rate"], abs=1e-6)
        assert again["loss"] == pytest.approx(trial.metrics["loss"], abs=1e-6)


def test_the_reference_point_is_fixed_when_the_job_starts(store):
    job = queued(store, budget={"trials": 2})
    assert job.reference is None
    Worker(store, processes=1).run_job(job.id)
    reference = store.job(job.id).reference
    assert reference["point"]["parameters"] == 24000  # the limit, below what the space reaches
    assert reference["ideal"] == {"error_rate": 0.0, "parameters": 6059}
    summary = describe_job(store, store.job(job.id))
    assert 0 <= summary["progress"]["hypervolume"] <= 1
    assert front_of(store, store.job(job.id))["members"]


WORKER = """
import sys, threading
from nas.jobs.worker import Worker
from nas.store.store import Store

if __name__ == "__main__":
    Worker(Store.open(sys.argv[1]), processes=2, lease_s=4).run(threading.Event())
"""


def worker_process(database: Path) -> subprocess.Popen:
    """As `nas worker`, but that its lease runs out sooner."""
    script = database.with_name("worker.py")
    script.write_text(WORKER)
    command = [sys.executable, str(script), f"sqlite:///{database}"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, env=env, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


@pytest.mark.parametrize("kills", [(2,), pytest.param((2, 5, 7), marks=pytest.mark.long)])
def test_a_worker_killed_in_mid_job_is_taken_over_and_nothing_is_lost_or_trained_twice(store, tmp_path, kills):
    steps = {"steps": 40, "batch_size": 8}
    task = {"dataset": "language-identification", "metric": "error_rate", "training": steps}
    budget = {"trials": kills[-1] + 4}
    undisturbed = queued(store, task=task, budget=budget)
    Worker(store, processes=2).run_job(undisturbed.id)

    job = queued(store, task=task, budget=budget)
    database = tmp_path / "nas.db"
    for finished_before_the_kill in kills:
        process = worker_process(database)
        until(lambda n=finished_before_the_kill: store.counts(job.id).complete >= n, 90)
        children = descendants(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        recorded = {t.number: t for t in store.trials(job.id) if t.state.is_final}
        assert store.job(job.id).state is JobState.RUNNING
        until(lambda pids=children: not running(pids), 10)
        assert len(recorded) >= finished_before_the_kill
    process = worker_process(database)
    until(lambda: store.job(job.id).state.is_final, 90)
    process.terminate()
    process.wait(timeout=20)
    assert store.job(job.id).state is JobState.SUCCEEDED
    after = {t.number: t for t in store.trials(job.id)}
    assert all(after[number] == trial for number, trial in recorded.items())  # to the byte: never evaluated again
    assert sorted(after) == list(range(len(after)))
    assert record(store, job) == record(store, undisturbed)


def test_a_cancelled_job_stops_and_its_running_trials_are_closed(store):
    job = queued(
        store,
        task={"dataset": "language-identification", "metric": "error_rate", "training": {"steps": 100_000}},
    )
    thread = threading.Thread(target=Worker(store, processes=1).run_job, args=(job.id,))
    thread.start()
    until(lambda: store.counts(job.id).running == 1)
    store.request_cancel(job.id)
    thread.join(timeout=30)
    assert not thread.is_alive()
    assert store.job(job.id).state is JobState.CANCELLED
    assert store.counts(job.id).running == 0


def test_a_paused_job_goes_on_from_where_it_was_with_the_record_of_an_undisturbed_one(store):
    task = {"dataset": "language-identification", "metric": "error_rate", "training": {"steps": 150, "batch_size": 8}}
    undisturbed, job = (queued(store, task=task, budget={"trials": 12}) for _ in range(2))
    Worker(store, processes=2).run_job(undisturbed.id)
    for evaluated in (1, 3):
        thread = threading.Thread(target=Worker(store, processes=2).run_job, args=(job.id,))
        thread.start()
        until(lambda n=evaluated: store.job(job.id).state is JobState.RUNNING and store.counts(job.id).complete >= n)
        store.request_pause(job.id)
        thread.join(timeout=60)
        assert not thread.is_alive()
        assert store.job(job.id).state is JobState.PAUSED
        assert not Worker(store, processes=1).run_once()
        store.resume_job(job.id)
    assert Worker(store, processes=2).run_job(job.id).state is JobState.SUCCEEDED
    assert record(store, job) == record(store, undisturbed)


def test_the_hours_of_a_job_do_not_run_while_it_is_paused(store, tmp_path):
    job = queued(store, budget={"trials": 2, "hours": 1})
    assert store.claim_job("worker", 0) is not None
    with Database(
        f"sqlite:///{tmp_path}/nas.db"
    ).write() as connection:  # as if it had been paused for the two hours since it began
        two_hours = timedelta(hours=2)
        begun = {"started_at": store.job(job.id).started_at - two_hours, "idle_s": two_hours.total_seconds()}
        connection.execute(update(jobs).where(jobs.c.id == job.id).values(begun))
    assert Worker(store, processes=1).run_job(job.id).reason == "budget spent: 2 candidates evaluated"


def test_a_cancelled_search_that_is_retried_goes_on_and_ends_its_budget(store):
    job = queued(store, budget={"trials": 3})
    store.request_cancel(job.id)
    assert not Worker(store, processes=1).run_once()
    assert retry(store, job.id).state is JobState.QUEUED
    assert Worker(store, processes=1).run_job(job.id).state is JobState.SUCCEEDED
    with pytest.raises(Conflict, match="succeeded"):
        retry(store, job.id)


def test_a_failed_search_without_budget_left_is_not_retried_and_says_what_to_do(store):
    job = queued(store, budget={"trials": 2})
    recorded = RecordingWorker(store, job)
    for _ in range(2):
        recorded.fail(recorded.start(), "the disk is full")
    store.finish_job(job.id, 1, JobState.FAILED, "no candidate was evaluated: the disk is full")
    with pytest.raises(Conflict, match="used up its budget of 2 trials, 2 of which failed: submit it again"):
        retry(store, job.id)
    assert store.job(job.id).state is JobState.FAILED


def stop_after_first_trial_of(job, store):
    """Let a worker begin the job, and tell it to stop; its lease would keep the job for ten minutes."""
    stop = threading.Event()
    thread = threading.Thread(target=Worker(store, processes=1, lease_s=600).run, args=(stop,))
    thread.start()
    until(lambda: store.counts(job.id).complete >= 1)
    stop.set()
    thread.join(timeout=30)
    assert not thread.is_alive()


def test_a_stopped_worker_hands_its_job_to_the_next_at_once(store):
    job = queued(store)
    stop_after_first_trial_of(job, store)
    assert store.job(job.id).state is JobState.RUNNING
    assert Worker(store, processes=1).run_once()
    assert store.job(job.id).state is JobState.SUCCEEDED


def test_a_job_that_was_handed_back_is_not_taken_again_by_a_heartbeat(store, monkeypatch):
    job = queued(store)
    release = store.release_job

    def released_slowly(job_id, token):
        release(job_id, token)
        time.sleep(1.5)  # a lease is renewed every second

    monkeypatch.setattr(store, "release_job", released_slowly)
    stop_after_first_trial_of(job, store)
    claimed = store.claim_job("the next", 60)
    assert claimed is not None
    assert claimed.id == job.id


def test_a_job_whose_data_are_not_the_ones_it_was_submitted_with_fails_and_says_so(store):
    job = queued(store, budget={"trials": 2})
    document = {**job.document, "dataset": {**job.document["dataset"], "sha256": "0" * 64}}
    other, _ = store.add_job("other data", document)
    ended = Worker(store, processes=1).run_job(other.id)
    assert ended.state is JobState.FAILED
    assert "sha256" in ended.reason


def test_training_that_diverges_is_a_failed_trial_with_its_reason(store):
    plan = {"steps": 30, "batch_size": 8, "learning_rate": 1.0}
    job = queued(
        store,
        task={"dataset": "language-identification", "metric": "error_rate", "training": plan},
        budget={"trials": 3},
    )
    ended = Worker(store, processes=1).run_job(job.id)
    failed = store.trials(job.id, state=TrialState.FAILED)
    assert store.counts(job.id).complete + len(failed) == 3
    assert all("loss is" in t.error for t in failed)
    assert ended.state.is_final
