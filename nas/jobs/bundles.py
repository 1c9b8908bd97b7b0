"""Bundles of trials: made one at a time in a process beside this one, and kept while there is room.

A bundle follows from its configuration and the releases that make it, so it is no record: it can be made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import nas
from nas.errors import NotFound, PocketformerError
from nas.jobs.compute import EvaluationProcesses
from nas.jobs.delivery import config_of, weights_of
from nas.jobs.report import describe_trial
from nas.jobs.view import view_of
from nas.store.records import JobRecord, TrialRecord
from nas.store.store import Store

MOST_BYTES = 2_000_000_000
"""Of all bundles that are kept; the ones that were asked for longest ago go first."""
MOST_WAITING = 8
RUNTIMES = ("torch", "onnxruntime", "executorch")


class BundleFailed(PocketformerError):
    """The bundle could not be made."""


class TooManyBundles(PocketformerError):
    """As many bundles as may wait do: ask again in a minute."""


@dataclass(frozen=True)
class Making:
    """How far a bundle is that is being made."""

    what: str
    """The step: reading, programs, scoring, writing, or the latency of a device."""
    done: int
    total: int


class Bundles:
    """The bundles of one server."""

    def __init__(self, database_url: str, folder: Path) -> None:
        """`folder` is where they are kept; it is made when the first one is."""
        self._url, self._folder = database_url, folder
        self._processes = EvaluationProcesses(1)
        self._lock = threading.Lock()
        self._made: dict[str, Future[None]] = {}

    def close(self) -> None:
        """Make no more of them."""
        self._processes.shutdown(wait=False, cancel_futures=True)

    def ask(self, store: Store, job: JobRecord, trial: TrialRecord) -> Path | Making:
        """Return a trial's bundle, or how far it is; the first who asks has it made.

        Raises `Conflict` for a trial that was not evaluated, `NotFound` for one without weights, `BundleFailed`, once,
        where it could not be made, and `TooManyBundles`.
        """
        config = config_of(store, job, trial, None)
        if "weights" not in config:
            raise NotFound(f"Trial {trial.number} of job {job.id} has no weights: there is no bundle of it.")
        key = _key(config)
        file = self._folder / f"{key}.zip"
        with self._lock:
            future = self._made.get(key)
            if future is not None and future.done():
                del self._made[key]
                error = future.exception()
                if error is not None:
                    raise BundleFailed(f"The bundle of trial {trial.number} could not be made: {error}") from error
            with suppress(FileNotFoundError):  # there, unless another server on this folder has just removed it
                os.utime(file)  # so that it is the last to be removed
                return file
            if key not in self._made:
                self._begin(key, file, job.id, trial.number)
        return _progress(file)

    def _begin(self, key: str, file: Path, job_id: str, number: int) -> None:
        if sum(not future.done() for future in self._made.values()) >= MOST_WAITING:
            raise TooManyBundles(f"{MOST_WAITING} bundles are being made, one after the other: ask again in a minute.")
        self._folder.mkdir(parents=True, exist_ok=True)
        _drop_old(self._folder)
        self._made[key] = self._processes.submit(make_bundle, self._url, job_id, number, str(file))


def contents_of(store: Store, job: JobRecord, trial: TrialRecord) -> dict[str, Any]:
    """Return the fields of `nas.export.bundle.Contents` for a trial. Raises `Conflict` and `NotFound` as `ask` does."""
    described = describe_trial(job, trial, view_of(store, job))
    return {
        "config": config_of(store, job, trial, None),
        "weights": weights_of(store, job, trial)[0],
        "documents": {
            "job": job.document["spec"],
            "search_space": job.document["search_space"],
            "trial": {name: value for name, value in described.items() if name != "links"},
        },
    }


def make_bundle(database_url: str, job_id: str, number: int, file: str) -> None:
    """Make the bundle of a trial, and tell how far it is in a file beside it: what a process is given to do."""
    from nas.export.bundle import Contents, write_bundle  # noqa: PLC0415  (torch, which serving need not wait for)

    target = Path(file)
    told = _told(target)

    def tell(what: str, done: int, total: int) -> None:
        part = told.with_name(f".{told.name}.{os.getpid()}.part")
        part.write_text(json.dumps({"what": what, "done": done, "total": total}))
        part.replace(told)

    store = Store.open(database_url)
    try:
        tell("reading", 0, 1)
        contents = contents_of(store, store.job(job_id), store.trial(job_id, number))
        write_bundle(Contents(**contents), target, tell)
    finally:
        told.unlink(missing_ok=True)
        store.close()


def _key(config: Mapping[str, Any]) -> str:
    releases = {name: _release(name) for name in RUNTIMES} | {"pocketformer": nas.__version__}
    return hashlib.sha256(json.dumps([config, releases], sort_keys=True).encode()).hexdigest()[:32]


def _release(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _told(file: Path) -> Path:
    return file.with_suffix(".progress")


def _progress(file: Path) -> Making:
    try:
        return Making(**json.loads(_told(file).read_text()))
    except FileNotFoundError:
        return Making("waiting", 0, 1)


def _drop_old(folder: Path) -> None:
    """Remove the bundles that were asked for longest ago, until the others have room."""
    found = sorted(folder.glob("*.zip"), key=lambda file: file.stat().st_mtime, reverse=True)
    size = 0
    for file in found:
        size += file.stat().st_size
        if size > MOST_BYTES:
            with suppress(FileNotFoundError):  # another server on this folder was quicker
                file.unlink()
