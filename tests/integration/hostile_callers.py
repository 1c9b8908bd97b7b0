"""A server process, and callers who send bytes that no HTTP client would."""

from __future__ import annotations

import json
import os
import re
import select
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from nas.store.store import Store


@dataclass(frozen=True)
class Answer:
    """What came back over a connection: an empty one where it was closed without a word."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class ServerProcess:
    """A running `nas serve` with its database, a client, and a store of one's own over the same file."""

    def __init__(self, url: str, pid: int, database: Path, key: str | None = None) -> None:
        self.url, self.pid, self.database = url, pid, database
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self.client = httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False)
        self.store = Store.open(f"sqlite:///{database}")

    def connect(self, *, receive_buffer: int | None = None) -> socket.socket:
        """Return a new connection, whose end takes no more bytes than `receive_buffer` before they are read."""
        connection = socket.socket()
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(20)
        parts = urlsplit(self.url)
        connection.connect((parts.hostname, parts.port))
        return connection

    def exchange(self, sent: bytes) -> Answer:
        """Send these bytes, as they are, over a new connection; return the answer once the server has closed it."""
        with self.connect() as connection:
            with suppress(ConnectionError):  # refused before it was all sent
                connection.sendall(sent)
            return answer_of(connection)

    def request(self, method: str, target: str, body: bytes = b"", *headers: str) -> Answer:
        """Send a request whose target is not looked at before."""
        lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers]
        if body:
            lines += [f"Content-Length: {len(body)}"]
        return self.exchange("\r\n".join([*lines, "", ""]).encode() + body)

    def rows(self) -> dict[str, int]:
        """Return how many rows every table has but the log of who did what."""
        with closing(sqlite3.connect(self.database)) as connection:
            query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            names = {name for (name,) in connection.execute(query)} - {"audit_entries"}
            return {n: connection.execute(f"SELECT count(*) FROM {n}").fetchone()[0] for n in names}

    def ended_requests(self, route: str) -> int:
        """Return how many requests to a route are over, those included that were answered before their end."""
        found = re.findall(
            rf'pocketformer_http_requests_total\{{.*route="{route}".*\}} (\S+)', self.client.get("/metrics").text
        )
        return int(sum(map(float, found)))

    def used_bytes(self) -> int:
        """Return the size of the database without the pages that are free to be used again."""
        with closing(sqlite3.connect(self.database)) as connection:
            pages, free, size = (
                connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
            return int((pages - free) * size)

    def files(self) -> set[str]:
        """Return every file that is around: in the server's folder, which is its home and where temporary ones go."""
        folder = self.database.parent
        return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}

    def memory_mb(self, name: str) -> float:
        """Return a figure of memory from /proc, such as VmRSS now and VmHWM at most."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024

    @contextmanager
    def growing_at_most(self, megabytes: float) -> Iterator[None]:
        """Check that the server at no moment held more than so much above what it held before."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")  # VmHWM starts again from VmRSS
        before = self.memory_mb("VmRSS")
        yield
        grown = self.memory_mb("VmHWM") - before
        assert grown < megabytes, f"the server's memory grew by {grown:.0f} MB"


@contextmanager
def server_process(folder: Path, admin_key: str | None = None, **settings: object) -> Iterator[ServerProcess]:
    """Run a server until the caller is done with it; with a key, one that asks every caller for one."""
    database = folder / "pocketformer.db"
    if admin_key is not None:
        settings |= {"admin_key": admin_key, "require_keys": True}
    given = {f"POCKETFORMER_{name.upper()}": str(value) for name, value in settings.items()}
    places = {"HOME": str(folder), "TMPDIR": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}
    command = [sys.executable, "-m", "nas.cli", "serve", "--json", "--until-stdin-closes", "--port", "0"]
    log = folder / "server.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [*command, "--database", f"sqlite:///{database}"],
            env=os.environ | given | places,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdin is not None
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, log.read_text()
    server = ServerProcess(json.loads(line)["url"], process.pid, database, admin_key)
    try:
        yield server
    finally:
        server.client.close()
        server.store.close()
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def answer_of(connection: socket.socket) -> Answer:
    """Read until the server closes the connection."""
    received = b""
    with suppress(ConnectionError):  # cut off: what had come before counts
        while piece := connection.recv(65_536):
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(first.split()[1]) if first else 0, headers, body)


def send_at_intervals(connection: socket.socket, piece: bytes, pause_s: float, seconds: float) -> None:
    """Send the piece again and again for so long; raise `ConnectionError` once the server has cut the connection."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        connection.sendall(piece)
        time.sleep(pause_s)


def send_until_answered(connection: socket.socket, pieces: Iterable[bytes]) -> int:
    """Send piece after piece until an answer comes; return how many bytes were sent."""
    sent = 0
    for piece in pieces:
        if select.select([connection], [], [], 0)[0]:
            break
        try:
            connection.sendall(piece)
        except ConnectionError:
            break
        sent += len(piece)
    return sent
