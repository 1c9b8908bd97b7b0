"""Checking a job over HTTP: what submitting would refuse, what metrics reach, and that nothing is written."""

from __future__ import annotations

from typing import Any

import pytest
from api_examples import device_document, job_document, latency_table
from api_service import Service

from nas.architecture import TaskShape
from nas.client import Client
from nas.costs import cost_names, costs_of
from nas.documents import parse_document
from nas.errors import InvalidInput
from nas.latency.predict import LatencyPredictor
from nas.latency.table import LatencyTable
from nas.quality.datasets import dataset_info
from nas.search.samplers import ABOUT, SAMPLERS
from nas.space import SearchSpace
from nas.workload import Workload

WORKLOAD = Workload(input_length=16)


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    info = dataset_info("language-identification")
    return SearchSpace.bundled("smoke").for_task(TaskShape(info.vocabulary_size, info.outputs, 16))


@pytest.fixture(scope="module")
def table(service: Service, space: SearchSpace) -> dict[str, Any]:
    document = latency_table("check-board", space, WORKLOAD)
    with Client(service.url) as client:
        client.add_device(device_document("check-board"))
        client.add_latency_table("check-board", document)
    return document


def checked(service: Service, document: dict[str, Any]) -> dict[str, Any]:
    with Client(service.url) as client:
        return client.check_job(document)


def fields(answer: dict[str, Any]) -> set[str]:
    return {error["field"] for error in answer["errors"]}


def test_a_good_job_is_valid_and_nothing_is_written(service: Service) -> None:
    before = service.rows()
    answer = checked(service, job_document())
    assert (answer["valid"], answer["errors"], answer["training_steps"]) == (True, [], 12)
    assert answer["search_space"]["size"] == SearchSpace.bundled("smoke").size
    assert parse_document(answer["yaml"]) == job_document()
    assert service.rows() == before


def test_each_cost_reaches_from_the_cheapest_to_the_dearest_architecture(service: Service, space: SearchSpace) -> None:
    every = [costs_of(a, WORKLOAD).named(a.family) for a in space.enumerate()]
    reach = {m["name"]: m["reach"] for m in checked(service, job_document())["metrics"] if m["kind"] == "cost"}
    assert set(reach) == set(cost_names("encoder"))
    for name, found in reach.items():
        values = [costs[name] for costs in every]
        assert (found["lowest"], found["highest"]) == (min(values), max(values))


def test_a_latency_reaches_over_the_whole_space_by_the_newest_table(
    service: Service, space: SearchSpace, table: dict[str, Any]
) -> None:
    predictor = LatencyPredictor(LatencyTable.from_dict(table))
    every = [predictor.predict(a).latency_ms for a in space.enumerate()]
    answer = checked(service, job_document(devices=["check-board"]))
    found = next(m for m in answer["metrics"] if m["name"] == "latency_ms@check-board")
    assert found["reach"]["lowest"] == pytest.approx(min(every), rel=2e-3)
    assert found["reach"]["highest"] == pytest.approx(max(every), rel=2e-3)
    assert [(t["device"], t["version"]) for t in answer["latency_tables"]] == [("check-board", 1)]


@pytest.mark.parametrize(
    "changes",
    [
        {"budget": {"trials": 0}},
        {"objectives": ["error_rate"]},
        {"constraints": ["parameters <= 3"]},
        {"search_space": "nowhere"},
        {"search_space": "causal-decoder"},
        {"devices": ["nobody"]},
        {"workload": {"input_length": 16, "output_length": 4}},
        {"sampler": "magic", "name": ""},
        {"task": {"dataset": "nothing", "metric": "error_rate"}},
        {"task": {"dataset": {"file": "absent.csv"}, "metric": "error_rate"}},
        {"start": {"jobs": ["j-none"]}},
    ],
)
def test_what_submitting_would_refuse_is_found_in_the_same_words(service: Service, changes: dict[str, Any]) -> None:
    refused = service.client.post("/v1/jobs", json=job_document(**changes))
    assert refused.status_code == 422
    answer = checked(service, job_document(**changes))
    assert not answer["valid"]
    for error in refused.json()["errors"]:
        assert error in answer["errors"]


def test_an_unfinished_form_is_told_what_can_be_told(service: Service) -> None:
    given = {"search_space": "smoke", "task": {"dataset": "language-identification"}, "workload": {"input_length": 16}}
    answer = checked(service, given)
    assert {"name", "objectives", "budget", "task.metric"} <= fields(answer)
    assert answer["training_steps"] is None
    full = checked(service, job_document())
    assert answer["metrics"] == full["metrics"]
    assert answer["search_space"] == full["search_space"]
    assert checked(service, {})["metrics"] == []


def test_limits_are_checked_beside_what_is_wrong_elsewhere(service: Service) -> None:
    limits = ["parameters <= 3", "macs < 5", "error_rate <= 0.5"]
    refused = service.client.post("/v1/jobs", json=job_document(constraints=limits[:1])).json()["errors"]
    answer = checked(service, job_document(constraints=limits, budget={"trials": "many"}))
    assert fields(answer) == {"budget.trials", "constraints[0]", "constraints[1]"}
    assert refused[0] in answer["errors"]


def test_problems_beside_those_of_form_are_named_too(service: Service) -> None:
    answer = checked(service, job_document(name="", search_space="nowhere", devices=["nobody"]))
    assert {"name", "search_space"} <= fields(answer)


def test_a_device_without_a_table_for_the_lengths_is_told_with_the_command(
    service: Service, table: dict[str, Any]
) -> None:
    document = job_document(devices=[table["device"]["name"]], workload={"input_length": 32}, name="")
    wrong = next(e for e in checked(service, document)["errors"] if e["field"] == "devices[0]")
    assert "nas device profile check-board --space smoke" in wrong["next_step"]


def test_text_that_is_no_text_is_answered(service: Service) -> None:
    body = b'{"name": "\\ud800", "search_space": "\\ud800"}'
    answer = service.client.post("/v1/check", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200, answer.text
    assert not answer.json()["valid"]


def test_what_is_no_document_is_refused(service: Service) -> None:
    with Client(service.url) as client, pytest.raises(InvalidInput):
        client._post("/v1/check", [])  # type: ignore[arg-type]


def test_every_sampler_is_listed_with_a_line(service: Service) -> None:
    assert set(ABOUT) == set(SAMPLERS)
    with Client(service.url) as client:
        assert client.samplers() == [{"name": name, "description": ABOUT[name]} for name in SAMPLERS]
        document = job_document(sampler=client.samplers()[0]["name"])
        assert client.check_job(document)["valid"]
