"""What runs on a Dask worker: each call in a process of its own beside it, as `nas worker` runs them on its machine.

So a call can be ended without harm to the Dask worker, one that kills its process kills nothing else, and whatever the
Dask worker's threads, torch finds what it finds in a local evaluation.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import threading
from collections.abc import Callable
from concurrent.futures import wait
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from distributed import Reschedule, Worker, get_worker
from distributed.core import Status

from nas.cache import cache_directory
from nas.errors import PocketformerError
from nas.export.config import software
from nas.jobs.compute import EvaluationProcesses
from nas.jobs.evaluation import remove_old_trunks
from nas.quality.datasets.own.prepared import remove_old_prepared
from nas.quality.hardware import Hardware

Result = TypeVar("Result")

POLL_S = 0.5
"""How soon a call that nobody waits for any more is ended."""

_of_thread = threading.local()
"""Each thread of a Dask worker has its own process: what it runs there is one evaluation."""


@dataclass(frozen=True)
class Ran(Generic[Result]):
    """What a call returned, and where it ran."""

    result: Result
    worker: str
    hardware: str


def comparable_software() -> dict[str, str]:
    """Return the releases here that scores depend on; of Python's, what pickled calls depend on."""
    return {**software(), "python": ".".join(platform.python_version_tuple()[:2])}


def look_around(mark: str) -> tuple[dict[str, str], bool]:
    """Return the software of this Dask worker, and whether a file of `nas worker` is in its cache folder.

    Also removes from the cache folder here what nobody has come back to.
    """
    remove_old_trunks()
    remove_old_prepared()
    return comparable_software(), (cache_directory() / mark).exists()


def run_here(expected: dict[str, str], call: Callable[..., Result], *args: Any, **kwargs: Any) -> Ran[Result]:
    """Run a call in a process beside this Dask worker, and end it as soon as nobody waits for it any more.

    Raises `BrokenExecutor` where the process died, and `PocketformerError`, which names this Dask worker, where its
    software is not the expected one.
    """
    worker = get_worker()
    task = worker.get_current_task()
    processes = _processes()
    future = processes.submit(_run, expected, call, args, kwargs)
    while not wait([future], timeout=POLL_S).done:
        if not _is_wanted(worker, task):
            processes.shutdown(wait=False, cancel_futures=True)
            raise Reschedule  # elsewhere, if it is this Dask worker that ends
    try:
        result, hardware = future.result()
    except PocketformerError as error:
        raise PocketformerError(f"on the Dask worker {worker.address}: {error}") from error
    return Ran(result, worker.address, hardware)


def _run(
    expected: dict[str, str], call: Callable[..., Result], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Result, str]:
    here = comparable_software()
    if here != expected:
        raise PocketformerError(differing(here, expected))
    return call(*args, **kwargs), Hardware.here().name


def differing(here: dict[str, str], expected: dict[str, str]) -> str:
    """Return in words where two sets of releases differ."""
    found = ", ".join(
        f"{name} {here.get(name)} in place of {expected[name]}" for name in expected if here.get(name) != expected[name]
    )
    return f"{found}: scores could not be compared; install the same releases everywhere and start again"


def _processes() -> EvaluationProcesses:
    if not hasattr(_of_thread, "processes"):
        # A nanny starts its worker as a daemon, which Python forbids to have processes of its own lest they outlive
        # it: these end with it by themselves
        vars(multiprocessing.current_process())["_config"]["daemon"] = False
        # A nanny has its workers give freed memory back at once, for arrays that come and go. A training frees and
        # takes the same megabytes at every step, and would run at six tenths of its speed
        os.environ.pop("MALLOC_TRIM_THRESHOLD_", None)
        _of_thread.processes = EvaluationProcesses(1)
    processes: EvaluationProcesses = _of_thread.processes
    return processes


def _is_wanted(worker: Worker, task: Any) -> bool:
    """Return whether the scheduler still wants a task of this worker, which goes on by itself if it does not."""
    state = worker.state.tasks.get(task)
    return state is not None and state.state == "executing" and worker.status in (Status.running, Status.paused)
