"""Finishing a job: real trainings in full, in real processes, killed and gone on with, over REST and by command."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from api_examples import job_document

from nas.errors import Conflict, IllegalMove, InvalidInput
from nas.export.config import read_config
from nas.export.rebuild import rebuild
from nas.jobs.assignments import assignment_of
from nas.jobs.catalogue import finish, submit
from nas.jobs.context import JobContext
from nas.jobs.delivery import config_of, weights_of
from nas.jobs.evaluation import evaluate
from nas.jobs.fidelity_report import fidelity_of
from nas.jobs.view import view_of
from nas.jobs.worker import Worker
from nas.quality.datasets import Dataset, load_dataset
from nas.search.promotion import Ladder
from nas.store.records import JobState, RetrainingState, TrialState

TASK = {"dataset": "language-identification", "metric": "error_rate", "training": {"steps": 12, "batch_size": 8}}
SMALL = {"task": TASK, "constraints": [], "budget": {"trials": 8}, "promotion": {"rungs": 2, "cohort": 4}}


pytestmark = pytest.mark.usefixtures("cache")


def test_a_job_that_asks_for_it_is_finished_and_what_it_delivers_rebuilds_as_tested(store, cache):
    asked = {"seeds": 2, "sample": 4, "members": 2}
    job, _ = submit(store, job_document(**SMALL, finish=asked))
    job = Worker(store, processes=2).run_job(job.id)
    assert job.state is JobState.SUCCEEDED
    assert job.search_ended["reason"] == "budget spent: 8 candidates evaluated"
    assert job.reason.startswith("budget spent: 8 candidates evaluated; finishing it: ")
    records = store.retrainings(job.id)
    assert {r.state for r in records} == {RetrainingState.COMPLETE}
    trials = {t.number: t for t in store.trials(job.id)}
    for record in records:
        assert record.key.steps == 48
        assert [score["steps"] for score in record.scores] == [4, 12, 48]
        assert set(record.test_metrics) == {"error_rate", "loss"}
        assert (record.training["label"], record.training["steps_taken"] < 48) == ("trained", True)
        # The first seed is the search's: on its rungs, the same bits
        if record.key.seed == 0:
            rungs = trials[record.key.trial].training["rungs"]
            for rung, score in zip(rungs, record.scores, strict=False):
                assert score["metrics"] == {name: rung["metrics"][name] for name in score["metrics"]}
    view = view_of(store, job)
    report = fidelity_of(store, job)
    assert report["status"] == "checked"
    assert [member["trial"] for member in report["finish"]["members"] if "front" in member["roles"]]
    for number in view.front[:1] if len(view.front) > 2 else view.front:
        trial = trials[number]
        config = read_config(json.dumps(config_of(store, job, trial, None)))
        assert (config.quality.label, config.quality.split) == ("tested", "test")
        rebuilt = rebuild(config, weights=weights_of(store, job, trial)[0], measure_latency=False)
        assert rebuilt.agrees, rebuilt.to_dict()
    assert list((cache / "trunks").glob("*")) == []


def test_a_search_never_reads_the_test_split(store, monkeypatch):
    job, _ = submit(store, job_document(**SMALL))
    context = JobContext.load(store, job.document)
    architecture = context.space.sample(random.Random(0))
    data = load_dataset("language-identification")
    asked = []

    def split(self, name):
        asked.append(name)
        return self.splits[name]

    monkeypatch.setattr(Dataset, "split", split)
    searched = assignment_of(context, architecture.to_dict(), Ladder((4, 12)), 1)
    assert evaluate(searched).error is None
    assert set(asked) == {"train", "validation"}
    assert evaluate(replace(searched, in_full=True)).test_metrics is not None
    assert "test" in asked
    assert data.info.examples["test"] > 0


@pytest.mark.long
def test_a_finished_job_is_finished_again_with_more_seeds_and_trains_only_those(store):
    job, _ = submit(store, job_document(**SMALL))
    job = Worker(store, processes=2).run_job(job.id)
    asked = {"seeds": 1, "sample": 0, "members": 1}
    finish(store, job.id, asked)
    Worker(store, processes=2).run_job(job.id)
    first = store.retrainings(job.id)
    assert {r.key.seed for r in first} == {0}
    finish(store, job.id, asked | {"seeds": 2})
    job = Worker(store, processes=2).run_job(job.id)
    both = store.retrainings(job.id)
    assert [r for r in both if r.key.seed == 0] == first
    assert {r.key.seed for r in both} == {0, 1}
    assert job.state is JobState.SUCCEEDED


@pytest.mark.long
def test_what_can_not_be_finished_is_refused(store):
    queued, _ = submit(store, job_document(**SMALL))
    with pytest.raises(Conflict, match="no complete trial"):
        finish(store, queued.id, {})
    ended = Worker(store, processes=2).run_job(queued.id)
    with pytest.raises(InvalidInput) as refused:
        finish(store, ended.id, {"seeds": 0, "epochs": 3})
    assert sorted(problem.field for problem in refused.value.problems) == ["epochs", "seeds"]
    assert store.job(ended.id) == ended
    finish(store, ended.id, {})
    with pytest.raises(IllegalMove, match="being finished in another way"):
        finish(store, ended.id, {"seeds": 7})


@pytest.mark.long
def test_a_cancelled_finish_leaves_the_job_as_its_search_made_it(store):
    job, _ = submit(store, job_document(**SMALL))
    Worker(store, processes=2).run_job(job.id)
    finish(store, job.id, {"steps": 100_000, "sample": 0})
    claimed = store.claim_job_by_id(job.id, "here", 60)
    store.request_cancel(job.id)
    store.release_job(job.id, claimed.lease_token)
    ended = Worker(store, processes=1).run_job(job.id)
    assert (ended.state, ended.search_ended["state"]) == (JobState.SUCCEEDED, "succeeded")
    assert ended.reason.endswith("; finishing it: cancelled")
    assert store.counts(job.id).complete >= 1


WORKER = """
import sys, threading
from nas.jobs.worker import Worker
from nas.quality import training
from nas.store.store import Store

training.CHECKPOINT_S = 0.2  # evaluation processes read this file, too

if __name__ == "__main__":
    Worker(Store.open(sys.argv[1]), processes=1, lease_s=3).run(threading.Event())
"""


def until(condition, timeout_s=120.0):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


@pytest.mark.long
def test_a_worker_killed_in_mid_training_goes_on_where_it_was_with_the_same_scores(store, cache, tmp_path):
    jobs = [submit(store, job_document(**SMALL | {"budget": {"trials": 2}, "promotion": None}))[0] for _ in range(2)]
    for job in jobs:
        Worker(store, processes=2).run_job(job.id)
    asked = {"steps": 400, "seeds": 1, "sample": 0, "members": 1}
    undisturbed, job = jobs
    finish(store, undisturbed.id, asked)
    Worker(store, processes=1).run_job(undisturbed.id)
    finish(store, job.id, asked)

    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    command = [sys.executable, str(script), f"sqlite:///{tmp_path / 'nas.db'}"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=env, start_new_session=True, **quiet)
    until(lambda: any(len(record.scores) == 1 for record in store.retrainings(job.id)))
    until(lambda: any(path.suffix == ".safetensors" for path in (cache / "trunks").glob("*")))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert store.job(job.id).state is JobState.RUNNING
    process = subprocess.Popen(command, env=env, start_new_session=True, **quiet)
    until(lambda: store.job(job.id).state.is_final)
    process.terminate()
    process.wait(timeout=20)
    one, two = (store.retrainings(each.id) for each in (undisturbed, job))
    assert [(r.scores, r.test_metrics, r.weights_sha256) for r in one] == [
        (r.scores, r.test_metrics, r.weights_sha256) for r in two
    ]
    assert {r.state for r in two} == {RetrainingState.COMPLETE}
    assert len([t for t in store.trials(job.id) if t.state is not TrialState.SKIPPED]) == 2  # no search again
