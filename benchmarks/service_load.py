"""The two ends of benchmarks/service.py: a server on a core of its own, and callers that cost next to nothing.

The callers write their requests to sockets and read the answers as bytes: what they cost comes on top of what they
measure, and a comfortable client costs as much as the server.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_S = 120.0
STOP_S = 20.0


def cache_of(folder: Path) -> Path:
    """Return where the services of a benchmark keep what they know for their next start."""
    return folder / "cache"


class Pinned:
    """A child process that runs on one core while it is entered; its log goes to a file."""

    def __init__(self, command: Sequence[str], core: int, log: Path, environment: dict[str, str] | None = None) -> None:
        self._command, self._core, self._log = list(command), core, log
        self._environment = os.environ | (environment or {}) | {"OMP_NUM_THREADS": "1"}
        self.started_at = 0.0
        self.process: subprocess.Popen[str]

    def __enter__(self) -> Pinned:
        self.started_at = time.perf_counter()
        with self._log.open("a") as log:
            self.process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self._environment,
                start_new_session=True,
            )
        os.sched_setaffinity(self.process.pid, {self._core})  # before it has threads or children
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it and its children at once, as a power cut would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def since_start_s(self) -> float:
        """Return the seconds since it was started."""
        return time.perf_counter() - self.started_at

    def failed(self, what: str) -> SystemExit:
        """Return the end of the benchmark, with what the process has said last."""
        tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])
        return SystemExit(f"{what} (its log is {self._log}):\n{tail}")


class Server(Pinned):
    """`nas serve` on one core."""

    def __init__(self, database: str, core: int, folder: Path, key: str | None) -> None:
        """`key` is a secret of an administrator, where the service asks for one; `folder` is for what it leaves."""
        command = [sys.executable, "-m", "nas.cli", "serve", "--json", "--until-stdin-closes", "--port", "0"]
        unlimited = {"POCKETFORMER_REQUESTS_PER_MINUTE": "0", "POCKETFORMER_MAX_OPEN_JOBS": "1000000"}
        admin = {"POCKETFORMER_ADMIN_KEY": key} if key else {}
        kept = {"XDG_CACHE_HOME": str(cache_of(folder))}
        super().__init__([*command, "--database", database], core, folder / "server.log", unlimited | admin | kept)
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.address = ("", 0)

    def __enter__(self) -> Server:
        super().__enter__()
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise self.failed("the server did not start")
        url = urlsplit(json.loads(line)["url"])
        self.address = (str(url.hostname), int(url.port or 80))
        return self

    def connect(self) -> Connection:
        """Return a connection that shows the server's key."""
        return Connection(self.address, self.headers)


# One request after the other -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """An answer, and what it took."""

    status: int
    headers: dict[str, str]
    body: bytes
    duration_s: float
    wire_bytes: int
    """Of the answer with its head."""

    def json(self) -> Any:
        """Return the body, read."""
        return json.loads(self.body)

    def expect(self, *statuses: int) -> Answer:
        """Return itself; end the benchmark at any other status."""
        if self.status not in statuses:
            raise SystemExit(f"the service answered {self.status}: {self.body[:500].decode(errors='replace')}")
        return self


class Connection:
    """One connection that is kept open, a request at a time."""

    def __init__(self, address: tuple[str, int], headers: dict[str, str], timeout_s: float = TIMEOUT_S) -> None:
        self._socket = socket.create_connection(address, timeout=timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = f"Host: {address[0]}:{address[1]}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items())

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def get(self, path: str, **headers: str) -> Answer:
        """Ask for a path; `_` in the names of headers stands for `-`."""
        return self._ask("GET", path, b"", headers)

    def post(self, path: str, document: Any, **headers: str) -> Answer:
        """Send a JSON document."""
        return self._ask("POST", path, json.dumps(document).encode(), headers | {"Content_Type": "application/json"})

    def _ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        own = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        began = time.perf_counter()
        self._socket.sendall(f"{method} {path} HTTP/1.1\r\n{self._head}{own}{length}\r\n".encode() + body)
        return self._read(began)

    def _read(self, began: float) -> Answer:
        received = bytearray()
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._more()
        first, *lines = received[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        status = int(first.split()[1])
        if status not in (204, 304):
            if "content-length" in headers:
                wanted = end + 4 + int(headers["content-length"])
                while len(received) < wanted:
                    received += self._more()
            elif headers.get("connection", "").lower() == "close":
                while piece := self._socket.recv(1 << 20):
                    received += piece
            else:
                raise SystemExit("an answer does not say how long it is")
        duration_s = time.perf_counter() - began
        return Answer(status, headers, bytes(received[end + 4 :]), duration_s, len(received))

    def _more(self) -> bytes:
        piece = self._socket.recv(1 << 20)
        if not piece:
            raise SystemExit("the server closed the connection within an answer")
        return piece


# Events --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Event:
    """One server-sent event, and when the last byte of it had come."""

    sequence: int
    kind: str
    data: bytes
    received_at: float


class Follower(asyncio.Protocol):
    """Follows a job over a connection of its own. While it does it only notes what came and when."""

    def __init__(self, path: str, head: str, after: int | None) -> None:
        last = "" if after is None else f"Last-Event-ID: {after}\r\n"
        self._request = f"GET {path} HTTP/1.1\r\n{head}Accept: text/event-stream\r\n{last}\r\n".encode()
        self._pieces: list[tuple[float, bytes]] = []
        self.transport: asyncio.Transport
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the events."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Note what came."""
        self._pieces.append((time.perf_counter(), data))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (the signature is asyncio's)
        """Note that nothing more will come."""
        self.lost = True

    @property
    def last_heard_at(self) -> float:
        """When the last bytes came; 0 before the first."""
        return self._pieces[-1][0] if self._pieces else 0.0

    def events(self) -> list[Event]:
        """Return what was heard, read now; what was cut off in the middle is left out."""
        return list(_events_in(self._pieces))


def _events_in(pieces: Sequence[tuple[float, bytes]]) -> Iterator[Event]:
    raw, text, in_body = bytearray(), bytearray(), False
    for received_at, piece in pieces:
        raw += piece
        if not in_body:
            end = raw.find(b"\r\n\r\n")
            if end < 0:
                continue
            if b" 200 " not in raw[: raw.find(b"\r\n")]:
                raise SystemExit(f"the service answered a follower: {raw[:300].decode(errors='replace')}")
            if b"transfer-encoding: chunked" not in raw[:end].lower():
                raise SystemExit("the service streams events in a way that this benchmark does not read")
            del raw[: end + 4]
            in_body = True
        while (size_end := raw.find(b"\r\n")) >= 0:
            size = int(raw[:size_end], 16)
            if len(raw) < size_end + 2 + size + 2:
                break
            text += raw[size_end + 2 : size_end + 2 + size]
            del raw[: size_end + 2 + size + 2]
        while (event_end := text.find(b"\n\n")) >= 0:
            lines = bytes(text[:event_end]).split(b"\n")
            del text[: event_end + 2]
            fields = dict(line.split(b": ", 1) for line in lines if not line.startswith(b":") and b": " in line)
            if b"id" in fields:
                yield Event(int(fields[b"id"]), fields[b"event"].decode(), fields[b"data"], received_at)
