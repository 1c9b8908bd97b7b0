"""A real server on a free port, over a real database file, without a worker unless asked for one."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from api.server import Server
from api.settings import Settings
from nas.store.store import Store


class Service:
    """A running server, its database file, a client, and a store of one's own over the same file."""

    def __init__(self, database: Path, server: Server) -> None:
        self.database = database
        self.server = server
        self.url = server.url
        self.client = httpx.Client(base_url=server.url, timeout=30, trust_env=False)
        self.store = Store.open(f"sqlite:///{database}")

    def rows(self) -> dict[str, int]:
        """Return how many rows every table has but the log of who did what."""
        with sqlite3.connect(self.database) as connection:
            query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            names = {name for (name,) in connection.execute(query)} - {"audit_entries"}
            return {n: connection.execute(f"SELECT count(*) FROM {n}").fetchone()[0] for n in names}


@contextmanager
def serving(database: Path, **settings: Any) -> Iterator[Service]:
    """Run a server until the caller is done with it."""
    given = {"database_url": f"sqlite:///{database}", "port": 0, "event_poll_s": 0.02, **settings}
    server = Server(Settings.load(**given))
    thread = threading.Thread(target=server.run)
    thread.start()
    pause = threading.Event()
    while not server.started and thread.is_alive():
        pause.wait(0.02)
    assert server.started
    service = Service(database, server)
    try:
        yield service
    finally:
        service.client.close()
        service.store.close()
        server.should_exit = True
        thread.join()


def address_in_page(client: httpx.Client, ending: str) -> str:
    """Return the address, as the dashboard's page has it, of a file that it uses."""
    found = re.search(rf'(?:src|href)="([^"]*{re.escape(ending)})"', client.get("/").text)
    assert found, ending
    return found.group(1)
