"""Bad input over HTTP: one shape of answer that says the field, the value, what is allowed and what to do."""

from __future__ import annotations

import http.client
import json
import resource
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from api_examples import device_document, job_document, space_document
from api_service import Service

PROBLEM = "application/problem+json"
MEMBERS = {"type", "title", "status", "detail", "instance", "errors"}


def problem_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    """Return a problem after checking that it has the one shape."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    problem: dict[str, Any] = answer.json()
    assert set(problem) == MEMBERS
    assert problem["status"] == status
    assert problem["type"].startswith("urn:pocketformer:problem:")
    assert problem["instance"] == f"urn:pocketformer:request:{answer.headers['x-request-id']}"
    assert problem["title"]
    assert problem["detail"]
    for error in problem["errors"]:
        assert set(error) == {"field", "value", "allowed", "next_step"}
        assert all(isinstance(text, str) and text for text in error.values()), error
    return problem


def error_of(answer: httpx.Response, field: str) -> dict[str, str]:
    """Return what a 422 says about one field."""
    found = {error["field"]: error for error in problem_of(answer, 422)["errors"]}
    assert field in found, found
    return found[field]


class TestJobs:
    """Each job that can't be run is refused, and nothing is written."""

    @pytest.mark.parametrize(
        ("changes", "field", "value", "allowed"),
        [
            pytest.param({"search_space": "big"}, "search_space", "'big'", "text-encoder", id="unknown space"),
            pytest.param(
                {"task": {"dataset": "imagenet", "metric": "error_rate"}},
                "task.dataset",
                "'imagenet'",
                "language-identification",
                id="unknown dataset",
            ),
            pytest.param(
                {"task": {"dataset": "language-identification", "metric": "bleu"}},
                "task.metric",
                "'bleu'",
                "error_rate",
                id="unknown metric",
            ),
            pytest.param({"devices": ["fridge"]}, "devices[0]", "'fridge'", "a device that", id="unknown device"),
            pytest.param(
                {"objectives": ["error_rate", "beauty"]},
                "objectives[1]",
                "'beauty'",
                "macs",
                id="unknown objective",
            ),
            pytest.param({"sampler": "oracle"}, "sampler", "'oracle'", "tpe", id="unknown sampler"),
            pytest.param({"budget": {"trials": 0}}, "budget.trials", "0", "greater than or equal to 1", id="zero"),
            pytest.param({"budget": {"trials": -5}}, "budget.trials", "-5", "greater", id="negative budget"),
            pytest.param({"budget": {}}, "budget.trials", "None", "required", id="budget without trials"),
            pytest.param(
                {"budget": {"trials": 3, "hours": 0}}, "budget.hours", "0", "greater than 0", id="no time at all"
            ),
            pytest.param(
                {"constraints": ["parameters ~ 5"]},
                "constraints[0]",
                "'parameters ~ 5'",
                "<=",
                id="limit that is none",
            ),
            pytest.param({"colour": "blue"}, "colour", "'blue'", "no field of this name", id="unknown field"),
            pytest.param(
                {"search_space": space_document(depth=[])},
                "search_space.encoder.depth",
                "[]",
                "1",
                id="empty choice",
            ),
            pytest.param(
                {"search_space": space_document(hidden_size=[17])},
                "search_space.encoder.layer.attention",
                "softmax heads [2, 4] with hidden_size [17]",
                "at least one head count that divides a hidden size",
                id="no head count divides any hidden size",
            ),
        ],
    )
    def test_a_wrong_field_is_named_with_what_is_allowed(
        self, service: Service, changes: dict[str, Any], field: str, value: str, allowed: str
    ) -> None:
        before = service.rows()
        error = error_of(service.client.post("/v1/jobs", json=job_document(**changes)), field)
        assert value in error["value"]
        assert allowed in error["allowed"]
        assert error["next_step"]
        assert service.rows() == before

    def test_a_missing_budget_is_asked_for(self, service: Service) -> None:
        document = job_document()
        del document["budget"]
        before = service.rows()
        error = error_of(service.client.post("/v1/jobs", json=document), "budget")
        assert error["next_step"] == "add `budget`"
        assert service.rows() == before

    def test_a_limit_that_nothing_can_meet_is_answered_with_the_lowest_reachable_value(self, service: Service) -> None:
        before = service.rows()
        answer = service.client.post("/v1/jobs", json=job_document(constraints=["parameters <= 100"]))
        error = error_of(answer, "constraints[0]")
        assert "parameters <= 100" in error["value"]
        lowest = int(error["allowed"].removeprefix("a limit of at least ").split()[0])
        assert "lowest parameters" in error["allowed"]
        assert service.rows() == before
        reachable = service.client.post("/v1/jobs", json=job_document(constraints=[f"parameters <= {lowest}"]))
        assert reachable.status_code == 201
        below = service.client.post("/v1/jobs", json=job_document(constraints=[f"parameters <= {lowest - 1}"]))
        assert below.status_code == 422

    def test_a_device_without_a_table_for_the_workload_is_answered_with_the_command_that_measures_it(
        self, service: Service
    ) -> None:
        service.client.post("/v1/devices", json=device_document("bare"))
        before = service.rows()
        objectives = ["error_rate", "latency_ms@bare"]
        error = error_of(
            service.client.post("/v1/jobs", json=job_document(devices=["bare"], objectives=objectives)),
            "devices[0]",
        )
        assert "bare" in error["value"]
        assert "none" in error["allowed"]
        assert "nas device profile bare --space smoke" in error["next_step"]
        assert service.rows() == before

    def test_several_wrong_fields_are_all_named_at_once(self, service: Service) -> None:
        answer = service.client.post("/v1/jobs", json=job_document(search_space="big", devices=["fridge"]))
        fields = {error["field"] for error in problem_of(answer, 422)["errors"]}
        assert {"search_space", "devices[0]"} <= fields


HOSTILE = {
    "an alias bomb": "a: &a [x, x]\n"
    + "\n".join(f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]" for i in range(20)),
    "deep nesting": "a: " + "[" * 5000,
    "deep nesting in JSON form": '{"a": ' + '{"a": ' * 5000,
    "a tag that runs code": "a: !!python/object/apply:os.system ['touch /tmp/run-by-yaml']",
    "duplicate keys": "name: a\nname: b",
    "very many values": "a: [" + "1," * 400_000 + "1]",
    "a syntax error": "name: [unclosed",
    "a list": "- a\n- b",
    "a bare word": "hello",
    "nothing": "",
    "not UTF-8": b"name: \xff\xfe",
    "keys that are no text": "1: a",
    "a number too long to read": "a: " + "9" * 5000,
}


class TestBodies:
    """Bodies that are no documents, or hostile ones, are refused quickly, and nothing is written."""

    @pytest.mark.parametrize("name", HOSTILE)
    @pytest.mark.parametrize("path", ["/v1/jobs", "/v1/search-spaces", "/v1/devices", "/v1/score"])
    def test_malformed_and_hostile_yaml_is_refused_at_once(self, service: Service, path: str, name: str) -> None:
        before = service.rows()
        started = time.process_time()  # the server's too: it is a thread of this process
        answer = service.client.post(path, content=HOSTILE[name], headers={"Content-Type": "application/yaml"})
        assert time.process_time() - started < 3
        error = error_of(answer, "body")
        assert "mapping" in error["allowed"] or "UTF-8" in error["allowed"]
        assert service.rows() == before

    @pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
    def test_numbers_that_are_not_finite_are_refused_by_their_path(self, service: Service, number: str) -> None:
        before = service.rows()
        text = json.dumps(job_document(budget={"trials": 3, "hours": 1.5})).replace("1.5", number)
        answer = service.client.post("/v1/jobs", content=text, headers={"Content-Type": "application/json"})
        error = error_of(answer, "budget.hours")
        assert error["allowed"] == "a finite number"
        assert service.rows() == before

    @pytest.mark.parametrize("number", [".nan", ".inf"])
    def test_yaml_spells_them_otherwise_and_is_refused_as_well(self, service: Service, number: str) -> None:
        text = yaml.safe_dump(job_document(budget={"trials": 3, "hours": 1.5})).replace("1.5", number)
        answer = service.client.post("/v1/jobs", content=text, headers={"Content-Type": "application/yaml"})
        assert error_of(answer, "budget.hours")["allowed"] == "a finite number"

    @pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "nonsense"])
    def test_other_content_types_are_not_taken(self, service: Service, kind: str | None) -> None:
        headers = {} if kind is None else {"Content-Type": kind}
        answer = service.client.post("/v1/jobs", content=json.dumps(job_document()), headers=headers)
        (error,) = problem_of(answer, 415)["errors"]
        assert error["field"] == "Content-Type"
        assert "application/yaml" in error["allowed"]

    def test_a_latency_table_is_taken_as_json_only(self, service: Service) -> None:
        answer = service.client.post(
            "/v1/devices/x/latency-tables", content="a: 1", headers={"Content-Type": "application/yaml"}
        )
        (error,) = problem_of(answer, 415)["errors"]
        assert error["allowed"] == "application/json"


class TestSize:
    """A body above the limit is refused while it comes in; it is never held in memory."""

    BODY = 50_000_000

    @pytest.mark.parametrize(
        ("path", "says_how_long"),
        [
            ("/v1/jobs", True),
            ("/v1/jobs", False),
            ("/v1/score", False),
            ("/v1/devices/x/latency-tables", True),
            ("/v1/devices/x/latency-tables", False),
            ("/nowhere", True),
        ],
    )
    def test_a_body_of_50_mb_is_refused_without_being_kept(
        self, service: Service, path: str, says_how_long: bool
    ) -> None:
        before, peak_before = service.rows(), _peak_mb()
        headers = {"Content-Type": "application/json"}
        if says_how_long:
            headers["Content-Length"] = str(self.BODY)
        answer = service.client.post(path, content=_chunks(self.BODY), headers=headers)
        (error,) = problem_of(answer, 413)["errors"]
        assert error["field"] == "body"
        assert "at most" in error["allowed"]
        limit_mb = 20 if "latency-tables" in path else 1
        assert f"{limit_mb}000000 bytes" in error["allowed"]
        assert service.rows() == before
        # A table may be held up to its own limit; above that nothing is
        assert _peak_mb() - peak_before < 2.5 * limit_mb + 5

    def test_a_caller_who_waits_for_permission_is_refused_before_sending(self, service: Service) -> None:
        parts = urlsplit(service.url)
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
        connection.putrequest("POST", "/v1/jobs")
        connection.putheader("Content-Length", str(self.BODY))
        connection.putheader("Expect", "100-continue")
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status == 413
        assert answer.getheader("Content-Type") == PROBLEM
        connection.close()

    def test_a_body_that_is_longer_than_it_says_never_becomes_a_second_request(self, service: Service) -> None:
        parts = urlsplit(service.url)
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
        before = service.rows()
        connection.putrequest("POST", "/v1/jobs")
        connection.putheader("Content-Length", "10")
        connection.putheader("Content-Type", "application/json")
        connection.endheaders(b"x" * 100_000)
        answer = connection.getresponse()
        assert answer.status in (400, 422)
        connection.close()
        assert service.rows() == before
        assert service.client.get("/healthz").status_code == 200


class TestOneShape:
    """Whatever goes wrong, the answer has one shape."""

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/nowhere", 404),
            ("GET", "/v1/nowhere", 404),
            ("GET", "/static/dashboard-0/nothing.js", 404),
            ("GET", "/static/plotly-0/plotly.min.js", 404),
            ("GET", "/v1/jobs/j-unknown", 404),
            ("GET", "/v1/jobs/j-unknown/events", 404),
            ("GET", "/v1/jobs/j-unknown/front", 404),
            ("GET", "/v1/jobs/j-unknown/trials/0/config", 404),
            *(("POST", f"/v1/jobs/j-unknown/{what}", 404) for what in ("cancel", "pause", "resume", "retry")),
            ("DELETE", "/v1/jobs/j-unknown", 404),
            ("GET", "/v1/search-spaces/unknown", 404),
            ("GET", "/v1/devices/unknown", 404),
            ("GET", "/v1/devices/unknown/latency-tables", 404),
            ("GET", "/v1/devices/unknown/latency-tables/1", 404),
            ("GET", "/v1/datasets/unknown", 404),
            ("GET", "/v1/jobs/", 404),
            ("DELETE", "/v1/jobs", 405),
            ("PUT", "/healthz", 405),
            ("POST", "/static/dashboard-0/index.html", 405),
            ("BREW", "/v1/jobs", 405),
            ("GET", "/v1/jobs?limit=0", 422),
            ("GET", "/v1/jobs?limit=many", 422),
            ("GET", "/v1/jobs?cursor=invented", 422),
            ("GET", "/v1/jobs?page=2", 422),
            ("GET", "/v1/jobs/j-unknown/trials/x", 422),
            ("GET", "/v1/jobs/j-unknown/trials/0/config?format=xml", 422),
            ("GET", "/v1/jobs/j-unknown/events?last_event_id=x", 422),
            ("GET", "/v1/devices/unknown/latency-tables/0", 422),
            ("POST", "/v1/jobs", 415),
            ("POST", "/v1/score", 415),
        ],
    )
    def test_every_refusal_has_the_one_shape(self, service: Service, method: str, path: str, status: int) -> None:
        problem_of(service.client.request(method, path), status)

    def test_a_wrong_query_names_the_parameters_that_exist(self, service: Service) -> None:
        error = error_of(service.client.get("/v1/jobs?pgae=2"), "pgae")
        assert error["allowed"] == "cursor, limit"
        error = error_of(service.client.get("/v1/jobs?limit=1000"), "limit")
        assert "200" in error["allowed"]

    def test_a_wrong_query_about_a_job_names_the_parameter(self, service: Service) -> None:
        path = service.client.post("/v1/jobs", json=job_document()).json()["links"]["trials"]
        assert "complete" in error_of(service.client.get(f"{path}?state=odd"), "state")["allowed"]
        assert "-1" in error_of(service.client.get(f"{path}?after=-2"), "after")["allowed"]
        assert "1000" in error_of(service.client.get(f"{path}?limit=1001"), "limit")["allowed"]

    def test_a_wrong_method_is_answered_with_all_right_ones(self, service: Service) -> None:
        assert service.client.delete("/v1/jobs").headers["allow"] == "GET, POST"

    @pytest.mark.parametrize("name", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "[", ""])
    def test_a_stranger_whose_name_points_here_is_refused(self, service: Service, name: str) -> None:
        problem_of(service.client.get("/v1/jobs", headers={"Host": name}), 421)

    @pytest.mark.parametrize("name", ["localhost", "localhost:8000", "127.0.0.1:1", "[::1]:8000", "LOCALHOST"])
    def test_this_machine_goes_by_all_its_names(self, service: Service, name: str) -> None:
        assert service.client.get("/v1/jobs", headers={"Host": name}).status_code == 200

    def test_an_error_nobody_expected_shows_an_id_and_no_more(
        self, service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(*_: object) -> None:
            raise RuntimeError("secret inner state")

        monkeypatch.setattr("api.routes.jobs.submit", broken)
        answer = service.client.post("/v1/jobs", json=job_document())
        problem = problem_of(answer, 500)
        assert "secret" not in answer.text
        assert "Traceback" not in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"
        request_id = problem["instance"].rpartition(":")[2]
        assert any(request_id in record.getMessage() and record.exc_info for record in caplog.records)

    def test_odd_characters_come_back_without_breaking_the_answer(self, service: Service) -> None:
        text = '{"\\ud800\\u0000": NaN}'
        answer = service.client.post("/v1/jobs", content=text, headers={"Content-Type": "application/json"})
        problem_of(answer, 422)
        named = json.dumps(job_document(name="\0\ud800"))
        problem_of(service.client.post("/v1/jobs", content=named, headers={"Content-Type": "application/json"}), 422)
        problem_of(service.client.get("/v1/search-spaces/%00%ff"), 404)


def _chunks(size: int) -> Iterator[bytes]:
    chunk = b" " * 100_000
    for _ in range(size // len(chunk)):
        yield chunk


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
