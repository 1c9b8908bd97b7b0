"""How a front is read, over HTTP and on the command line, of trials recorded through the store."""

import statistics
from statistics import NormalDist

import pytest
from api_examples import RecordingWorker, device_document, job_document, latency_table
from api_service import serving
from cli_runner import nas

from nas.architecture import TaskShape
from nas.jobs.catalogue import submit
from nas.quality.datasets import dataset_info
from nas.space import SearchSpace
from nas.store.records import JobState, RetrainingKey
from nas.workload import Workload

LATENCY = "latency_ms@bench-board"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("reading") / "nas.db") as service:
        info = dataset_info("language-identification")
        length = job_document()["workload"]["input_length"]
        space = SearchSpace.bundled("smoke").for_task(TaskShape(info.vocabulary_size, info.outputs, length))
        for name in ("bench-board", "other-board"):
            service.client.post("/v1/devices", json=device_document(name)).raise_for_status()
            table = latency_table(name, space, Workload(input_length=length))
            service.client.post(f"/v1/devices/{name}/latency-tables", json=table).raise_for_status()
        yield service


def recorded(service, errors, **changes):
    """A job whose trials have these error rates, the cheaper the earlier."""
    worker = RecordingWorker(service.store, submit(service.store, job_document(**changes))[0])
    cost = worker.context.objectives[-1].name
    chosen, seen = [], set()
    for architecture in sorted(worker.feasible, key=lambda a: worker.context.costs(a)[cost]):
        value = worker.context.costs(architecture)[cost]
        if value not in seen:
            seen.add(value)
            chosen.append(architecture)
    worker.feasible[: len(errors)] = chosen[: len(errors)]
    for error in errors:
        worker.complete(error)
    return worker


def reading_of(service, worker, **query):
    answer = service.client.get(f"/v1/jobs/{worker.job.id}/front/reading", params=query)
    answer.raise_for_status()
    return answer.json()


def test_without_any_known_error_nothing_is_said_of_who_is_on_the_front(service):
    worker = recorded(service, [0.5, 0.4, 0.45])
    found = reading_of(service, worker)
    assert (found["noise"], found["uncertain"], found["candidates"], found["measure_next"]) == (None, [], None, None)
    parameters = [worker.context.costs(a)["parameters"] for a in worker.feasible[:3]]
    (exchange,) = found["exchanges"]
    assert (exchange["cost"], exchange["quality"]) == ("parameters", "error_rate")
    (step,) = exchange["steps"]
    assert (step["from_trial"], step["to_trial"], step["more"]) == (0, 1, parameters[1] - parameters[0])
    assert step["gain"] == pytest.approx(0.1)
    assert step["rate"] == pytest.approx(0.1 / step["more"])


def test_the_noise_between_seeds_says_who_trades_places(service):
    worker = recorded(service, [0.5, 0.4, 0.41])
    worker.finish(seeds=2, members=2, sample=0)
    shorts = {0: (0.50, 0.54), 1: (0.40, 0.42)}
    for trial, scores in shorts.items():
        for seed, short in enumerate(scores):
            worker.retrain(RetrainingKey(trial, 12, seed), {3: short, 12: 0.3}, 0.3)
    service.store.finish_job(worker.job.id, worker.job.lease_token, JobState.SUCCEEDED, "done")
    deviation = (statistics.fmean(statistics.variance(scores) for scores in shorts.values())) ** 0.5
    found = reading_of(service, worker)
    assert found["noise"] == {"deviation": pytest.approx(deviation), "degrees": 2}
    assert found["uncertain"] == ["error_rate"]
    likely = {each["trial"]: (each["on_front"], each["probability"]) for each in found["candidates"]}
    assert likely[0] == (True, 1.0)
    # The third, which is dearer and a little worse, is on the front where its error falls below that of the second:
    # roughly, since the first may fall below both
    expected = NormalDist().cdf(-0.01 / (deviation * 2**0.5))
    assert likely[2][0] is False
    assert likely[2][1] == pytest.approx(expected, abs=0.06)
    assert found["measure_next"]["trial"] == 2
    assert found["measure_next"]["metric"] == "error_rate"


def test_the_interval_of_the_latency_counts_as_an_error(service):
    worker = recorded(service, [0.5, 0.4, 0.3], devices=["bench-board"], objectives=["error_rate", LATENCY])
    found = reading_of(service, worker)
    assert found["uncertain"] == [LATENCY]
    assert {each["trial"] for each in found["candidates"]} == {0, 1, 2}
    assert [e["cost"] for e in found["exchanges"]] == [LATENCY]
    assert [(s["from_trial"], s["to_trial"]) for s in found["exchanges"][0]["steps"]] == [(0, 1), (1, 2)]


def test_what_one_model_for_all_devices_loses_on_each(service):
    one = recorded(service, [0.5, 0.3, 0.4])
    assert reading_of(service, one)["shared"] is None
    devices = ["bench-board", "other-board"]
    worker = recorded(service, [0.5, 0.3, 0.4], devices=devices, objectives=["error_rate", "macs", LATENCY])
    latencies = {
        device: [worker.context.costs(a)[f"latency_ms@{device}"] for a in worker.feasible[:3]] for device in devices
    }
    errors = [0.5, 0.3, 0.4]
    found = reading_of(service, worker)["shared"]
    assert found
    for member in found:
        row = member["trial"]
        assert [each["device"] for each in member["losses"]] == devices
        for each in member["losses"]:
            times = latencies[each["device"]]
            best = min((i for i in range(3) if times[i] <= times[row]), key=lambda i: errors[i])
            assert each["loss"] == pytest.approx(errors[row] - errors[best])
            assert each["instead"] == best
    told = nas("jobs", "reading", worker.job.id, "--url", service.url)
    assert told.code == 0, told.err
    assert "One model for all devices" in told.out


def test_what_the_next_hour_would_bring_is_told_of_a_search_that_has_gone_on_for_a_while(service):
    worker = recorded(service, [0.9 - 0.02 * i for i in range(15)])
    worker.store.set_reference(
        worker.job.id,
        worker.job.lease_token,
        {"point": {"error_rate": 1.0, "parameters": 1e6}, "ideal": {"error_rate": 0.0, "parameters": 0.0}},
    )
    assert reading_of(service, worker)["forecast"] is None
    worker.complete(0.3)
    found = reading_of(service, worker)
    forecast = found["forecast"]
    assert forecast["hypervolume"] == service.client.get(f"/v1/jobs/{worker.job.id}/front").json()["hypervolume"]
    assert forecast["evaluations"] > 0
    assert 0 < forecast["gain"] <= 1 - forecast["hypervolume"]
    told = nas("jobs", "reading", worker.job.id, "--url", service.url).out
    assert f"Another hour would evaluate about {forecast['evaluations']:,} more" in told


def test_other_objectives_and_limits_are_read_in_the_same_way(service):
    worker = recorded(service, [0.5, 0.4, 0.3])
    limit = worker.context.costs(worker.feasible[1])["parameters"]
    found = reading_of(service, worker, constraint=f"parameters <= {limit}", objectives="error_rate,parameters,macs")
    assert {(e["cost"], s["to_trial"]) for e in found["exchanges"] for s in e["steps"]} <= {
        ("parameters", 1),
        ("macs", 1),
        ("macs", 0),
    }
    answer = service.client.get(f"/v1/jobs/{worker.job.id}/front/reading", params={"objectives": "beauty"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "objectives[0]"


def test_a_job_without_trials_has_an_empty_reading(service):
    worker = recorded(service, [])
    found = reading_of(service, worker)
    assert found["exchanges"] == [{"cost": "parameters", "quality": "error_rate", "steps": []}]
    assert nas("jobs", "reading", worker.job.id, "--url", service.url).code == 0


def test_the_command_line_tells_it_in_words_and_tables(service):
    errors = [0.5, 0.4, 0.3]
    worker = recorded(service, errors, devices=["bench-board"], objectives=["error_rate", LATENCY])
    run = nas("jobs", "reading", worker.job.id, "--url", service.url)
    assert run.code == 0, run.err
    assert f"Counted were the errors of {LATENCY}." in run.out
    assert "Probability of being non-dominated:" in run.out
    assert f"What more {LATENCY} buys:" in run.out
    assert nas("jobs", "reading", worker.job.id, "--url", service.url, "--json").json == reading_of(service, worker)
    unknown = nas("jobs", "reading", worker.job.id, "--objectives", "beauty", "--url", service.url)
    assert unknown.code == 2
    assert "objectives[0]" in unknown.err
