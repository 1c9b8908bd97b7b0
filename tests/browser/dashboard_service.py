"""A real server over a real database file, and what is noted of a window that looks at it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import ConsoleMessage, Error

from api.server import Server
from api.settings import Settings
from nas.store.store import Store

_ended: set[str] = set()
"""Addresses of servers that are no more: windows may outlive them."""


def _of_ended(text: str) -> bool:
    return any(f"{url}/" in text for url in _ended)


@dataclass(frozen=True)
class Service:
    """A running server, a store over the same database, and a client."""

    url: str
    store: Store
    client: httpx.Client


@dataclass
class Watch:
    """What a page did that a person does not see."""

    errors: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    expected: list[str] = field(default_factory=list)
    """Texts of errors that the test brings about itself."""

    def hear(self, message: ConsoleMessage) -> None:
        """Note an error or a warning; not that a server which its test has ended gives no answer any more."""
        is_silence = "net::ERR_" in message.text and _of_ended(message.location["url"])
        if message.type in ("error", "warning") and not is_silence:
            self.errors.append(message.text)

    def hear_uncaught(self, error: Error) -> None:
        """Note an error that nothing in the page has caught; not that such a server did not send the rest of a page."""
        if not ("Failed to fetch" in error.message and _of_ended(error.message)):
            self.errors.append(error.message)

    def unexpected(self) -> list[str]:
        return [error for error in self.errors if not any(text in error for text in self.expected)]


@contextmanager
def serving(directory: Path, port: int = 0, **settings: Any) -> Iterator[Service]:
    database = f"sqlite:///{directory / 'pocketformer.db'}"
    server = Server(Settings.load(database_url=database, port=port, event_poll_s=0.02, **settings))
    thread = threading.Thread(target=server.run)
    thread.start()
    pause = threading.Event()
    while not server.started and thread.is_alive():
        pause.wait(0.02)
    assert server.started
    _ended.discard(server.url)
    store = Store.open(database)
    try:
        with httpx.Client(base_url=server.url, timeout=30, trust_env=False) as client:
            yield Service(server.url, store, client)
    finally:  # a fixture that failed would leave a thread that nothing ends
        _ended.add(server.url)
        store.close()
        server.should_exit = True
        thread.join()
