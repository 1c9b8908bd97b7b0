"""What jobs can name, over HTTP: search spaces, devices with latency tables, datasets; and scores."""

from __future__ import annotations

import copy
import random
import resource
from typing import Any

import pytest
from api_examples import device_document, job_document, latency_table, space_document
from api_service import Service
from test_api_errors import error_of, problem_of

from nas.architecture import TaskShape
from nas.costs import costs_of
from nas.space import SearchSpace
from nas.workload import Workload

WORKLOAD = Workload(input_length=16)
SPACE = SearchSpace.bundled("smoke").for_task(TaskShape(259, 35, 16))
SMALL_DECODER = {
    "schema": "pocketformer/search-space/1",
    "name": "small-decoder",
    "family": "decoder",
    "task_shape": {"vocabulary_size": 259, "outputs": 259, "max_length": 13},
    "decoder": {
        "depth": [1, 2, 3],
        "hidden_size": [16, 32],
        "positions": ["rotary"],
        "norm_position": ["pre"],
        "activation": ["gelu"],
        "layer": {"attention": {"softmax": {"heads": [2, 4]}}, "feed_forward_ratio": [1, 2]},
    },
}


class TestSearchSpaces:
    def test_bundled_spaces_are_listed_with_their_exact_size(self, service: Service) -> None:
        spaces = {s["name"]: s for s in service.client.get("/v1/search-spaces").json()["search_spaces"]}
        assert {"smoke", "text-encoder"} <= set(spaces)
        assert spaces["smoke"]["size"] == sum(1 for _ in SearchSpace.bundled("smoke").enumerate())
        assert spaces["smoke"]["size_text"] == "144"
        assert spaces["text-encoder"]["size"] == 339_699_502_800
        assert spaces["text-encoder"]["size_text"] == "3.4 × 10^11"
        assert spaces["smoke"]["bundled"]

    def test_bounds_are_those_of_the_whole_space(self, service: Service) -> None:
        space = SearchSpace.bundled("smoke")
        costs = [costs_of(a, Workload(input_length=64)) for a in space.enumerate()]
        bounds = service.client.get("/v1/search-spaces/smoke").json()["bounds"]
        for name in ("parameters", "macs"):
            values = [getattr(c, name) for c in costs]
            assert bounds[name] == {"lowest": min(values), "highest": max(values)}

    def test_a_space_is_added_once_and_can_be_searched(self, service: Service) -> None:
        document = space_document() | {"name": "mine"}
        answer = service.client.post("/v1/search-spaces", json=document)
        assert answer.status_code == 201
        assert answer.headers["location"] == "/v1/search-spaces/mine"
        assert answer.json()["size"] == 4
        assert not answer.json()["bundled"]
        assert service.client.get("/v1/search-spaces/mine").json() == answer.json()
        job = service.client.post("/v1/jobs", json=job_document(search_space="mine"))
        assert job.json()["search_space"] == "mine"

    def test_a_name_stands_for_one_content_for_ever(self, service: Service) -> None:
        document = space_document() | {"name": "settled"}
        service.client.post("/v1/search-spaces", json=document)
        before = service.rows()
        other = space_document(depth=[2]) | {"name": "settled"}
        problem_of(service.client.post("/v1/search-spaces", json=other), 409)
        problem_of(service.client.post("/v1/search-spaces", json=document | {"name": "smoke"}), 409)
        assert service.rows() == before

    def test_a_space_without_architectures_is_not_added(self, service: Service) -> None:
        before = service.rows()
        answer = service.client.post("/v1/search-spaces", json=space_document(hidden_size=[17]))
        assert "divides a hidden size" in error_of(answer, "encoder.layer.attention")["allowed"]
        answer = service.client.post("/v1/search-spaces", json=space_document(depth=[]))
        assert error_of(answer, "encoder.depth")["value"] == "[]"
        assert service.rows() == before


@pytest.fixture(scope="module")
def table() -> dict[str, Any]:
    return latency_table("bench-board", SPACE, WORKLOAD)


@pytest.fixture(scope="module")
def device(service: Service, table: dict[str, Any]) -> str:
    service.client.post("/v1/devices", json=device_document("bench-board"))
    answer = service.client.post("/v1/devices/bench-board/latency-tables", json=table)
    assert answer.status_code == 201, answer.text
    return "bench-board"


class TestDevices:
    def test_a_device_is_added_and_the_same_again_changes_nothing(self, service: Service) -> None:
        first = service.client.post("/v1/devices", json=device_document("twice"))
        again = service.client.post("/v1/devices", json=device_document("twice"))
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json() == again.json()
        assert first.json()["tables"] == []
        assert (first.json()["address"], first.json()["precision"]) == ("local", "fp32")
        assert len(first.json()["fingerprint"]) == 64
        moved = service.client.post("/v1/devices", json=device_document("twice") | {"address": "ssh://pi@board"})
        assert moved.json() == first.json() | {"address": "ssh://pi@board"}  # the fingerprint stays
        quantised = service.client.post("/v1/devices", json=device_document("twice") | {"precision": "int8-dynamic"})
        assert quantised.json()["fingerprint"] != first.json()["fingerprint"]
        changed = service.client.post("/v1/devices", json=device_document("twice") | {"threads": 2})
        assert changed.status_code == 201
        assert changed.json()["fingerprint"] != first.json()["fingerprint"]

    def test_a_device_with_a_wrong_field_is_refused(self, service: Service) -> None:
        before = service.rows()
        answer = service.client.post("/v1/devices", json=device_document("Phone!") | {"threads": 0})
        assert "greater than or equal to 1" in error_of(answer, "threads")["allowed"]
        assert error_of(answer, "name")["value"] == "'Phone!'"
        answer = service.client.post("/v1/devices", json=device_document("phone") | {"precision": "int4"})
        assert "int8-dynamic" in error_of(answer, "precision")["allowed"]
        assert service.rows() == before

    def test_each_table_is_the_next_version_and_comes_back_as_it_was_sent(
        self, service: Service, table: dict[str, Any]
    ) -> None:
        service.client.post("/v1/devices", json=device_document("versions"))
        sent = copy.deepcopy(table)
        sent["device"]["name"] = "versions"
        for version in (1, 2):
            answer = service.client.post("/v1/devices/versions/latency-tables", json=sent)
            assert answer.status_code == 201
            assert answer.headers["location"] == f"/v1/devices/versions/latency-tables/{version}"
            summary = answer.json()
            assert summary["version"] == version
            assert summary["workload"] == WORKLOAD.key
            assert summary["entries"] == len(table["entries"])
            assert summary["invalid_entries"] == 0
            assert summary["whole_models"] == 8
            assert summary["errors"]["mean_absolute_percent"] < 1
        listed = service.client.get("/v1/devices/versions/latency-tables").json()["latency_tables"]
        assert [t["version"] for t in listed] == [1, 2]
        assert service.client.get("/v1/devices/versions").json()["tables"] == listed
        assert service.client.get("/v1/devices/versions/latency-tables/2").json() == sent

    def test_a_table_of_another_device_is_refused(self, service: Service, device: str, table: dict[str, Any]) -> None:
        service.client.post("/v1/devices", json=device_document("stranger"))
        before = service.rows()
        answer = service.client.post("/v1/devices/stranger/latency-tables", json=table)
        error = error_of(answer, "device.name")
        assert (error["value"], error["allowed"]) == ("'bench-board'", "stranger")
        problem_of(service.client.post("/v1/devices/unheard-of/latency-tables", json=table), 404)
        assert service.rows() == before

    def test_a_table_whose_figures_were_edited_is_refused(
        self, service: Service, device: str, table: dict[str, Any]
    ) -> None:
        edited = copy.deepcopy(table)
        key = next(iter(edited["entries"]))
        edited["entries"][key]["latency_ns"] = 1
        before = service.rows()
        answer = service.client.post(f"/v1/devices/{device}/latency-tables", json=edited)
        (error,) = problem_of(answer, 422)["errors"]
        assert error["field"].endswith("latency_ns")
        assert service.rows() == before

    def test_a_job_on_a_device_pins_the_version_of_its_table(self, service: Service, device: str) -> None:
        objectives = ["error_rate", f"latency_ms@{device}"]
        job = service.client.post("/v1/jobs", json=job_document(devices=[device], objectives=objectives))
        assert job.status_code == 201, job.text
        assert job.json()["devices"] == [device]
        assert job.json()["objectives"][1]["unit"] == "ms"

    def test_a_latency_that_nothing_can_meet_is_answered_with_the_lowest_reachable_one(
        self, service: Service, device: str
    ) -> None:
        before = service.rows()
        limit = f"latency_ms@{device} <= 0.0001"
        answer = service.client.post("/v1/jobs", json=job_document(devices=[device], constraints=[limit]))
        error = error_of(answer, "constraints[0]")
        assert error["allowed"].startswith("a limit of at least 0.0")
        assert service.rows() == before

    def test_a_device_whose_table_is_of_another_workload_is_refused(self, service: Service, device: str) -> None:
        before = service.rows()
        document = job_document(devices=[device], workload={"batch": 1, "input_length": 32})
        error = error_of(service.client.post("/v1/jobs", json=document), "devices[0]")
        assert "batch=1,input_length=16,output_length=0" in error["allowed"]
        assert "--input-length 32" in error["next_step"]
        assert service.rows() == before


class TestScore:
    def test_a_score_has_exact_costs_and_a_latency_that_adds_up(self, service: Service, device: str) -> None:
        architecture = SPACE.sample(random.Random(3))
        body = {
            "architecture": architecture.to_dict(),
            "workload": WORKLOAD.model_dump(),
            "devices": [device],
        }
        answer = service.client.post("/v1/score", json=body)
        assert answer.status_code == 200, answer.text
        score = answer.json()
        costs = costs_of(architecture, WORKLOAD)
        assert score["architecture_id"] == architecture.id
        assert (score["parameters"], score["macs"]) == (costs.parameters, costs.macs)
        assert score["flops"] == 2 * costs.macs
        latency = score["latency"][device]
        assert latency["lower_ms"] <= latency["latency_ms"] <= latency["upper_ms"]
        total = sum(row["latency_ms"] for row in latency["breakdown"])
        assert total == pytest.approx(latency["latency_ms"])
        assert latency["phases_ms"] == {"prefill": latency["latency_ms"]}

    def test_a_decoder_takes_one_prefill_and_as_many_steps_as_tokens(self, service: Service) -> None:
        space = SearchSpace.from_document(SMALL_DECODER)
        workload = Workload(input_length=8, output_length=5)
        assert service.client.post("/v1/devices", json=device_document("writer")).status_code == 201
        table = latency_table("writer", space, workload)
        answer = service.client.post("/v1/devices/writer/latency-tables", json=table)
        assert answer.status_code == 201, answer.text
        body = {
            "architecture": space.sample(random.Random(3)).to_dict(),
            "workload": workload.model_dump(),
            "devices": ["writer"],
        }
        latency = service.client.post("/v1/score", json=body).json()["latency"]["writer"]
        phases_ms = latency["phases_ms"]
        assert set(phases_ms) == {"prefill", "step"}
        assert phases_ms["prefill"] != phases_ms["step"]
        assert latency["latency_ms"] == pytest.approx(phases_ms["prefill"] + 5 * phases_ms["step"])
        assert sum(row["latency_ms"] for row in latency["breakdown"]) == pytest.approx(latency["latency_ms"])
        other = body | {"workload": {"input_length": 8, "output_length": 4}}
        error = error_of(service.client.post("/v1/score", json=other), "devices[0]")
        assert "--input-length 8 --output-length 4" in error["next_step"]

    def test_a_score_writes_nothing(self, service: Service) -> None:
        before = service.rows()
        body = {"architecture": SPACE.sample(random.Random(1)).to_dict(), "workload": WORKLOAD.model_dump()}
        assert service.client.post("/v1/score", json=body).json()["latency"] == {}
        assert service.rows() == before

    def test_wrong_fields_of_a_score_are_named(self, service: Service) -> None:
        architecture = SPACE.sample(random.Random(1)).to_dict()
        body = {"architecture": architecture, "workload": {"input_length": 16}, "devices": ["fridge"]}
        assert error_of(service.client.post("/v1/score", json=body), "devices[0]")["value"] == "'fridge'"
        body = {"architecture": architecture | {"family": "plant"}, "workload": {"input_length": 16}}
        without_id = {k: v for k, v in body["architecture"].items() if k != "id"}
        error_of(service.client.post("/v1/score", json=body | {"architecture": without_id}), "architecture.family")
        body = {"architecture": architecture, "workload": {"input_length": 17}}
        error_of(service.client.post("/v1/score", json=body), "workload.input_length")
        error_of(service.client.post("/v1/score", json={"architecture": architecture}), "workload")

    def test_an_enormous_architecture_is_answered_without_building_it(self, service: Service) -> None:
        architecture = SPACE.sample(random.Random(1)).to_dict()
        del architecture["id"]
        architecture["encoder"] |= {"hidden_size": 200_000}
        for layer in architecture["encoder"]["layers"]:
            layer["feed_forward_size"] = 1_000_000
        before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
        answer = service.client.post("/v1/score", json={"architecture": architecture, "workload": {"input_length": 16}})
        assert answer.status_code in (200, 422), answer.text
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000 - before_mb < 200


class TestDatasets:
    def test_datasets_are_listed_with_licence_splits_and_hash(self, service: Service) -> None:
        listed = service.client.get("/v1/datasets").json()
        assert (listed["unavailable"], listed["files"]) == ([], [])
        datasets = {dataset["name"]: dataset for dataset in listed["datasets"]}
        assert set(datasets) == {
            "language-identification",
            "language-identification-subwords",
            "python-docs",
            "cmudict",
            "king-james",
        }
        for name, dataset in datasets.items():
            assert service.client.get(f"/v1/datasets/{name}").json() == dataset
            assert set(dataset["chance"]) == set(dataset["metrics"])
        assert datasets["python-docs"]["vocabulary"]["type"] == "bytes"
        assert len(datasets["cmudict"]["output_vocabulary"]["symbols"]) == 39
        dataset = datasets["language-identification"]
        assert dataset["outputs"] == len(dataset["classes"]) == 35
        assert set(dataset["examples"]) == {"train", "validation", "test"}
        assert dataset["licence"] == "BSD-3-Clause"
