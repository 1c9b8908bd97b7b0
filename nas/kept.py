"""What takes long to work out and never changes, kept in a file for the next process on this machine."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

LARGEST_BYTES = 50_000_000
"""A file that has grown so large is not added to: anyone may ask a service for the costs of spaces without end."""

_log = logging.getLogger(__name__)


class Kept:
    """Plain JSON values by a text; what is new is added to the file. For any threads, and processes beside this one.

    Where the file can't be written, or what a crash has left in it can't be read, the value is worked out again.
    """

    def __init__(self, file: Path) -> None:
        """Read the file, if it is there; raises `OSError` where it can't be read."""
        self._file = file
        self._lock = Lock()
        self._values: dict[str, Any] = {}
        self._size = 0
        if file.exists():
            content = file.read_bytes()
            self._size = len(content)
            for line in content.splitlines():
                self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            key, value = json.loads(line)
        except ValueError:  # an empty line, or one torn by a crash
            return
        self._values[key] = value

    def known(self, key: str, find: Callable[[], Any]) -> Any:
        """Return the value of the key: what is kept, or else what `find` returns, which is kept from then on."""
        if key not in self._values:
            self._keep(key, find())
        return self._values[key]

    def _keep(self, key: str, value: Any) -> None:
        # On a line of its own, whatever a crash has left before it; in one write, so that processes may share the file
        line = f"\n{json.dumps([key, value])}\n".encode()
        with self._lock:
            self._values[key] = value
            if self._size + len(line) > LARGEST_BYTES:
                return
            self._size += len(line)
            try:
                self._append(line)
            except OSError as error:
                _log.warning("nothing is kept for the next start: %s", error)
                self._size = LARGEST_BYTES

    def _append(self, line: bytes) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)
