"""The client against a real HTTP server on a socket that answers what each test scripts."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from nas.client import Client, ServerFailed, ServerUnreachable, parse_events
from nas.errors import Conflict, InvalidInput, MissingEntry, NotFound, TooLarge

Answer = tuple[int, str, bytes]


class Server:
    """Answers each request with what `answer(method, path, headers, body)` returns, and keeps the requests."""

    def __init__(self) -> None:
        self.answer: Callable[[str, str, Any, bytes], Answer] = lambda *_: (200, "application/json", b"{}")
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def _handle(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                server.seen.append((self.command, self.path, headers, body))
                status, kind, content = server.answer(self.command, self.path, headers, body)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = _handle

            def log_message(self, *_: Any) -> None:
                """Stay quiet."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.url, timeout_s=5) as client:
        yield client


def problem(status: int, name: str, errors: list[dict[str, Any]] | None = None, detail: str = "why") -> Answer:
    body = {
        "type": f"urn:pocketformer:problem:{name}",
        "title": "t",
        "status": status,
        "detail": detail,
        "instance": "urn:x",
        "errors": errors or [],
    }
    return status, "application/problem+json", json.dumps(body).encode()


def event(sequence: int, kind: str, data: dict[str, Any]) -> bytes:
    return f"id: {sequence}\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode()


FIELD = {"field": "budget.trials", "value": "0", "allowed": "1 or more", "next_step": "correct it"}


def test_a_422_becomes_invalid_input_with_the_same_fields(server: Server, client: Client) -> None:
    server.answer = lambda *_: problem(422, "invalid-input", [FIELD])
    with pytest.raises(InvalidInput) as caught:
        client.submit_job({"name": "x"})
    (found,) = caught.value.problems
    assert found.to_dict() == FIELD
    assert str(found) == "budget.trials: got 0; allowed: 1 or more; correct it"


def test_a_value_is_not_quoted_a_second_time(server: Server, client: Client) -> None:
    server.answer = lambda *_: problem(422, "invalid-input", [{**FIELD, "value": "'zero'"}])
    with pytest.raises(InvalidInput, match=r"got 'zero';"):
        client.submit_job({"name": "x"})


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (problem(404, "not-found", detail="no job `j-0`"), NotFound),
        (problem(409, "conflict", detail="the job has ended"), Conflict),
        (problem(413, "too-large", [{**FIELD, "field": "body"}]), TooLarge),
        (problem(415, "unsupported-media-type", [FIELD]), InvalidInput),
        (problem(422, "missing-entry", detail="no entry for attention(…)"), MissingEntry),
        (problem(503, "store-unavailable"), ServerFailed),
        (problem(500, "unexpected"), ServerFailed),
        ((502, "text/html", b"<h1>Bad gateway</h1>"), ServerFailed),
        ((200, "text/html", b"<h1>Some other server</h1>"), ServerFailed),
        ((200, "application/json", b"[1, 2]"), ServerFailed),
    ],
)
def test_every_failure_comes_back_as_its_exception(
    server: Server, client: Client, answer: Answer, expected: type[Exception]
) -> None:
    server.answer = lambda *_: answer
    with pytest.raises(expected) as caught:
        client.job("j-0")
    assert type(caught.value) is expected
    assert str(caught.value)


def test_an_address_without_a_server_is_named() -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(ServerUnreachable, match=r"127\.0\.0\.1:9"):
        client.jobs().__next__()


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "ftp://x", "http://", "postgresql://x/y"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Client(url)
    assert caught.value.problems[0].field == "url"


def test_a_proxy_is_not_asked_for_this_machine(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with Client(server.url) as client:
        assert client.job("j-1") == {}


def test_nan_is_refused_before_anything_is_sent(server: Server, client: Client) -> None:
    with pytest.raises(InvalidInput) as caught:
        client.submit_job({"task": {"training": {"learning_rate": float("nan")}}})
    assert caught.value.problems[0].field == "task.training.learning_rate"
    assert server.seen == []


def test_a_job_is_sent_as_json_with_its_key(server: Server, client: Client) -> None:
    client.submit_job({"name": "Schlüssel"}, "key-1")
    client.submit_job({"name": "n"})
    (_, path, headers, body), (_, _, without, _) = server.seen
    assert path == "/v1/jobs"
    assert headers["idempotency-key"] == "key-1"
    assert headers["content-type"] == "application/json"
    assert json.loads(body) == {"name": "Schlüssel"}
    assert "idempotency-key" not in without


def test_names_are_quoted_in_addresses(server: Server, client: Client) -> None:
    client.search_space("../jobs?x=1")
    assert server.seen[0][1] == "/v1/search-spaces/..%2Fjobs%3Fx%3D1"


def test_jobs_follow_the_cursor_to_the_end_or_the_limit(server: Server, client: Client) -> None:
    pages = {
        "/v1/jobs": {"jobs": [{"id": "j-3"}, {"id": "j-2"}], "next_cursor": "c"},
        "/v1/jobs?cursor=c": {"jobs": [{"id": "j-1"}], "next_cursor": None},
        "/v1/jobs?limit=1": {"jobs": [{"id": "j-3"}], "next_cursor": "d"},
    }
    server.answer = lambda _, path, *__: (200, "application/json", json.dumps(pages[path]).encode())
    assert [job["id"] for job in client.jobs()] == ["j-3", "j-2", "j-1"]
    assert [job["id"] for job in client.jobs(limit=1)] == ["j-3"]


def test_trials_follow_their_numbers(server: Server, client: Client) -> None:
    pages = {
        "/v1/jobs/j-1/trials?state=complete": {"trials": [{"number": 0}], "next_after": 0},
        "/v1/jobs/j-1/trials?after=0&state=complete": {"trials": [{"number": 2}], "next_after": None},
    }
    server.answer = lambda _, path, *__: (200, "application/json", json.dumps(pages[path]).encode())
    assert [trial["number"] for trial in client.trials("j-1", state="complete")] == [0, 2]


def test_a_front_is_asked_under_other_objectives_and_limits(server: Server, client: Client) -> None:
    client.front("j-1", ["error_rate", "macs"], ["parameters <= 1e6", "macs <= 2e7"])
    path = server.seen[0][1]
    assert "objectives=error_rate%2Cmacs" in path or "objectives=error_rate,macs" in path
    assert path.count("constraint=") == 2


def test_events_are_parsed_wherever_the_bytes_are_cut() -> None:
    stream = (
        b": still here\r\n\r\n"
        + event(1, "job", {"state": "running"})
        + b'id: 2\r\nevent: trial\r\ndata: {"text":\r\ndata: "two lines"}\r\n\r\n'
        + b"event: surprise\nid: 9\ndata: {}\n\n"
        + 'id:3\nevent:trial\ndata:{"text":"a\u2028b\x85c\x0bd ü"}\n\n'.encode().replace(b"\x0b", b"\\u000b")
        + b'id: 4\nevent: trial\ndata: {"cut": "off'
    )
    for size in (1, 2, 7, len(stream)):
        chunks = iter([stream[i : i + size] for i in range(0, len(stream), size)])
        events = list(parse_events(chunks))
        assert [(e.sequence, e.kind) for e in events] == [(1, "job"), (2, "trial"), (3, "trial")]
        assert events[1].data == {"text": "two lines"}
        assert events[2].data == {"text": "a\u2028b\x85c\x0bd ü"}


def test_a_broken_event_stream_is_taken_up_where_it_ended(server: Server, client: Client) -> None:
    parts = [
        event(5, "job", {"state": "running"}) + event(6, "trial", {"n": 0}),
        event(7, "trial", {"n": 1})[:-9],  # the connection breaks inside an event
        event(7, "trial", {"n": 1}) + event(8, "job", {"state": "succeeded"}) + event(9, "trial", {"n": 2}),
    ]

    def answer(_: str, path: str, *__: Any) -> Answer:
        if path.endswith("/events"):
            return 200, "text/event-stream", parts.pop(0)
        return 200, "application/json", b'{"state": "running"}'

    server.answer = answer
    assert [e.sequence for e in client.events("j-1")] == [5, 6, 7, 8]
    asked = [headers.get("last-event-id") for _, path, headers, _ in server.seen if path.endswith("/events")]
    assert asked == [None, "6", "6"]


def test_events_after_the_last_one_end_at_once(server: Server, client: Client) -> None:
    server.answer = lambda _, path, *__: (
        (200, "text/event-stream", b"")
        if path.endswith("/events")
        else (200, "application/json", b'{"state": "succeeded"}')
    )
    assert list(client.events("j-1", after=99)) == []


def test_events_give_up_when_the_server_is_gone() -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(ServerUnreachable, match="j-1"):
        list(client.events("j-1", patience_s=0.2))


def test_events_of_an_unknown_job_are_not_found(server: Server, client: Client) -> None:
    server.answer = lambda *_: problem(404, "not-found", detail="no job `j-0`")
    with pytest.raises(NotFound, match="j-0"):
        list(client.events("j-0"))


def test_waiting_ends_when_the_server_is_ready(server: Server, client: Client) -> None:
    answers = [(503, "text/plain", b""), (200, "application/json", b"{}")]
    server.answer = lambda *_: answers.pop(0)
    client.wait_ready(5)
    assert answers == []


def test_waiting_for_a_server_that_never_comes_says_why() -> None:
    with (
        Client("http://127.0.0.1:9") as client,
        pytest.raises(ServerUnreachable, match=r"not ready within 0\.2 s"),
    ):
        client.wait_ready(0.2)
