"""An executor on a Dask cluster: what one job has asked of it, whatever becomes of workers and scheduler meanwhile.

Dask's own (`Client.get_executor`) cancels its futures when the scheduler is lost, and leaves those pending whose result
can't be fetched; a job would see neither as what it is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

from nas.errors import PocketformerError
from nas.jobs.dask.on_worker import Ran

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Call:
    """Something to be run on the cluster, from its submission to its result."""

    executor: DaskExecutor
    call: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    future: Future[Any] = field(default_factory=Future)

    def end(self, ran: Ran[Any]) -> None:
        """Give the result to who waits for it."""
        if self.future.set_running_or_notify_cancel():
            if difference := self.executor.differing_hardware(ran):
                self.future.set_exception(PocketformerError(difference))
            else:
                self.future.set_result(ran.result)

    def fail(self, error: BaseException) -> None:
        """Give the error to who waits for the result."""
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


class DaskExecutor(Executor):
    """Runs one job's calls on a Dask cluster. Its futures stay pending until they end, also while one is run."""

    def __init__(self, send: Callable[[Call], None]) -> None:
        """`send` runs a call on the cluster, ends its future, and ends the call where its future is cancelled."""
        self._send = send
        self._is_shut_down = False
        self._calls: set[Future[Any]] = set()
        self._first: tuple[str, str] | None = None

    def submit(
        self, call: Callable[Arguments, Result], /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Future[Result]:
        """Start a call; its future raises `BrokenExecutor` if the call killed its process or its Dask worker."""
        if self._is_shut_down:
            raise RuntimeError("the executor was shut down")
        submitted = Call(self, call, args, kwargs)
        self._calls.add(submitted.future)
        submitted.future.add_done_callback(self._calls.discard)
        self._send(submitted)
        return submitted.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; with `cancel_futures` end those that there are, else, with `wait`, wait for them."""
        self._is_shut_down = True
        for future in list(self._calls):
            if cancel_futures:
                future.cancel()
            elif wait:
                try:
                    future.exception()
                except CancelledError:
                    log.debug("a call was cancelled while the executor waited for it")

    def differing_hardware(self, ran: Ran[Any]) -> str | None:
        """Return what is wrong if a call did not run on the same kind of hardware as the first one, or else None."""
        self._first = self._first or (ran.worker, ran.hardware)
        worker, hardware = self._first
        if ran.hardware == hardware:
            return None
        return (
            f"the Dask worker {ran.worker} trains on {ran.hardware}, {worker} on {hardware}: scores could "
            "not be compared; start the workers of one kind with a resource of their own, and name it with "
            "--dask-resources"
        )
