"""Jobs of every task, with promotion, and killed while they train: on real data, in real processes."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from api_examples import job_document

from nas.errors import InvalidInput
from nas.export.config import read_config
from nas.export.rebuild import rebuild
from nas.jobs.catalogue import submit
from nas.jobs.delivery import config_of, weights_of
from nas.jobs.report import describe_job, describe_trial, front_of
from nas.jobs.view import view_of
from nas.jobs.worker import Worker
from nas.quality.training import decay_start
from nas.store.records import JobState, TrialState
from tests.unit.small_spaces import small_space

pytestmark = pytest.mark.usefixtures("cache")


def trunks(cache):
    return list((cache / "trunks").glob("*"))


def record(store, job):
    return [
        (t.number, t.state, t.architecture_id, t.metrics, (t.training or {}).get("history"), t.weights_sha256)
        for t in store.trials(job.id)
    ]


TASKS = {
    "language-model": {
        "search_space": small_space("small-decoder").to_document(),
        "task": {"dataset": "python-docs", "metric": "bits_per_byte", "training": {"steps": 30, "batch_size": 8}},
        "workload": {"input_length": 24, "output_length": 8},
        "objectives": ["bits_per_byte", "macs_step"],
        "constraints": ["kv_cache_mb <= 1"],
    },
    "sequence-to-sequence": {
        "search_space": small_space("small-encoder-decoder").to_document(),
        "task": {"dataset": "cmudict", "metric": "phoneme_error_rate", "training": {"steps": 30, "batch_size": 8}},
        "workload": {"input_length": 12, "output_length": 12},
        "objectives": ["phoneme_error_rate", "macs"],
        "constraints": [],
    },
}


SLOW_TASKS = {"sequence-to-sequence"}


@pytest.mark.parametrize("task", [pytest.param(t, marks=[pytest.mark.long] * (t in SLOW_TASKS)) for t in TASKS])
def test_a_job_of_another_task_ends_with_models_that_rebuild_as_they_were(store, task):
    job, _ = submit(store, job_document(**TASKS[task], budget={"trials": 2}))
    assert Worker(store, processes=1).run_job(job.id).state is JobState.SUCCEEDED
    job = store.job(job.id)
    chance = next(d for d in store.datasets() if d["name"] == TASKS[task]["task"]["dataset"])["chance"]
    assert job.reference["point"][TASKS[task]["objectives"][0]] == chance[TASKS[task]["objectives"][0]]
    for trial in store.trials(job.id, state=TrialState.COMPLETE):
        assert set(chance) <= set(trial.metrics)
        assert 0 < trial.metrics["loss"] < 1.5 * chance["loss"]
        config = read_config(json.dumps(config_of(store, job, trial, None)))
        assert (
            config.training.workload.key
            == f"batch=1,{','.join(f'{k}={v}' for k, v in TASKS[task]['workload'].items())}"
        )
        rebuilt = rebuild(config, weights=weights_of(store, job, trial)[0], measure_latency=False)
        assert rebuilt.agrees, rebuilt.to_dict()
        assert {row.name.split(" ")[0] for row in rebuilt.rows} >= set(chance)


PROMOTED = {
    "task": {
        "dataset": "language-identification",
        "metric": "error_rate",
        "training": {"steps": 36, "batch_size": 8},
    },
    "promotion": {"rungs": 3, "reduction": 3, "cohort": 6},
    "budget": {"trials": 12},
    "constraints": [],
    "objectives": ["error_rate", "macs"],
}


def test_promotion_stops_most_early_and_the_front_is_of_those_trained_in_full(store, cache):
    job, _ = submit(store, job_document(**PROMOTED))
    assert Worker(store, processes=2).run_job(job.id).state is JobState.SUCCEEDED
    job = store.job(job.id)
    trials = [t for t in store.trials(job.id) if t.state is not TrialState.SKIPPED]
    complete = [t for t in trials if t.state is TrialState.COMPLETE]
    stopped = [t for t in trials if t.state is TrialState.STOPPED]
    assert len(complete) + len(stopped) == 12
    assert 2 <= len(complete) < 12
    for trial in trials:
        steps = [rung["steps"] for rung in trial.training["rungs"]]
        assert steps == [4, 12, 36][: len(steps)]
        assert (steps[-1] == 36) == (trial.state is TrialState.COMPLETE)
        # One trunk and the decays, never from the start again
        assert trial.training["steps_taken"] == decay_start(steps[-1]) + sum(n - decay_start(n) for n in steps)
        assert trial.metrics["error_rate"] == trial.training["rungs"][-1]["metrics"]["error_rate"]
    view = view_of(store, job)
    assert set(view.front) <= {t.number for t in complete}
    shown = describe_trial(job, stopped[0], view)
    assert shown["state"] == "stopped"
    assert shown["stop_reason"].startswith("stopped after ")
    assert shown["quality_label"] == "proxy"
    assert not shown["has_weights"]
    progress = describe_job(store, job)["progress"]
    assert (progress["evaluated"], progress["stopped"]) == (12, len(stopped))
    assert front_of(store, job)["members"]
    assert trunks(cache) == []  # nothing is left of what was trained


def test_one_worker_process_and_two_give_the_same_bits(store):
    jobs = [submit(store, job_document(**PROMOTED))[0] for _ in range(2)]
    for job, processes in zip(jobs, (1, 2), strict=True):
        Worker(store, processes=processes).run_job(job.id)
    assert record(store, jobs[0]) == record(store, jobs[1])


WORKER = """
import sys, threading
from nas.jobs.worker import Worker
from nas.quality import training
from nas.store.store import Store

training.CHECKPOINT_S = 0.2  # evaluation processes read this file, too

if __name__ == "__main__":
    Worker(Store.open(sys.argv[1]), processes=1, lease_s=3).run(threading.Event())
"""


def until(condition, timeout_s=90.0):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


@pytest.mark.long
def test_a_worker_killed_in_mid_training_goes_on_from_the_checkpoint_with_the_same_score(store, cache, tmp_path):
    steps = 500
    task = {"dataset": "language-identification", "metric": "error_rate", "training": {"steps": steps, "batch_size": 8}}
    document = job_document(task=task, budget={"trials": 1}, objectives=["error_rate", "macs"])
    undisturbed, job = (submit(store, document)[0] for _ in range(2))
    Worker(store, processes=1).run_job(undisturbed.id)

    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    command = [sys.executable, str(script), f"sqlite:///{tmp_path / 'nas.db'}"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=env, start_new_session=True, **quiet)
    until(lambda: any(path.suffix == ".safetensors" for path in trunks(cache)))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert store.counts(job.id).running == 1
    process = subprocess.Popen(command, env=env, start_new_session=True, **quiet)
    until(lambda: store.job(job.id).state.is_final)
    process.terminate()
    process.wait(timeout=20)
    (first,), (second,) = (store.trials(j.id, state=TrialState.COMPLETE) for j in (undisturbed, job))
    assert (first.training["steps_taken"], second.training["steps"]) == (steps, steps)
    assert 0 < second.training["steps_taken"] < steps
    assert second.metrics == first.metrics
    assert second.weights_sha256 == first.weights_sha256
    assert [path for path in trunks(cache) if path.suffix == ".safetensors"] == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"promotion": {"rungs": 1}}, "promotion.rungs"),
        ({"promotion": {"reduction": 1}}, "promotion.reduction"),
        ({"promotion": {"cohort": 1}}, "promotion.cohort"),
        ({"promotion": {"steps": 3}}, "promotion.steps"),
        (
            {**TASKS["language-model"], "workload": {"input_length": 24, "output_length": 9000}},
            "workload.output_length",
        ),
        ({**TASKS["sequence-to-sequence"], "workload": {"input_length": 12}}, "workload.output_length"),
        ({**TASKS["language-model"], "objectives": ["error_rate", "macs"]}, "objectives[0]"),
    ],
)
def test_what_a_task_or_a_promotion_can_not_be_is_refused_with_its_field(store, changes, field):
    with pytest.raises(InvalidInput) as refused:
        submit(store, job_document(**changes))
    assert field in [problem.field for problem in refused.value.problems]
    assert store.jobs() == ([], None)
