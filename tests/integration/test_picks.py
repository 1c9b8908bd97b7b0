"""The pick under any limit on a cost, over HTTP, of trials recorded through the store."""

import random
from itertools import pairwise

import pytest
from api_examples import RecordingWorker, device_document, job_document, latency_table
from api_service import serving

from nas.architecture import TaskShape
from nas.client import Client
from nas.jobs.catalogue import submit
from nas.quality.datasets import dataset_info
from nas.space import SearchSpace
from nas.store.records import JobState, RetrainingKey
from nas.workload import Workload

LATENCY = "latency_ms@bench-board"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("picks") / "nas.db") as service:
        info = dataset_info("language-identification")
        length = job_document()["workload"]["input_length"]
        space = SearchSpace.bundled("smoke").for_task(TaskShape(info.vocabulary_size, info.outputs, length))
        service.client.post("/v1/devices", json=device_document("bench-board")).raise_for_status()
        table = latency_table("bench-board", space, Workload(input_length=length))
        service.client.post("/v1/devices/bench-board/latency-tables", json=table).raise_for_status()
        yield service


def recorded(service, errors, **changes):
    worker = RecordingWorker(service.store, submit(service.store, job_document(**changes))[0])
    for error in errors:
        worker.complete(error)
    return worker


def picks_of(service, worker, **query):
    answer = service.client.get(f"/v1/jobs/{worker.job.id}/front/picks", params=query)
    answer.raise_for_status()
    return answer.json()


def test_under_every_limit_the_pick_is_the_best_trial_that_keeps_it(service):
    rng = random.Random(3)
    errors = [round(rng.random(), 2) for _ in range(24)]
    worker = recorded(service, errors, devices=["bench-board"], objectives=["error_rate", LATENCY])
    found = picks_of(service, worker)
    assert (found["cost"]["name"], found["quality"]["name"]) == (LATENCY, "error_rate")
    trials = [trial.metrics for trial in service.store.trial_summaries(worker.job.id)]
    told = found["picks"]
    limits = sorted({trial[LATENCY] for trial in trials})
    for limit in [limits[0] * 0.99, *limits, *(value * 1.001 for value in limits)]:
        within = [trial["error_rate"] for trial in trials if trial[LATENCY] <= limit]
        pick = next((each for each in reversed(told) if each["cost"] <= limit), None)
        assert (pick and pick["quality"]) == (min(within) if within else None)
    for each, after in pairwise(told):
        assert each["next"]["trial"] == after["trial"]
        assert each["next"]["more"] == pytest.approx(after["cost"] - each["cost"])
        assert each["next"]["gain"] == pytest.approx(each["quality"] - after["quality"])
        assert each["next"]["within_noise"] is None  # nothing was trained twice
    assert told[-1]["next"] is None
    for each in told:
        metrics = trials[each["trial"]]
        bounds = (metrics["latency_lower_ms@bench-board"], metrics["latency_upper_ms@bench-board"])
        assert (each["lower"], each["upper"]) == bounds
    with Client(service.url) as client:
        assert client.picks(worker.job.id) == found


def test_a_step_within_the_noise_between_seeds_says_so(service):
    worker = recorded(service, [])
    cheapest = sorted(worker.feasible, key=lambda a: worker.context.costs(a)["parameters"])
    costs = [worker.context.costs(a)["parameters"] for a in cheapest]
    chosen = [a for i, a in enumerate(cheapest) if i == 0 or costs[i] != costs[i - 1]][:3]
    worker.feasible[:3] = chosen
    for error in (0.5, 0.49, 0.3):
        worker.complete(error)
    worker.finish(seeds=2, members=2, sample=0)
    for trial, shorts in {0: (0.50, 0.53), 2: (0.30, 0.32)}.items():
        for seed, short in enumerate(shorts):
            worker.retrain(RetrainingKey(trial, 12, seed), {3: short, 12: 0.3}, 0.3)
    service.store.finish_job(worker.job.id, worker.job.lease_token, JobState.SUCCEEDED, "done")
    found = picks_of(service, worker, cost="parameters")
    assert found["noise"]["deviation"] > 0.01
    assert [each["next"] and each["next"]["within_noise"] for each in found["picks"]] == [True, False, None]


def test_other_costs_limits_and_an_exact_quality(service):
    worker = recorded(service, [0.5, 0.4, 0.3, 0.6])
    trials = [trial.metrics for trial in service.store.trial_summaries(worker.job.id)]
    limit = sorted(trial["parameters"] for trial in trials)[1]
    found = picks_of(service, worker, cost="macs", constraint=f"parameters <= {limit}")
    assert {each["trial"] for each in found["picks"]} <= {
        number for number, trial in enumerate(trials) if trial["parameters"] <= limit
    }
    exact = picks_of(service, worker, cost="macs", quality="parameters")["picks"]
    assert all(each["next"] is None or each["next"]["within_noise"] is False for each in exact)
    assert exact[0]["lower"] is None


def test_a_job_without_trials_has_no_pick(service):
    assert picks_of(service, recorded(service, []))["picks"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"cost": "error_rate"}, "cost"),
        ({"cost": "beauty"}, "cost"),
        ({"quality": "beauty"}, "quality"),
        ({"cost": "macs", "quality": "macs"}, "quality"),
        ({"price": "macs"}, "price"),
    ],
)
def test_what_has_no_price_is_refused(service, query, field):
    worker = recorded(service, [0.5])
    answer = service.client.get(f"/v1/jobs/{worker.job.id}/front/picks", params=query)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


def test_an_answer_that_is_held_is_not_told_again(service):
    worker = recorded(service, [0.5])
    path = f"/v1/jobs/{worker.job.id}/front/picks"
    etag = service.client.get(path).headers["etag"]
    assert service.client.get(path, headers={"If-None-Match": etag}).status_code == 304
