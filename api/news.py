"""Wakes whoever follows a job when something has happened: one poll of the store, however many follow."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable

import anyio

from nas.errors import PocketformerError

_log = logging.getLogger("pocketformer.api")


class News:
    """A mark of what has happened so far, polled while somebody waits for another one.

    Every event of every job gets its number in the order of commit, so a newest number and a number of jobs that have
    not moved mean that nothing has happened.
    """

    def __init__(self, mark: Callable[[], Hashable], poll_s: float) -> None:
        self._mark = mark
        self._poll_s = poll_s
        self._moved = anyio.Event()
        self._closed = False
        self.listeners = 0
        self.newest: Hashable = None

    async def poll(self) -> None:
        """Look for news for ever; runs as one task beside the server."""
        while not self._closed:
            await anyio.sleep(self._poll_s)
            if not self.listeners:
                continue
            try:
                newest = await anyio.to_thread.run_sync(self._mark)
            except PocketformerError as error:
                _log.warning("no news: %s", error)
                continue
            if newest != self.newest:
                self.newest = newest
                self._wake()

    async def newer_than(self, newest: Hashable) -> bool:
        """Wait until `self.newest` differs from `newest`; return False when there will be no more news."""
        self.listeners += 1
        try:
            while self.newest == newest and not self._closed:
                await self._moved.wait()
        finally:
            self.listeners -= 1
        return not self._closed

    def close(self) -> None:
        """Tell everyone who waits that no more news will come; called on the event loop."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        self._moved.set()
        self._moved = anyio.Event()
