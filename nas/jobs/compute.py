"""Where evaluations run: on processes of this machine here, on a Dask cluster in `nas.jobs.dask`."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from typing import Any, ParamSpec, Protocol, TypeVar

from nas.processes import process_pool

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Compute(Protocol):
    """What evaluations run on."""

    parallel: int
    """How many run at a time."""

    def is_ready(self) -> bool:
        """Return whether a job could begin now."""

    def executor(self) -> Executor:
        """Return a new executor, for one job.

        Its futures raise `BrokenExecutor` where the process that ran the call died. `shutdown(wait=False,
        cancel_futures=True)` also ends the calls that run.
        """


class ThisMachine:
    """Processes here, one core each."""

    def __init__(self, processes: int) -> None:
        self.parallel = processes

    def is_ready(self) -> bool:
        """Return True."""
        return True

    def executor(self) -> Executor:
        """Return processes that start when they are first needed."""
        return EvaluationProcesses(self.parallel)


class EvaluationProcesses(Executor):
    """Processes on this machine; a pool that a killed process broke is replaced."""

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self._pool: ProcessPoolExecutor | None = None

    def submit(
        self, call: Callable[Arguments, Result], /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Future[Result]:
        """Start a call; its future raises `BrokenExecutor` if one of the processes was killed."""
        if self._pool is None:
            self._pool = process_pool(self.processes, _start_process)
        try:
            return self._pool.submit(call, *args, **kwargs)
        except BrokenExecutor:
            self._pool.shutdown(wait=False)
            self._pool = process_pool(self.processes, _start_process)
            return self._pool.submit(call, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes: after what they do, or, with `cancel_futures`, at once."""
        pool, self._pool = self._pool, None
        if pool is not None:
            processes: list[Any] = list((pool._processes or {}).values()) if cancel_futures else []
            pool.shutdown(wait=wait and not cancel_futures, cancel_futures=cancel_futures)
            for process in processes:  # a candidate nobody waits for must not keep its core
                process.terminate()


def _start_process() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the worker's to handle
    os.dup2(2, 1)  # what an evaluator prints goes to the log: standard output is the command's, perhaps as JSON
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the worker is gone, even by kill -9: nobody else would."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
