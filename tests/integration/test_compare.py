"""Jobs and architectures side by side, over HTTP, against answers of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import moocore
import numpy as np
import pytest
from api_examples import RecordingWorker, device_document, job_document, latency_table
from api_service import Service

from nas.architecture import Architecture, TaskShape
from nas.client import Client
from nas.errors import InvalidInput, NotFound
from nas.jobs.catalogue import submit
from nas.quality.datasets import dataset_info
from nas.space import SearchSpace
from nas.workload import Workload

REFERENCE = {"point": {"error_rate": 1.0, "parameters": 24000.0}, "ideal": {"error_rate": 0.0, "parameters": 6000.0}}


def recorded(
    service: Service, errors: tuple[float, ...], reference: Any = REFERENCE, **changes: Any
) -> RecordingWorker:
    """A job whose trials have these errors."""
    job, _ = submit(service.store, job_document(**changes))
    worker = RecordingWorker(service.store, job)
    if reference is not None:
        service.store.set_reference(worker.job.id, worker.job.lease_token, reference)
    for error_rate in errors:
        worker.complete(error_rate)
    return worker


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[Client]:
    with Client(service.url) as client:
        yield client


@pytest.fixture(scope="module")
def pair(service: Service) -> tuple[RecordingWorker, RecordingWorker]:
    first = recorded(service, (0.9, 0.5, 0.7, 0.3), name="first")
    second = recorded(service, (0.6, 0.8, 0.2, 0.4), name="second", seed=1)
    return first, second


def front_by_hand(points: list[tuple[float, float]]) -> set[tuple[float, float]]:
    return {p for p in points if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points)}


def points_of(job: dict[str, Any]) -> list[tuple[float, float]]:
    return [(m["metrics"]["error_rate"], m["metrics"]["parameters"]) for m in job["front"]]


def test_each_front_is_that_of_the_job_itself(client: Client, pair: tuple[RecordingWorker, ...]) -> None:
    told = client.compare_jobs([worker.job.id for worker in pair])
    assert [o["name"] for o in told["objectives"]] == ["error_rate", "parameters"]
    for job, worker in zip(told["jobs"], pair, strict=True):
        own = client.front(worker.job.id)
        assert [m["number"] for m in job["front"]] == [m["number"] for m in own["members"]]
        assert job["hypervolume"] == pytest.approx(own["hypervolume"])  # both jobs have this reference


def test_the_joint_front_is_what_nobody_of_all_dominates(client: Client, pair: tuple[RecordingWorker, ...]) -> None:
    told = client.compare_jobs([worker.job.id for worker in pair])
    every = [point for job in told["jobs"] for point in points_of(job)]
    best = front_by_hand(every)
    for job in told["jobs"]:
        flags = [m["on_joint_front"] for m in job["front"]]
        assert flags == [point in best for point in points_of(job)]
        assert job["on_joint_front"] == sum(flags)
    assert sum(job["on_joint_front"] for job in told["jobs"]) > 0


def test_hypervolumes_have_one_reference_the_widest_of_the_jobs(client: Client, service: Service) -> None:
    narrow = {"point": {"error_rate": 0.8, "parameters": 20000.0}, "ideal": {"error_rate": 0.1, "parameters": 7000.0}}
    jobs = [recorded(service, (0.9, 0.5, 0.3)), recorded(service, (0.7, 0.4, 0.6), narrow)]
    told = client.compare_jobs([worker.job.id for worker in jobs])
    ends = {r["objective"]: (r["point"], r["ideal"], r["source"]) for r in told["reference"]}
    assert ends == {"error_rate": (1.0, 0.0, "jobs"), "parameters": (24000.0, 6000.0, "jobs")}
    for job in told["jobs"]:
        values = np.array(points_of(job))
        scaled = (values - [0.0, 6000.0]) / [1.0, 18000.0]
        expected = moocore.hypervolume(np.clip(scaled, 0, None), ref=[1.0, 1.0])
        assert job["hypervolume"] == pytest.approx(float(expected))


def test_other_objectives_are_taken_where_all_have_them(client: Client, pair: tuple[RecordingWorker, ...]) -> None:
    ids = [worker.job.id for worker in pair]
    told = client.compare_jobs(ids, ["loss", "macs"])
    assert [o["name"] for o in told["objectives"]] == ["loss", "macs"]
    assert {r["source"] for r in told["reference"]} == {"members"}
    with pytest.raises(InvalidInput, match="bits_per_byte"):
        client.compare_jobs(ids, ["bits_per_byte", "macs"])
    with pytest.raises(InvalidInput, match="objectives"):
        client.compare_jobs(ids, ["macs", "macs"])


def test_jobs_of_different_datasets_share_costs_alone(client: Client, service: Service, pair: Any) -> None:
    task = {"dataset": "python-docs", "metric": "bits_per_byte"}
    other, _ = submit(
        service.store,
        job_document(
            task=task,
            search_space="causal-decoder",
            workload={"input_length": 16, "output_length": 4},
            objectives=["bits_per_byte", "macs"],
            constraints=[],
        ),
    )
    told = client.compare_jobs([pair[0].job.id, other.id])
    assert [o["name"] for o in told["objectives"]] == ["parameters", "macs"]
    assert {"error_rate", "bits_per_byte"}.isdisjoint(m["name"] for m in told["metrics"])
    differ = {d["field"]: d["not_comparable"] for d in told["differences"]}
    assert differ["Workload"] == ["MACs and memory"]
    assert told["jobs"][1]["hypervolume"] is None  # it has no trial


def test_what_differs_is_said_and_what_it_means(client: Client, service: Service, pair: Any) -> None:
    longer = recorded(
        service, (0.5,), task={"dataset": "language-identification", "metric": "error_rate", "training": {"steps": 9}}
    )
    told = client.compare_jobs([pair[0].job.id, longer.job.id])
    training = next(d for d in told["differences"] if d["field"] == "Training")
    assert training["values"] == ["3 steps of 8 at 0.003", "9 steps of 32 at 0.003"]
    assert training["not_comparable"] == ["scores"]
    assert not told["comparable"]
    assert {job["on_joint_front"] for job in told["jobs"]} == {None}
    assert {m["on_joint_front"] for job in told["jobs"] for m in job["front"]} == {None}
    costs = client.compare_jobs([pair[0].job.id, longer.job.id], ["parameters", "macs"])
    assert costs["comparable"]
    assert all(d["not_comparable"] == [] for d in costs["differences"])
    seeds = client.compare_jobs([worker.job.id for worker in pair])["differences"]
    assert [(d["field"], d["values"], d["not_comparable"]) for d in seeds] == [("Seed", ["0", "1"], [])]


def test_latencies_on_what_a_device_was_before_are_not_comparable(client: Client, service: Service) -> None:
    info = dataset_info("language-identification")
    space = SearchSpace.bundled("smoke").for_task(TaskShape(info.vocabulary_size, info.outputs, 16))
    table = latency_table("twice-board", space, Workload(input_length=16))
    named = {"devices": ["twice-board"], "objectives": ["error_rate", "latency_ms@twice-board"]}
    client.add_device(device_document("twice-board"))
    jobs = []
    for changes in ({}, {}, {"runtime_version": "2.0.0"}):
        client.add_device(device_document("twice-board") | changes)
        client.add_latency_table("twice-board", table | {"device": table["device"] | changes})
        jobs.append(recorded(service, (0.5, 0.4), None, **named).job.id)
    again = client.compare_jobs(jobs[:2])
    assert [d["field"] for d in again["differences"]] == ["Latency tables"]
    assert again["comparable"]
    changed = client.compare_jobs(jobs)
    assert changed["differences"][0]["not_comparable"] == ["latencies"]
    assert not changed["comparable"]


def test_too_few_and_unknown_jobs_are_refused(client: Client, pair: tuple[RecordingWorker, ...]) -> None:
    one = pair[0].job.id
    for ids in ([one], [one, one], [one] + [f"j-{i}" for i in range(6)]):
        with pytest.raises(InvalidInput, match="2 to 6 different jobs"):
            client.compare_jobs(ids)
    with pytest.raises(NotFound):
        client.compare_jobs([one, "j-none"])


def test_two_architectures_have_every_metric_with_its_ratio(client: Client, pair: tuple[RecordingWorker, ...]) -> None:
    named = ((pair[0].job.id, 1), (pair[1].job.id, 2))
    told = client.compare_trials(*named)
    trials = [client.trial(*one) for one in named]
    for figure in told["metrics"]:
        first, second = (trial["metrics"][figure["name"]] for trial in trials)
        assert figure["values"] == [first, second]
        assert figure["ratio"] == pytest.approx(second / first)
        assert figure["comparable"]
        assert figure["better"] == (None if first == second else int(second < first))
    assert {"error_rate", "parameters", "macs"} <= {figure["name"] for figure in told["metrics"]}


def test_the_changes_turn_one_architecture_into_the_other(client: Client, pair: tuple[RecordingWorker, ...]) -> None:
    worker = pair[0]
    for number in (1, 2, 3):
        told = client.compare_trials((worker.job.id, 0), (worker.job.id, number))
        one, other = worker.feasible[0].to_dict(), worker.feasible[number].to_dict()
        made = {**one, "encoder": {**one["encoder"], "layers": [dict(layer) for layer in one["encoder"]["layers"]]}}
        for change in told["changes"]:
            words = change["part"].split(" layer ")
            name, value = change["choice"].replace(" ", "_"), change["values"][1]
            assert change["values"][0] != value
            if change["choice"] == "layers":
                del made["encoder"]["layers"][int(value) :]
            elif len(words) == 2:
                layers = made["encoder"]["layers"]
                layers.extend({} for _ in range(int(words[1]) - len(layers)))
                if value is None:
                    layers[int(words[1]) - 1].pop(name, None)
                else:
                    layers[int(words[1]) - 1][name] = int(value) if value.isdecimal() else value
            else:
                made["encoder"][name] = int(value) if value.isdecimal() else value
        made["encoder"]["layers"] = made["encoder"]["layers"][: len(other["encoder"]["layers"])]
        assert Architecture.from_dict({k: v for k, v in made.items() if k != "id"}).id == other["id"]


def test_trials_of_jobs_that_are_not_comparable_are_not_said_to_be_better(client: Client, service: Service) -> None:
    task = {"dataset": "language-identification", "metric": "error_rate", "training": {"steps": 9}}
    one, other = recorded(service, (0.5, 0.4)), recorded(service, (0.3, 0.2), task=task)
    told = client.compare_trials((one.job.id, 0), (other.job.id, 1))
    figures = {figure["name"]: figure for figure in told["metrics"]}
    assert (figures["error_rate"]["comparable"], figures["error_rate"]["better"]) == (False, None)
    assert figures["parameters"]["comparable"]
    assert [d["field"] for d in told["differences"] if d["not_comparable"]] == ["Training"]


def test_wrong_names_of_trials_are_refused(client: Client, service: Service, pair: tuple[RecordingWorker, ...]) -> None:
    one = pair[0].job.id
    for query in (f"trial={one}", f"trial={one}:1", f"trial={one}:1&trial={one}:1", f"trial={one}:1&trial=x", ""):
        answer = service.client.get(f"/v1/compare/trials?{query}")
        assert answer.status_code == 422, query
        assert [error["field"] for error in answer.json()["errors"]] == ["trial"]
    for named in ((one, 99), ("j-none", 0)):
        with pytest.raises(NotFound):
            client.compare_trials((one, 1), named)
    assert service.client.get(f"/v1/compare/trials?trial={one}:1&trial={one}:2&more=1").status_code == 422
