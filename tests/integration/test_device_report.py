"""How far a latency table can be trusted, over HTTP, against what the predictor and the table say by themselves."""

from __future__ import annotations

import shlex
from collections import Counter
from typing import Any

import pytest
from api_examples import device_document, latency_table
from api_service import Service
from typer.testing import CliRunner

from nas.architecture import TaskShape
from nas.cli import app
from nas.client import Client
from nas.errors import NotFound
from nas.latency.correction import LEAST_MODELS
from nas.latency.measurement import Launch, Measurement
from nas.latency.predict import LatencyPredictor
from nas.latency.table import LatencyTable
from nas.quality.datasets import dataset_info
from nas.space import SearchSpace
from nas.sub_blocks.calls import calls
from nas.workload import Workload

WORKLOAD = Workload(input_length=16)
NAME = "report-board"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    info = dataset_info("language-identification")
    space = SearchSpace.bundled("smoke").for_task(TaskShape(info.vocabulary_size, info.outputs, 16))
    return latency_table(NAME, space, WORKLOAD)


@pytest.fixture(scope="module")
def client(service: Service, document: dict[str, Any]) -> Client:
    client = Client(service.url)
    client.add_device(device_document(NAME))
    client.add_latency_table(NAME, document)
    return client


def test_the_report_is_what_the_table_comes_to(client: Client, document: dict[str, Any]) -> None:
    report = client.latency_table_report(NAME, 1)
    table = LatencyTable.from_dict(document)
    predictor = LatencyPredictor(table)
    measured = {
        model.id: sum(predictor.runs[phase] * found.latency_ns for phase, found in phases.items()) / 1e6
        for model, phases in table.valid_models
    }
    assert {m["architecture_id"]: m["measured_ms"] for m in report["models"]} == pytest.approx(measured)
    assert report["models"] == sorted(report["models"], key=lambda m: m["measured_ms"])
    errors = [m["error_percent"] for m in report["models"]]
    stated = report["table"]["errors"]
    assert sum(map(abs, errors)) / len(errors) == pytest.approx(stated["mean_absolute_percent"])
    assert sum(errors) / len(errors) == pytest.approx(stated["bias_percent"])
    for model in report["models"]:
        assert model["inside"] == (model["lower_ms"] <= model["measured_ms"] <= model["upper_ms"])
    assert report["inside"] == sum(m["inside"] for m in report["models"]) / len(errors)
    assert (report["usable"], report["newest"], report["vocabulary_size"]) == (True, True, 259)
    assert report["warnings"] == []


def test_each_is_predicted_without_itself(document: dict[str, Any]) -> None:
    table = LatencyTable.from_dict(document)
    assert len(table.whole_models) > LEAST_MODELS + 1
    for index, held_out in enumerate(LatencyPredictor(table).held_out()):
        others = document["whole_models"][:index] + document["whole_models"][index + 1 :]
        fitted = LatencyPredictor(LatencyTable.from_dict(document | {"whole_models": others}))
        assert fitted.predict(held_out.architecture).latency_ms == pytest.approx(held_out.predicted_ms, rel=1e-6)


def test_coverage_names_what_each_space_lacks_and_the_command_that_measures_it(client: Client) -> None:
    coverage = {c["search_space"]: c for c in client.latency_table_report(NAME, 1)["coverage"]}
    assert set(coverage) == {"smoke", "text-encoder", "tiny-encoder"}
    assert (coverage["smoke"]["missing"], coverage["smoke"]["measure"]) == (0, None)
    lacking = coverage["text-encoder"]
    assert 0 < lacking["missing"] <= lacking["calls"]
    assert "--space text-encoder --dataset language-identification" in lacking["measure"]


def test_the_commands_are_ones_that_there_are(client: Client) -> None:
    report = client.latency_table_report(NAME, 1)
    for command in (report["measure"], report["verify"]):
        words = shlex.split(command)
        assert words[0] == "nas"
        told = CliRunner().invoke(app, [*words[1:], "--help"])
        assert told.exit_code == 0, told.output
        known = CliRunner().invoke(app, [*words[1:3], "--help"], env={"COLUMNS": "200"}).output
        assert all(word in known for word in words if word.startswith("--"))


def test_a_later_table_is_said_to_take_its_place(client: Client, document: dict[str, Any]) -> None:
    version = client.add_latency_table(NAME, document)["version"]
    first = client.latency_table_report(NAME, 1)
    assert not first["newest"]
    assert "later table" in " ".join(first["warnings"])
    assert client.latency_table_report(NAME, version)["newest"]


def test_what_never_settled_and_another_device_are_warned_of(client: Client, document: dict[str, Any]) -> None:
    name = "hot-board"
    other = document | {"device": document["device"] | {"name": name}}
    models = LatencyTable.from_dict(document).valid_models
    used = Counter(call.key for model, phases in models for p in phases for call in set(calls(model, WORKLOAD, p)))
    key = min(document["entries"], key=lambda key: used[key])  # most whole models do without it
    few = Measurement.of([Launch("graph", 5_000, 100, 0, 0.0, 1.0, 0.0, 1_000_000)], 1_000_000)
    other["entries"] = document["entries"] | {key: few.model_dump(mode="json")}
    client.add_device(device_document(name))
    client.add_latency_table(name, other)
    client.add_device(device_document(name) | {"runtime_version": "2.0.0"})
    words = " ".join(client.latency_table_report(name, 1)["warnings"])
    assert f"1 of {len(document['entries'])} entries never settled" in words
    assert "fingerprint has changed" in words


def test_a_table_of_an_earlier_protocol_is_told_as_one(
    service: Service, client: Client, document: dict[str, Any]
) -> None:
    name = "old-board"
    client.add_device(device_document(name))
    given = document | {"device": document["device"] | {"name": name}}
    told = client.add_latency_table(name, given)
    light = {key: told[key] for key in ("entries", "invalid_entries", "whole_models", "errors")}
    # As an earlier release left it
    version = service.store.add_latency_table(name, given | {"protocol": 2}, light | {"protocol": 2}).version
    report = client.latency_table_report(name, version)
    assert (report["usable"], report["models"], report["coverage"]) == (False, [], [])
    assert "protocol 2" in report["warnings"][0]


def test_what_there_is_not_is_not_found(client: Client) -> None:
    for device, version in ((NAME, 99), ("nobody", 1)):
        with pytest.raises(NotFound):
            client.latency_table_report(device, version)
