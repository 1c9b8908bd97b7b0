"""Counts of sub-blocks kept on disk, for the next process on this machine.

A count follows from the code that counts, so a file of counts belongs to that code: to torch and fvcore by their
versions, to this package and to the attention types by their source. To count the sub-blocks of a space again takes a
service some seconds after each start, for which its first job would wait.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from importlib import metadata
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nas
from nas.attention_types import ATTENTION_TYPES
from nas.cache import cache_directory
from nas.kept import Kept

FOLDER = "counts"

_log = logging.getLogger(__name__)
_opened: Kept | None = None


def keep_counts() -> None:
    """Have this process keep what it counts, and use what others have kept."""
    global _opened  # noqa: PLW0603
    try:
        _opened = Kept(cache_directory() / FOLDER / f"{_fingerprint()}.jsonl")
    except OSError as error:
        _log.warning("no counts of an earlier start are used: %s", error)


def kept(key: str, count: Callable[[], Any]) -> Any:
    """Return the count, plain JSON values, by `count` unless it is kept."""
    return count() if _opened is None else _opened.known(key, count)


def _fingerprint() -> str:
    """Return what changes whenever something might be counted otherwise."""
    package = Path(nas.__file__).parent
    files = {file for folder in ("sub_blocks", "models", "costs") for file in (package / folder).rglob("*.py")}
    for kind in ATTENTION_TYPES.values():
        file = _source_of(kind.implementation.partition(":")[0])
        if file is not None:
            files.add(file)
    digest = hashlib.sha256()
    for name in ("torch", "fvcore"):
        digest.update(f"{name} {metadata.version(name)}\n".encode())
    digest.update(repr(sorted(ATTENTION_TYPES.items())).encode())
    for file in sorted(files):
        digest.update(f"\n{file.name}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:32]


def _source_of(module: str) -> Path | None:
    """Return the file of a module, None where it has none; imports nothing, as looking for one in a package would."""
    top, *parts = module.split(".")
    spec, name = find_spec(top), top
    for part in parts:
        if spec is None:
            return None
        name = f"{name}.{part}"
        spec = PathFinder.find_spec(name, spec.submodule_search_locations)
    return Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None
