"""Callers who mean harm, against a server in a process of its own: refused in the one shape, or harmless."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import re
import sqlite3
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from api_examples import RecordingWorker, device_document, job_document, space_document
from api_service import address_in_page
from hostile_callers import (
    Answer,
    ServerProcess,
    answer_of,
    send_at_intervals,
    send_until_answered,
    server_process,
)
from processes import until

MEMBERS = {"type", "title", "status", "detail", "instance", "errors"}
JSON = "Content-Type: application/json"
HEAD_TIMEOUT_S = BODY_TIMEOUT_S = SEND_TIMEOUT_S = 1.5
MAX_FILE_BYTES = 20_000_000
LIMITS = {
    "head_timeout_s": HEAD_TIMEOUT_S,
    "body_timeout_s": BODY_TIMEOUT_S,
    "send_timeout_s": SEND_TIMEOUT_S,
    "max_file_bytes": MAX_FILE_BYTES,
}
DEVICE = "board"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with server_process(tmp_path_factory.mktemp("hostile"), **LIMITS) as running:
        submitted = running.client.post("/v1/jobs", json=job_document(name="before everything"))
        assert submitted.status_code == 201, submitted.text  # and all that a submission imports is in memory
        assert running.client.post("/v1/devices", json=device_document(DEVICE)).status_code == 201
        yield running


def problem_of(answer: Answer, status: int) -> dict[str, Any]:
    """Return a problem after checking that it has the one shape, over whatever connection it came."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    problem: dict[str, Any] = answer.json
    assert set(problem) == MEMBERS
    assert problem["status"] == status
    assert problem["instance"] == f"urn:pocketformer:request:{answer.headers['x-request-id']}"
    for error in problem["errors"]:
        assert all(isinstance(text, str) and text for text in error.values()), error
    return problem


def error_of(answer: Answer, status: int, field: str) -> dict[str, str]:
    found = {error["field"]: error for error in problem_of(answer, status)["errors"]}
    assert field in found, found
    return found[field]


def seconds_to(call: Callable[[], httpx.Response]) -> float:
    started = time.monotonic()
    assert call().is_success
    return time.monotonic() - started


def assert_others_are_served(server: ServerProcess, usual_s: float) -> None:
    """Check that others wait hardly longer than they did before, whatever else this machine is doing."""
    assert served_s(server) < 0.5 + 4 * usual_s


def served_s(server: ServerProcess) -> float:
    """Return how long two ordinary requests take."""
    asked = seconds_to(lambda: server.client.get("/healthz"))
    return asked + seconds_to(lambda: server.client.post("/v1/jobs", json=job_document()))


def addresses(server: ServerProcess) -> list[tuple[str, str]]:
    """Return every method and address that the service describes and which names something."""
    paths = server.client.get("/openapi.json").json()["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods if "{" in path]


def addresses_of_documents(server: ServerProcess) -> list[tuple[str, str]]:
    """Return every method and address that takes a document, of a job and a device that there are."""
    paths = server.client.get("/openapi.json").json()["paths"]
    job = server.client.get("/v1/jobs?limit=1").json()["jobs"][0]["id"]
    return [
        (method.upper(), path.format(job_id=job, name=DEVICE))
        for path, methods in paths.items()
        for method, described in methods.items()
        if "application/json" in described.get("requestBody", {}).get("content", {})
    ]


UP = [
    "../../../../../../../etc/passwd",
    "..%2f..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..%252f..%252f..%252fetc%252fpasswd",
    "..%5c..%5c..%5cetc%5cpasswd",
    "..",
    "%2e%2e",
    "%2e%2e%2fkeys",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "file:%2f%2f%2fetc%2fpasswd",
    "pocketformer.db",
    "%00",
    "x%00.js",
    "%ff%fe",
    "~root",
    "x" * 6_000,
]


class TestPaths:
    """Names lead nowhere but to what has that name."""

    @pytest.mark.parametrize("name", UP, ids=lambda name: name[:40])
    def test_no_name_in_an_address_leads_elsewhere(self, server: ServerProcess, name: str) -> None:
        before, files = server.rows(), server.files()
        for method, path in addresses(server):
            body = b"{}" if method in ("POST", "PATCH", "PUT") else b""
            for target in {re.sub(r"\{.*?\}", name, path, count=1), re.sub(r"\{.*?\}", name, path)}:
                answer = server.request(method, re.sub(r"\{.*?\}", "1", target), body, JSON)
                assert answer.status in (404, 405, 422), (method, target, answer)
                problem_of(answer, answer.status)
        assert server.rows() == before
        assert server.files() == files

    @pytest.mark.parametrize("folder", ["/static/dashboard-0/", "/static/dashboard-0/css/", "/static/", "/"])
    def test_no_other_file_is_served(self, server: ServerProcess, folder: str) -> None:
        for name in [*UP, "../server.py", "..%2fserver.py", "index.html%00.js", "../../pyproject.toml%00.css"]:
            answer = server.request("GET", folder + name)
            assert answer.status in (404, 405), (name, answer)
            problem_of(answer, answer.status)

    @pytest.mark.parametrize(
        "name",
        [
            "../../etc/cron.csv",
            "/etc/cron.csv",
            "..\\..\\cron.csv",
            "a/b.csv",
            ".csv",
            "..csv",
            "a\0.csv",
            "a.csv\0",
            "a\r\nSet-Cookie: k=v.csv",
            "a.csv\n",
            "ä.csv",
            "-rf.csv",
            "$(id).csv",
            "x" * 200 + ".csv",
        ],
    )
    def test_a_file_is_called_nothing_that_could_be_a_path_or_a_header(self, server: ServerProcess, name: str) -> None:
        before, files = server.rows(), server.files()
        target = f"/v1/datasets?name={quote(name, safe='')}"
        error = error_of(server.request("POST", target, b"text,label\na,1\n"), 422, "file")
        assert "letters, digits" in error["allowed"]
        assert server.rows() == before
        assert server.files() == files


class TestUnfolding:
    """Nothing that is sent grows: no compressed body, no archive, no nesting."""

    @pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "GZIP, gzip", "x"])
    def test_compressed_bodies_are_refused_unread(self, server: ServerProcess, coding: str) -> None:
        bomb = gzip.compress(bytes(60_000_000), 1) if "zip" in coding.lower() else zlib.compress(bytes(60_000_000), 1)
        before = server.rows()
        with server.growing_at_most(20):
            for method, path in [*addresses_of_documents(server), ("POST", "/v1/datasets?name=bomb.csv")]:
                answer = server.request(method, path, bomb, JSON, f"Content-Encoding: {coding}")
                error = error_of(answer, 415, "Content-Encoding")
                assert coding in error["value"]
                assert "not compressed" in error["next_step"]
        assert server.rows() == before

    def test_a_body_that_says_it_is_as_it_is_is_taken(self, server: ServerProcess) -> None:
        document = json.dumps(job_document()).encode()
        assert server.request("POST", "/v1/jobs", document, JSON, "Content-Encoding: identity").status == 201

    @pytest.mark.parametrize("name", ["bomb.csv", "bomb.txt", "bomb.jsonl", "bomb.zip", "bomb.csv.gz", "bomb.bin"])
    @pytest.mark.parametrize("kind", ["gzip", "ZIP"])
    def test_archives_are_no_data_whatever_they_are_called(self, server: ServerProcess, name: str, kind: str) -> None:
        before, files = server.rows(), server.files()
        with server.growing_at_most(20):
            answer = server.request("POST", f"/v1/datasets?name={name}", ARCHIVES[kind])
        error = error_of(answer, 422, "file")
        assert kind in error["value"]
        assert "uncompressed" in error["next_step"]
        assert server.rows() == before
        assert server.files() == files

    @pytest.mark.parametrize("kind", ["application/json", "application/yaml"])
    @pytest.mark.parametrize("opening", ["[", '{"a":', '{"a":['])
    def test_deep_nesting_is_refused_at_once_wherever_documents_are_taken(
        self, server: ServerProcess, opening: str, kind: str
    ) -> None:
        content = (opening * 100_000).encode()
        before = server.rows()
        with server.growing_at_most(50):
            for method, path in addresses_of_documents(server):
                if kind == "application/yaml" and path.endswith("/latency-tables"):
                    continue  # these are JSON only
                started = time.monotonic()
                error = error_of(server.request(method, path, content, f"Content-Type: {kind}"), 422, "body")
                assert time.monotonic() - started < 2
                assert "nesting deeper than 32 levels" in error["next_step"], (path, error)
        assert server.rows() == before

    def test_yaml_that_laughs_a_billion_times_is_refused_before_it_unfolds(self, server: ServerProcess) -> None:
        lines = ["a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
        for before, name in itertools.pairwise("abcdefghi"):
            lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]")
        with server.growing_at_most(20):
            answer = server.request("POST", "/v1/jobs", "\n".join(lines).encode(), "Content-Type: application/yaml")
        assert "anchors and aliases" in error_of(answer, 422, "body")["next_step"]


def _archive(kind: str) -> bytes:
    if kind == "gzip":
        return gzip.compress(bytes(60_000_000), 1)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("bomb.csv", bytes(60_000_000))
    return file.getvalue()


ARCHIVES = {kind: _archive(kind) for kind in ("gzip", "ZIP")}

START = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"


class TestHeads:
    """Heads that are too large, or none, are answered, and the service goes on."""

    @pytest.mark.parametrize(
        "head",
        [
            pytest.param(f"{START}X-Large: {'x' * 66_000}\r\n\r\n", id="one header of 66 kB"),
            pytest.param(f"{START}X-Large: {'x' * 10_000_000}\r\n\r\n", id="one header of 10 MB"),
            pytest.param(f"{START}Cookie: {'a=b; ' * 6_000}\r\n\r\n", id="a cookie of 30 kB"),
            pytest.param(START + "".join(f"X-{i}: {i}\r\n" for i in range(5_000)) + "\r\n", id="5,000 headers"),
            pytest.param(START + "".join(f"X-{i}: {i}\r\n" for i in range(100_000)), id="headers without an end"),
            pytest.param(f"GET /{'x' * 66_000} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", id="an address of 66 kB"),
            pytest.param("x" * 1_000_000, id="one line without an end"),
        ],
    )
    def test_a_head_that_is_too_large_is_refused_with_what_is_taken(self, server: ServerProcess, head: str) -> None:
        with server.growing_at_most(20):
            error = error_of(server.exchange(head.encode()), 431, "head")
        assert "16384 bytes" in error["allowed"]
        assert server.client.get("/healthz").is_success

    def test_what_fits_is_taken_however_it_comes(self, server: ServerProcess) -> None:
        head = f"{START}Connection: close\r\nX-Large: {'x' * 15_000}\r\n\r\n".encode()
        assert server.exchange(head).status == 200
        with server.connect() as connection:
            for start in range(0, len(head), 1_000):
                connection.sendall(head[start : start + 1_000])
            assert answer_of(connection).status == 200

    @pytest.mark.parametrize(
        "sent",
        [
            pytest.param(bytes.fromhex("16030100f8010000f40303") + bytes(240), id="TLS"),
            pytest.param(b"\0\xff\xfe\r\n\r\n", id="bytes"),
            pytest.param(b"GET / HTTP/99\r\nHost: 127.0.0.1\r\n\r\n", id="another version"),
            pytest.param(b"GET /healthz HTTP/1.1\r\n\r\n", id="no host"),
            pytest.param(b"GET /v1/jobs\xff HTTP/1.1\r\nHost: x\r\n\r\n", id="an address that is not ASCII"),
            pytest.param(START.encode() + b"Bad Header: x\r\n\r\n", id="a space in a header's name"),
            pytest.param(START.encode() + b"X: a\0b\r\n\r\n", id="a zero byte in a header"),
            pytest.param(START.encode() + b"Content-Length: -5\r\n\r\n", id="a negative length"),
            pytest.param(START.encode() + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", id="two lengths"),
        ],
    )
    def test_what_is_not_http_is_refused_in_the_one_shape(self, server: ServerProcess, sent: bytes) -> None:
        error = error_of(server.exchange(sent), 400, "request")
        assert "HTTP/1.1" in error["allowed"]
        assert server.client.get("/healthz").is_success

    @pytest.mark.parametrize("size", ["zz", "-1", "f" * 40, "5\r\nabc\r\n5"])
    def test_a_chunk_of_no_size_is_refused_and_nothing_is_kept(self, server: ServerProcess, size: str) -> None:
        before, log, ended = server.rows(), server.database.parent / "server.log", server.ended_requests("/v1/datasets")
        head = "POST /v1/datasets?name=a.csv HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        problem_of(server.exchange(f"{head}{size}\r\n".encode()), 400)
        until(lambda: server.ended_requests("/v1/datasets") == ended + 1)
        assert server.rows() == before
        assert "Traceback" not in log.read_text()

    @pytest.mark.parametrize("upgrade", ["websocket", "h2c", "anything"])
    def test_no_other_protocol_is_spoken(self, server: ServerProcess, upgrade: str) -> None:
        key = f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {'A' * 22}==\r\n"
        more = f"Connection: Upgrade, close\r\n{key}"
        assert server.exchange(f"{START}Upgrade: {upgrade}\r\n{more}\r\n".encode()).status == 200


TEXTS = [
    "x'; DROP TABLE jobs; --",
    'x"; DROP TABLE jobs; --',
    "' OR '1'='1",
    "1; UPDATE api_keys SET role = 'admin'",
    "Robert'); DELETE FROM trials; --",
    "%' UNION SELECT name FROM sqlite_master --",
    ":name ? %s $1 \\' {0}",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "{{7*7}}${7*7}",
]


@pytest.mark.parametrize("text", TEXTS)
class TestNames:
    """SQL and markup are text like any other: they come back as they were sent, or are refused, and do nothing."""

    @pytest.fixture(autouse=True)
    def _tables_stay(self, server: ServerProcess) -> Iterator[None]:
        def schema() -> list[tuple[Any, ...]]:
            with closing(sqlite3.connect(server.database)) as connection:
                return connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()

        before = schema()
        yield
        assert schema() == before

    def test_names_of_people_come_back_as_they_were_given(self, server: ServerProcess, text: str) -> None:
        client, before = server.client, server.rows()
        document = job_document(name=text)
        job = client.post("/v1/jobs", json=document, headers={"Idempotency-Key": text})
        assert job.status_code == 201, job.text
        again = client.post("/v1/jobs", json=document, headers={"Idempotency-Key": text})
        assert again.json()["id"] == job.json()["id"]
        told = client.get(job.json()["links"]["self"], headers={"Accept": "text/html"})
        assert told.json()["name"] == text
        # No browser takes it for a page, whatever stands in it
        assert told.headers["content-type"] == "application/json"
        assert told.headers["x-content-type-options"] == "nosniff"
        assert text in [listed["name"] for listed in client.get("/v1/jobs").json()["jobs"]]
        key = client.post("/v1/keys", json={"name": text, "role": "read"})
        assert key.status_code == 201, key.text
        assert key.json()["name"] == text
        keys = client.get("/v1/keys").json()["keys"]
        assert [(k["name"], k["role"]) for k in keys if k["name"] == text] == [(text, "read")]
        board = device_document(f"board-{TEXTS.index(text)}") | {"hardware": text, "system": text}
        assert client.post("/v1/devices", json=board).status_code == 201
        device = client.get(f"/v1/devices/{board['name']}").json()
        assert (device["hardware"], device["system"]) == (text, text)
        grown = {table: rows - before[table] for table, rows in server.rows().items() if rows != before[table]}
        assert {grown.pop(table) for table in ("jobs", "devices", "api_keys")} == {1}
        assert all(more > 0 for more in grown.values()), grown

    def test_names_that_are_addresses_are_refused(self, server: ServerProcess, text: str) -> None:
        client, before = server.client, server.rows()
        for path, document in (
            ("/v1/devices", device_document(text)),
            ("/v1/search-spaces", space_document() | {"name": text}),
            ("/v1/jobs", job_document(search_space=text)),
            ("/v1/jobs", job_document(devices=[text])),
            ("/v1/jobs", job_document(sampler=text)),
            ("/v1/jobs", job_document(objectives=["error_rate", text])),
            ("/v1/jobs", job_document(constraints=[text])),
            ("/v1/jobs", job_document(task={"dataset": text, "metric": "error_rate"})),
        ):
            assert client.post(path, json=document).status_code == 422, (path, document)
        assert client.post("/v1/datasets", params={"name": text}, content=b"a,b\n1,2\n").status_code == 422
        assert client.post("/v1/session", json={"api_key": text}).status_code == 401
        for method, path in addresses(server):
            answer = server.request(method, re.sub(r"\{.*?\}", quote(text, safe=""), path), b"{}", JSON)
            assert answer.status in (404, 422), (method, path, answer)
        assert server.rows() == before

    def test_filters_are_refused_or_find_nothing(self, server: ServerProcess, text: str) -> None:
        client = server.client
        job = client.get("/v1/jobs?limit=1").json()["jobs"][0]["links"]["self"]
        for path, name in (
            ("/v1/jobs", "cursor"),
            ("/v1/jobs", "limit"),
            ("/v1/jobs", text),
            ("/v1/audit", "before"),
            (f"{job}/trials", "state"),
            (f"{job}/trials", "after"),
            (f"{job}/front", "objectives"),
            (f"{job}/front", "constraint"),
            (f"{job}/events", "last_event_id"),
            (f"{job}/trials/0/config", "format"),
        ):
            answer = client.get(path, params={name: text})
            assert answer.status_code == 422, (path, name, answer.text)
            assert text[:30] in answer.json()["detail"] or name in answer.json()["detail"]


GIGABYTE = 1_000_000_000
ROWS = b"text,label\n" + b"some words,1\n" * 5_000


def _gigabyte(chunked: bool) -> Iterator[bytes]:
    piece = b"%x\r\n%s\r\n" % (len(ROWS), ROWS) if chunked else ROWS
    return itertools.repeat(piece, GIGABYTE // len(ROWS) + 1)


class TestUploads:
    """A body of 1 GB is refused early, whatever it says of itself, and leaves nothing."""

    @pytest.mark.parametrize("states_length", [True, False])
    @pytest.mark.parametrize(
        ("path", "limit"),
        [
            ("/v1/jobs", 1_000_000),
            ("/v1/devices/x/latency-tables", 20_000_000),
            ("/v1/datasets?name=large.csv", MAX_FILE_BYTES),
        ],
    )
    def test_a_gigabyte_is_refused_early_and_leaves_nothing(
        self, server: ServerProcess, path: str, limit: int, states_length: bool
    ) -> None:
        before, files, used = server.rows(), server.files(), server.used_bytes()
        length = f"Content-Length: {GIGABYTE}" if states_length else "Transfer-Encoding: chunked"
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{JSON}\r\n{length}\r\n\r\n".encode()
        # A table is held up to its own limit, as pieces and as one: above that nothing is
        with server.growing_at_most(50), server.connect() as connection:
            connection.sendall(head)
            sent = send_until_answered(connection, _gigabyte(chunked=not states_length))
            answer = answer_until_length(connection)
        error = error_of(answer, 413, "body")
        assert error["allowed"] == f"at most {limit} bytes"
        buffered = 16_000_000  # at most, in both ends' buffers and on the way
        assert sent < (0 if states_length else limit) + buffered
        assert server.rows() == before
        assert server.files() == files
        assert server.used_bytes() <= used + 100_000

    def test_who_goes_on_sending_after_the_refusal_is_cut_off(self, server: ServerProcess) -> None:
        head = f"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\n{JSON}\r\nContent-Length: {10**15}\r\n\r\n".encode()
        started = time.monotonic()
        with server.growing_at_most(50), server.connect() as connection:
            connection.sendall(head)
            with pytest.raises(ConnectionError):
                send_at_intervals(connection, ROWS, pause_s=0.01, seconds=15)
        assert time.monotonic() - started < 10


def answer_until_length(connection: Any) -> Answer:
    """Read one answer of a stated length from a connection that stays open for a while."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65_536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])  # type: ignore[index]
    while len(body) < length:
        body += connection.recv(65_536)
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(first.split()[1]), headers, body)


class TestSlowCallers:
    """Who is slow waits alone, and not for ever."""

    @pytest.mark.parametrize("goes_on", [False, True])
    def test_two_hundred_halves_of_a_head_hold_nobody_up_and_are_closed(
        self, server: ServerProcess, goes_on: bool
    ) -> None:
        usual_s = served_s(server)
        with ExitStack() as stack, server.growing_at_most(30):
            started = time.monotonic()
            slow = [stack.enter_context(server.connect()) for _ in range(200)]
            for connection in slow:
                connection.sendall(f"{START}X-Slow: ".encode())
            assert_others_are_served(server, usual_s)
            while goes_on and time.monotonic() - started < 0.6 * HEAD_TIMEOUT_S:
                for connection in slow:
                    connection.sendall(b"x")  # slowloris: a byte now and then, so that something always comes
                time.sleep(0.2)
            answers = [answer_of(connection) for connection in slow]
            assert HEAD_TIMEOUT_S * 0.9 < time.monotonic() - started < HEAD_TIMEOUT_S + 4
        for answer in answers:
            assert f"{HEAD_TIMEOUT_S} seconds" in error_of(answer, 408, "head")["allowed"]

    def test_who_connects_and_says_nothing_is_closed(self, server: ServerProcess) -> None:
        with server.connect() as silent:
            started = time.monotonic()
            assert answer_of(silent).status == 0
            assert HEAD_TIMEOUT_S * 0.9 < time.monotonic() - started < HEAD_TIMEOUT_S + 3

    def test_a_second_request_has_to_be_finished_as_well(self, server: ServerProcess) -> None:
        with server.connect() as connection:
            connection.sendall(f"{START}\r\n".encode())
            assert answer_until_length(connection).status == 200
            connection.sendall(b"GET /healthz HT")
            error_of(answer_of(connection), 408, "head")

    def test_a_body_that_nobody_asked_for_can_not_trickle_for_ever(self, server: ServerProcess) -> None:
        with server.connect() as connection:
            connection.sendall(f"{START}Content-Length: 1000\r\n\r\n".encode())
            assert answer_until_length(connection).status == 200
            with pytest.raises(ConnectionError):
                send_at_intervals(connection, b"x", pause_s=0.1, seconds=HEAD_TIMEOUT_S + 5)

    @pytest.mark.parametrize("path", ["/v1/jobs", "/v1/datasets?name=slow.csv"])
    @pytest.mark.parametrize("pause_s", [0.1, None])
    def test_a_body_that_trickles_is_refused_and_leaves_nothing(
        self, server: ServerProcess, path: str, pause_s: float | None
    ) -> None:
        before = server.rows()
        with server.connect() as connection:
            started = time.monotonic()
            connection.sendall(
                f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{JSON}\r\nContent-Length: 900\r\n\r\n".encode()
            )
            if pause_s:
                send_at_intervals(connection, b"x", pause_s, BODY_TIMEOUT_S)
            answer = answer_of(connection)
            assert BODY_TIMEOUT_S * 0.9 < time.monotonic() - started < BODY_TIMEOUT_S + 3
        assert "1000 bytes a second" in error_of(answer, 408, "body")["allowed"]
        assert server.rows() == before

    def test_a_slow_line_may_take_longer_than_the_time_out(self, server: ServerProcess) -> None:
        document = json.dumps(job_document() | {"name": "over a slow line"}).encode().ljust(12_000)
        with server.connect() as connection:
            started = time.monotonic()
            head = f"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\n{JSON}\r\nContent-Length: {len(document)}\r\n\r\n"
            connection.sendall(head.encode())
            for start in range(0, len(document), 1_000):
                connection.sendall(document[start : start + 1_000])
                time.sleep(0.2)
            assert time.monotonic() - started > BODY_TIMEOUT_S
            assert answer_until_length(connection).status == 201

    def test_events_that_nobody_reads_hold_nobody_up(self, server: ServerProcess) -> None:
        path, worker = new_job(server)
        for index in range(120):
            worker.complete(0.9 - index / 1_000)
        usual_s = served_s(server)
        with ExitStack() as stack, server.growing_at_most(50):
            deaf = [stack.enter_context(server.connect(receive_buffer=2_048)) for _ in range(30)]
            for connection in deaf:
                connection.sendall(f"GET {path}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            assert heard(server, path, count=120)  # so long all of them are told what there is, which is work
            assert_others_are_served(server, usual_s)
            number = worker.complete(0.1)
            assert heard(server, path, count=121)[-1] == number

    def test_an_answer_that_nobody_reads_is_cut_off(self, server: ServerProcess) -> None:
        # Larger than what the buffers of both ends take: the rest is the server's to keep or to give up
        answer = server.client.get(address_in_page(server.client, "plotly.min.js"))
        usual_s = served_s(server)
        with ExitStack() as stack, server.growing_at_most(50):
            deaf = [stack.enter_context(server.connect(receive_buffer=2_048)) for _ in range(50)]
            for connection in deaf:
                connection.sendall(f"GET {answer.request.url.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            assert_others_are_served(server, usual_s)
            time.sleep(2 * SEND_TIMEOUT_S + 0.5)
            for connection in deaf:
                assert len(answer_of(connection).body) < len(answer.content)

    def test_an_answer_that_is_read_slowly_is_read_to_its_end(self, server: ServerProcess) -> None:
        large = server.client.get(address_in_page(server.client, "plotly.min.js"))
        with server.connect(receive_buffer=65_536) as connection:
            head = f"GET {large.request.url.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
            connection.sendall(head.encode())
            started, read = time.monotonic(), 0
            while piece := connection.recv(100_000):
                read += len(piece)
                time.sleep(0.7 * len(piece) / 1_000_000)
        assert time.monotonic() - started > 2 * SEND_TIMEOUT_S
        assert read > len(large.content)


def new_job(server: ServerProcess) -> tuple[str, RecordingWorker]:
    job = server.client.post("/v1/jobs", json=job_document(constraints=[])).json()
    return job["links"]["self"], RecordingWorker(server.store, server.store.job(job["id"]))


def heard(server: ServerProcess, path: str, count: int) -> list[int]:
    """Return the first trials that a caller who listens hears of."""
    numbers: list[int] = []
    with server.client.stream("GET", f"{path}/events") as answer:
        for line in answer.iter_lines():
            if line.startswith("data: ") and "trial" in (told := json.loads(line.removeprefix("data: "))):
                numbers.append(told["trial"]["number"])
                if len(numbers) == count:
                    break
    return numbers
