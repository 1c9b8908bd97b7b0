"""Jobs over HTTP: submit, list, look, cancel."""

from __future__ import annotations

import json
from uuid import uuid4

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
