"""A job's event stream: what happened, what happens, and taking it up again."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from api_examples import RecordingWorker, job_document
from api_service import Service, serving
from jsonschema_rs import Draft202012Validator

from nas.store.records import JobState


@dataclass(frozen=True)
class Event:
    id: int
    kind: str
    data: dict[str, Any]


def events_in(answer: httpx.Response) -> Iterator[Event]:
    """Yield the events of a stream as they come, keep-alive comments left out."""
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if not line and "data" in fields:
            yield Event(int(fields["id"]), fields["event"], json.loads(fields["data"]))
            fields = {}
        elif name:
            fields[name] = value


def whole_stream(service: Service, path: str, **headers: str) -> list[Event]:
    with service.client.stream("GET", f"{path}/events", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        return list(events_in(answer))


def new_job(service: Service) -> tuple[str, RecordingWorker]:
    job = service.client.post("/v1/jobs", json=job_document()).json()
    return job["links"]["self"], RecordingWorker(service.store, service.store.job(job["id"]))


def end(worker: RecordingWorker) -> None:
    worker.store.finish_job(worker.job.id, worker.job.lease_token, JobState.SUCCEEDED, "the budget is spent")


class Listener:
    """Follows a job on a thread of its own, as a browser would."""

    def __init__(self, service: Service, path: str) -> None:
        self.events: list[Event] = []
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, args=(f"{service.url}{path}/events",))
        self._thread.start()

    def _listen(self, url: str) -> None:
        with httpx.Client(timeout=30, trust_env=False) as client, client.stream("GET", url) as answer:
            for event in events_in(answer):
                self.events.append(event)
        self.ended.set()

    def wait_for(self, condition: Callable[[list[Event]], bool], within_s: float = 10) -> None:
        end_at = time.monotonic() + within_s
        while not condition(self.events):
            assert time.monotonic() < end_at, self.events
            time.sleep(0.01)


def test_a_finished_job_is_told_in_order_and_the_stream_ends(service: Service) -> None:
    path, worker = new_job(service)
    for error_rate in (0.8, 0.4):
        worker.complete(error_rate)
    end(worker)
    events = whole_stream(service, path)
    assert [event.id for event in events] == sorted(event.id for event in events)
    assert [(e.kind, e.data["trial"]["number"]) for e in events[:-1]] == [("trial", 0), ("trial", 1)]
    assert events[-1].kind == "job"
    assert events[-1].data["state"] == "succeeded"
    assert events[-1].data == service.client.get(path).json()


def test_a_trial_event_carries_the_trial_the_progress_and_the_front(service: Service) -> None:
    path, worker = new_job(service)
    worker.complete(0.5)
    end(worker)
    news = whole_stream(service, path)[0].data
    assert set(news) == {"trial", "progress", "front", "knee"}
    assert news["trial"] == service.client.get(f"{path}/trials").json()["trials"][0]
    assert news["progress"]["evaluated"] == 1
    assert news["front"] == [0]
    assert news["knee"] == 0


def test_every_event_is_what_the_description_of_the_service_says(service: Service) -> None:
    path, worker = new_job(service)
    worker.complete(0.5, weights=True)
    end(worker)
    events = whole_stream(service, path)
    assert {event.kind for event in events} == {"job", "trial"}
    document = service.client.get("/openapi.json").json()
    answers = document["paths"]["/v1/jobs/{job_id}/events"]["get"]["responses"]
    schemas = answers["200"]["content"]["text/event-stream"]["itemSchema"]["oneOf"]
    contents = {
        schema["properties"]["event"]["const"]: schema["properties"]["data"]["contentSchema"] for schema in schemas
    }
    for event in events:
        validator = Draft202012Validator(contents[event.kind] | {"components": document["components"]})
        assert not [str(error) for error in validator.iter_errors(event.data)]
        assert not validator.is_valid({**event.data, "more": 1})


def test_what_happens_is_heard_as_it_happens(service: Service) -> None:
    path, worker = new_job(service)
    listener = Listener(service, path)
    listener.wait_for(lambda events: [e.data.get("state") for e in events] == ["running"])
    worker.complete(0.5)
    listener.wait_for(lambda events: events[-1].kind == "trial" and events[-1].data["trial"]["state"] == "complete")
    number = worker.start()
    listener.wait_for(lambda events: events[-1].data.get("trial", {}).get("number") == number)
    assert not listener.ended.is_set()
    end(worker)
    assert listener.ended.wait(10)
    assert listener.events[-1].data["state"] == "succeeded"


def test_many_listeners_hear_the_same(service: Service) -> None:
    path, worker = new_job(service)
    listeners = [Listener(service, path) for _ in range(5)]
    for listener in listeners:
        listener.wait_for(lambda events: len(events) >= 1)
    worker.complete(0.3)
    end(worker)
    for listener in listeners:
        assert listener.ended.wait(10)
        assert listener.events[-1].data["state"] == "succeeded"
        complete = [e for e in listener.events if e.kind == "trial" and e.data["trial"]["state"] == "complete"]
        assert complete


@pytest.mark.parametrize("given_as", ["header", "query"])
def test_a_broken_stream_is_taken_up_after_the_last_event(service: Service, given_as: str) -> None:
    path, worker = new_job(service)
    for error_rate in (0.8, 0.6, 0.4):
        worker.complete(error_rate)
    end(worker)
    events = whole_stream(service, path)
    for index, event in enumerate(events[:-1]):
        if given_as == "header":
            rest = whole_stream(service, path, **{"Last-Event-ID": str(event.id)})
        else:
            answer = service.client.get(f"{path}/events", params={"last_event_id": event.id})
            rest = list(events_in(answer))
        assert rest == events[index + 1 :]


def test_after_the_last_event_of_a_finished_job_there_is_nothing_to_come_back_for(service: Service) -> None:
    path, worker = new_job(service)
    end(worker)
    last = whole_stream(service, path)[-1]
    answer = service.client.get(f"{path}/events", headers={"Last-Event-ID": str(last.id)})
    assert answer.status_code == 204
    assert answer.content == b""


def test_a_job_that_is_queued_again_is_followed_again_though_nobody_listened_meanwhile(service: Service) -> None:
    path, worker = new_job(service)
    worker.complete(0.5)
    end(worker)
    last = whole_stream(service, path)[-1]
    headers = {"Last-Event-ID": str(last.id)}
    assert service.client.get(f"{path}/events", headers=headers).status_code == 204
    assert service.client.post(f"{path}/finish", json={}).is_success
    with service.client.stream("GET", f"{path}/events", headers=headers) as answer:
        assert answer.status_code == 200
        assert next(events_in(answer)).data["state"] == "queued"


def test_a_deleted_job_is_followed_by_nobody(service: Service) -> None:
    path, worker = new_job(service)
    end(worker)
    assert whole_stream(service, path)
    assert service.client.delete(path).status_code == 204
    assert service.client.get(f"{path}/events").status_code == 404


def test_a_long_past_is_told_in_several_batches_without_a_gap(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.followed.AT_ONCE", 2)
    path, worker = new_job(service)
    for _ in range(4):
        worker.complete(0.5)
    end(worker)
    events = whole_stream(service, path)
    assert {e.data["trial"]["number"] for e in events if e.kind == "trial"} == {0, 1, 2, 3}
    assert len({event.id for event in events}) == len(events)
    assert events[-1].data["state"] == "succeeded"


def test_a_listener_who_leaves_is_forgotten(service: Service) -> None:
    path, worker = new_job(service)
    waiting = service.server.app_services.news
    with (
        httpx.Client(timeout=30, trust_env=False) as client,
        client.stream("GET", f"{service.url}{path}/events") as answer,
    ):
        events = events_in(answer)
        next(events)
        _until(lambda: waiting.listeners == 1)
    _until(lambda: waiting.listeners == 0)
    end(worker)


def test_a_quiet_stream_says_now_and_then_that_it_lives(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.routes.events.PING_S", 0.05)
    path, worker = new_job(service)
    with service.client.stream("GET", f"{path}/events") as answer:
        comments = (line for line in answer.iter_lines() if line.startswith(":"))
        assert next(comments).startswith(":")
        end(worker)


def test_a_server_that_stops_ends_its_streams_first(tmp_path: Any) -> None:
    with serving(tmp_path / "stopping.db", shutdown_s=60) as service:
        path, _ = new_job(service)
        listener = Listener(service, path)
        listener.wait_for(lambda events: len(events) >= 1)
        started = time.monotonic()
        service.server.should_exit = True
        assert listener.ended.wait(10)
    assert time.monotonic() - started < 10


def _until(condition: Callable[[], bool], within_s: float = 10) -> None:
    end_at = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end_at
        time.sleep(0.01)
