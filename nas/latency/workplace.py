"""Workplace: the directory where one profile keeps its graphs and its journal until it is done."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nas.cache import cache_directory
from nas.errors import Conflict

try:
    import fcntl
except ImportError:  # Windows has none; there two profiles of the same at once go unnoticed
    fcntl = None  # type: ignore[assignment]


def key_of(identity: Any) -> str:
    """Return a name for what the JSON values say: equal values, equal names."""
    return "profile-" + hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:24]


@contextmanager
def workplace(key: str) -> Iterator[Path]:
    """Give the directory of that key to this process alone; it stays unless `remove` is called.

    Raises `Conflict` while another process has it.
    """
    directory = cache_directory() / "profiles" / key
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        if fcntl is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise Conflict("Another process profiles this device for the same space just now.") from error
        yield directory


def remove(directory: Path) -> None:
    """Remove a workplace with all that is in it."""
    shutil.rmtree(directory, ignore_errors=True)
