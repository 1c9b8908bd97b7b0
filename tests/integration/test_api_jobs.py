"""Jobs over HTTP: submit, list, look, and what is asked of them afterwards."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import yaml
from api_examples import job_document
from api_service import Service


def test_a_submitted_job_is_acknowledged_with_its_summary_and_address(service: Service) -> None:
    answer = service.client.post("/v1/jobs", json=job_document())
    assert answer.status_code == 201
    job = answer.json()
    assert answer.headers["location"] == job["links"]["self"] == f"/v1/jobs/{job['id']}"
    assert job["state"] == "queued"
    assert job["budget"] == {"trials": 4, "hours": None, "plateau": None}
    assert job["progress"]["evaluated"] == 0
    assert job["progress"]["hypervolume"] is None
    assert [o["name"] for o in job["objectives"]] == ["error_rate", "parameters"]
    assert job["constraints"] == [
        {"text": "parameters <= 24000", "metric": "parameters", "operator": "<=", "limit": 24000}
    ]
    assert service.client.get(job["links"]["self"]).json() == job


def test_yaml_and_json_give_the_same_job(service: Service) -> None:
    documents = []
    for content, kind in (
        (json.dumps(job_document()), "application/json; charset=utf-8"),
        (yaml.safe_dump(job_document()), "application/yaml"),
        (yaml.safe_dump(job_document()), "text/x-yaml"),
    ):
        answer = service.client.post("/v1/jobs", content=content, headers={"Content-Type": kind})
        assert answer.status_code == 201, answer.text
        documents.append(answer.json()["document"])
    assert documents[0] == documents[1] == documents[2]


def test_the_same_key_and_document_give_the_first_job_again(service: Service) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    first = service.client.post("/v1/jobs", json=job_document(), headers=key)
    before = service.rows()
    again = service.client.post("/v1/jobs", json=job_document(), headers=key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]
    assert again.headers["location"] == first.headers["location"]
    assert service.rows() == before


def test_the_same_key_with_another_document_is_refused(service: Service) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    service.client.post("/v1/jobs", json=job_document(), headers=key)
    before = service.rows()
    other = service.client.post("/v1/jobs", json=job_document(seed=1), headers=key)
    assert other.status_code == 409
    assert key["Idempotency-Key"] in other.json()["detail"]
    assert service.rows() == before


def test_an_idempotency_key_that_is_no_plain_text_is_refused(service: Service) -> None:
    for key in ("", "x" * 201, "naïve".encode()):
        answer = service.client.post("/v1/jobs", json=job_document(), headers={"Idempotency-Key": key})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "Idempotency-Key"


def test_pages_of_jobs_go_from_the_newest_to_the_oldest_without_a_gap(service: Service) -> None:
    submitted = [service.client.post("/v1/jobs", json=job_document(seed=s)).json()["id"] for s in range(5)]
    listed: list[str] = []
    cursor = None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = service.client.get("/v1/jobs", params=query).json()
        assert len(page["jobs"]) <= 2
        listed += [job["id"] for job in page["jobs"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert listed[:5] == submitted[::-1]
    assert len(set(listed)) == len(listed) == service.rows()["jobs"]


def test_a_queued_job_is_cancelled_at_once_and_only_once(service: Service) -> None:
    job = service.client.post("/v1/jobs", json=job_document()).json()
    cancelled = service.client.post(f"{job['links']['self']}/cancel")
    assert cancelled.status_code == 200
    assert cancelled.json()["state"] == "cancelled"
    assert cancelled.json()["finished_at"] is not None
    again = service.client.post(f"{job['links']['self']}/cancel")
    assert again.status_code == 409
    assert again.json()["type"] == "urn:pocketformer:problem:conflict"
    assert "cancelled" in again.json()["detail"]


def test_a_running_job_is_asked_to_stop(service: Service) -> None:
    job = service.client.post("/v1/jobs", json=job_document()).json()
    assert service.store.claim_job_by_id(job["id"], "test", 600)
    answer = service.client.post(f"{job['links']['self']}/cancel")
    assert answer.json()["state"] == "running"
    assert service.store.job(job["id"]).cancel_requested


def test_a_job_is_paused_and_resumed(service: Service) -> None:
    job = service.client.post("/v1/jobs", json=job_document()).json()
    path = job["links"]["self"]
    paused = service.client.post(f"{path}/pause")
    assert (paused.status_code, paused.json()["state"]) == (200, "paused")
    assert service.client.post(f"{path}/pause").json() == paused.json()
    assert service.client.get(path).json() == paused.json()
    resumed = service.client.post(f"{path}/resume")
    assert (resumed.status_code, resumed.json()["state"]) == (200, "queued")
    service.client.post(f"{path}/cancel")
    for action in ("pause", "resume"):
        refused = service.client.post(f"{path}/{action}")
        assert refused.status_code == 409
        assert "cancelled" in refused.json()["detail"]


def test_a_running_job_is_asked_to_pause(service: Service) -> None:
    job = service.client.post("/v1/jobs", json=job_document()).json()
    assert service.store.claim_job_by_id(job["id"], "test", 600)
    answer = service.client.post(f"{job['links']['self']}/pause").json()
    assert (answer["state"], answer["pause_requested"]) == ("running", True)


def test_a_cancelled_job_is_tried_again(service: Service) -> None:
    job = service.client.post("/v1/jobs", json=job_document()).json()
    path = job["links"]["self"]
    assert service.client.post(f"{path}/retry").status_code == 409
    service.client.post(f"{path}/cancel")
    again = service.client.post(f"{path}/retry")
    assert again.status_code == 200
    assert (again.json()["state"], again.json()["reason"], again.json()["search_ended"]) == ("queued", None, None)


def test_the_priority_is_given_with_the_job_and_changed_later(service: Service) -> None:
    low, high = (service.client.post("/v1/jobs", json=job_document(priority=p)).json() for p in (-3, 99))
    assert (low["priority"], high["priority"]) == (-3, 99)
    changed = service.client.patch(low["links"]["self"], json={"priority": 100})
    assert (changed.status_code, changed.json()["priority"]) == (200, 100)
    claimed = service.store.claim_job("test", 600)
    assert claimed is not None
    assert claimed.id == low["id"]


def test_a_change_that_is_none_is_refused_by_field(service: Service) -> None:
    path = service.client.post("/v1/jobs", json=job_document()).json()["links"]["self"]
    for body, field in (
        ({"priority": 101}, "priority"),
        ({"priority": "5"}, "priority"),
        ({}, "priority"),
        ({"priority": 1, "state": "running"}, "state"),
    ):
        answer = service.client.patch(path, json=body)
        assert answer.status_code == 422, body
        assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert service.client.get(path).json()["priority"] == 0
    refused = service.client.post("/v1/jobs", json=job_document(priority=-101))
    assert [error["field"] for error in refused.json()["errors"]] == ["priority"]


def test_a_deleted_job_is_gone_and_its_stream_ends(service: Service) -> None:
    job = service.client.post("/v1/jobs", json=job_document()).json()
    path = job["links"]["self"]
    assert service.client.delete(path).status_code == 409
    service.client.post(f"{path}/pause")
    with service.client.stream("GET", job["links"]["events"]) as stream:
        lines = stream.iter_lines()
        assert any(line.startswith("event: job") for line in lines)
        deleted = service.client.delete(path)
        assert (deleted.status_code, deleted.content) == (204, b"")
        assert not [line for line in lines if line.startswith("event:")]
    for gone in (path, job["links"]["front"], job["links"]["trials"], job["links"]["events"]):
        assert service.client.get(gone).status_code == 404
    assert service.client.delete(path).status_code == 404
    assert job["id"] not in {each["id"] for each in service.client.get("/v1/jobs").json()["jobs"]}


def test_a_hundred_submissions_at_once_with_one_key_are_one_job(service: Service) -> None:
    before = service.rows()["jobs"]

    def ask(document: dict[str, Any]) -> httpx.Response:
        headers = {"Idempotency-Key": "one of a hundred"}
        return httpx.post(f"{service.url}/v1/jobs", json=document, headers=headers, timeout=60, trust_env=False)

    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(ask, [job_document()] * 100))
    assert sorted(Counter(answer.status_code for answer in answers).items()) == [(200, 99), (201, 1)]
    assert len({answer.text for answer in answers}) == 1
    assert service.rows()["jobs"] == before + 1
    assert ask(job_document(seed=1)).status_code == 409
