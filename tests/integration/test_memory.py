"""Memory between jobs: what one job has trained, another one that trains in the same way looks up."""

import threading

import pytest

from nas.jobs.catalogue import submit
from nas.jobs.memory import Memory
from nas.jobs.report import describe_job, describe_trial
from nas.jobs.view import view_of
from nas.jobs.worker import Worker
from nas.search.job import JobSpec
from nas.store.records import JobState, TrialState
from tests.integration.api_examples import RecordingWorker, job_document

PLAN = {"steps": 3, "batch_size": 8}


pytestmark = pytest.mark.usefixtures("cache")


def submitted(store, **changes):
    return submit(store, job_document(**{"memory": True, **changes}))[0]


def memory_of(store, **changes):
    job = submitted(store, **changes)
    return Memory(store, job, JobSpec.from_document(job.document["spec"]))


def task(**changes):
    return {"dataset": "language-identification", "metric": "error_rate", "training": PLAN, **changes}


def scored(store, job):
    return {t.number: t for t in store.trials(job.id) if t.state is not TrialState.SKIPPED}


# What a score is taken from --------------------------------------------------------------------------------------


def test_a_score_is_recalled_with_its_weights_and_where_it_is_from(store):
    first = RecordingWorker(store, submitted(store, seed=7))
    first.complete(0.3, weights=True)
    found = memory_of(store, seed=1).recall(first.feasible[0], 0)
    assert found.metrics == {"error_rate": 0.3, "loss": 2.0}
    assert found.weights == store.artifact(store.trial(first.job.id, 0).weights_sha256)
    assert found.training["recalled"] == {"job": first.job.id, "trial": 0, "seed": 7}
    assert (found.training["steps"], found.training["steps_taken"], found.training["cpu_s"]) == (3, 0, 0.0)
    assert found.training["history"] == [[1, 3.5], [3, 2.0]]
    assert memory_of(store).recall(first.feasible[1], 0) is None


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"memory": False}, id="it was told to forget"),
        pytest.param({"task": task(training={**PLAN, "steps": 4})}, id="more steps"),
        pytest.param({"task": task(training={**PLAN, "batch_size": 9})}, id="another batch size"),
        pytest.param({"task": task(training={**PLAN, "learning_rate": 1e-3})}, id="another rate"),
        pytest.param({"workload": {"batch": 1, "input_length": 17}}, id="another length"),
        pytest.param({"task": task(dataset="language-identification-subwords")}, id="other data"),
        pytest.param({"promotion": {"rungs": 2, "reduction": 3}}, id="another warm-up"),
    ],
)
def test_what_was_trained_in_another_way_is_no_score(store, changes):
    first = RecordingWorker(store, submitted(store))
    first.complete(0.3, weights=True)
    assert memory_of(store).recall(first.feasible[0], 0) is not None
    assert memory_of(store, **changes).recall(first.feasible[0], 0) is None


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"workload": {"batch": 4, "input_length": 16}}, id="another batch of the deployed model"),
        pytest.param({"objectives": ["loss", "macs"], "constraints": []}, id="other objectives and limits"),
        pytest.param({"seed": 5}, id="another seed"),
    ],
)
def test_what_changes_no_training_changes_no_score(store, changes):
    first = RecordingWorker(store, submitted(store))
    first.complete(0.3, weights=True)
    assert memory_of(store, **changes).recall(first.feasible[0], 0) is not None


def test_the_score_under_the_own_seed_comes_first_then_the_oldest(store):
    for seed, error in ((4, 0.4), (5, 0.5), (6, 0.6)):
        worker = RecordingWorker(store, submitted(store, seed=seed))
        worker.complete(error, weights=True)
    architecture = worker.feasible[0]
    assert memory_of(store, seed=6).recall(architecture, 0).metrics["error_rate"] == 0.6
    assert memory_of(store, seed=9).recall(architecture, 0).metrics["error_rate"] == 0.4


def test_what_was_trained_on_other_hardware_or_keeps_no_weights_is_no_score(store, monkeypatch):
    first = RecordingWorker(store, submitted(store))
    first.complete(0.3, weights=True)
    first.complete(0.4, weights=False)
    assert memory_of(store).recall(first.feasible[1], 0) is None
    monkeypatch.setattr("nas.quality.hardware.Hardware.name", "Card, bfloat16 mixed")
    assert memory_of(store).recall(first.feasible[0], 0) is None


# Jobs ------------------------------------------------------------------------------------------------------------


def test_a_second_job_saves_the_evaluations_that_the_first_one_made(store):
    first, second = submitted(store, budget={"trials": 6}), submitted(store, budget={"trials": 8})
    for job in (first, second):
        assert Worker(store, processes=1).run_job(job.id).state is JobState.SUCCEEDED
    before, after = scored(store, first), scored(store, second)
    shared = {t.architecture_id: t for t in before.values()}
    known = [t for t in after.values() if t.architecture_id in shared]
    assert len(known) == 6, "the same seed proposes the same first candidates"
    for trial in known:
        source = shared[trial.architecture_id]
        assert trial.metrics == source.metrics
        assert trial.weights_sha256 == source.weights_sha256
        assert trial.training["recalled"] == {"job": first.id, "trial": source.number, "seed": 0}
    progress = describe_job(store, store.job(second.id))["progress"]
    assert (progress["recalled"], progress["evaluated"]) == (6, 8)
    assert describe_job(store, store.job(first.id))["progress"]["recalled"] == 0
    shown = describe_trial(store.job(second.id), known[0], view_of(store, store.job(second.id)))
    assert shown["recalled"]["job"] == first.id
    assert shown["has_weights"]


PROMOTED = {
    "task": task(training={"steps": 36, "batch_size": 8}),
    "constraints": [],
    "budget": {"trials": 8},
    "promotion": {"rungs": 2, "reduction": 3, "cohort": 4},
}


def test_scores_on_every_rung_are_recalled_and_nothing_is_trained(store, cache):
    first, second = (submitted(store, **PROMOTED) for _ in range(2))
    for job in (first, second):
        Worker(store, processes=1).run_job(job.id)
    before, after = scored(store, first), scored(store, second)
    assert {n: (t.state, t.metrics, t.weights_sha256) for n, t in after.items()} == {
        n: (t.state, t.metrics, t.weights_sha256) for n, t in before.items()
    }
    assert {t.training["steps_taken"] for t in after.values()} == {0}
    assert store.recalled_count(second.id) == len(after)
    assert {rung["recalled"]["job"] for t in after.values() for rung in t.training["rungs"]} == {first.id}
    assert not list((cache / "trunks").glob("*"))


@pytest.mark.long
def test_a_candidate_that_was_stopped_is_trained_on_by_a_job_that_promotes_it(store):
    stopping = submitted(store, **PROMOTED)
    Worker(store, processes=1).run_job(stopping.id)
    # With more objectives more are not dominated, and go on
    lenient = {**PROMOTED, "objectives": ["error_rate", "parameters", "peak_activation_mb", "loss"]}
    anew, recalling = submitted(store, **lenient, memory=False), submitted(store, **lenient)
    for job in (recalling, anew):
        Worker(store, processes=1).run_job(job.id)
    # To the bit what a job comes to that knows nothing
    expected = {n: (t.state, t.metrics, t.weights_sha256) for n, t in scored(store, anew).items()}
    assert {n: (t.state, t.metrics, t.weights_sha256) for n, t in scored(store, recalling).items()} == expected
    partly = [t for t in scored(store, recalling).values() if "recalled" in t.training["rungs"][0]]
    trained_on = [t for t in partly if t.training["steps_taken"]]
    assert trained_on
    assert all("recalled" not in t.training for t in trained_on)


def test_a_job_that_only_recalls_can_be_stopped_and_goes_on(store):
    first, second = (submitted(store, budget={"trials": 6}) for _ in range(2))
    Worker(store, processes=1).run_job(first.id)
    stop = threading.Event()
    stop.set()
    Worker(store, processes=1).run_job(second.id, stop)
    assert store.job(second.id).state is JobState.RUNNING or not store.job(second.id).state.is_final
    assert Worker(store, processes=1).run_job(second.id).state is JobState.SUCCEEDED
    assert store.recalled_count(second.id) == 6
