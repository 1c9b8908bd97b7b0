"""`nas worker`: runs jobs."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType

import typer

from nas.cli.compute import DaskOption, DaskResourcesOption, opened_compute
from nas.cli.options import (
    DEFAULT_DATABASE,
    DatabaseOption,
    EvaluatorsOption,
    ProcessesOption,
    example,
    opened_store,
    quick_imports,
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("worker", epilog=example("nas worker --processes 2", "nas worker --dask tcp://127.0.0.1:8786"))(worker)


def worker(
    database: DatabaseOption = DEFAULT_DATABASE,
    processes: ProcessesOption = None,
    evaluators: EvaluatorsOption = None,
    dask: DaskOption = None,
    dask_resources: DaskResourcesOption = None,
) -> None:
    """Claim and run jobs until Ctrl-C or SIGTERM.

    A job under way is handed back then, and goes on where it stood with the next worker. A worker that is killed
    loses its job some seconds later to another one; nothing that was recorded is done twice.
    """
    with quick_imports():
        from nas.costs import keep_counts
        from nas.jobs.worker import Worker
        from nas.quality.evaluators import allowed_functions

    allowed = allowed_functions(evaluators or [], "evaluator")
    stop = stop_on_signals()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    keep_counts()
    with opened_compute(dask, dask_resources, processes) as compute, opened_store(database) as store:
        Worker(store, processes=processes, evaluators=allowed, compute=compute).run(stop)


def stop_on_signals() -> threading.Event:
    """Return an event that Ctrl-C and SIGTERM set instead of ending the process; a second one ends it at once."""
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  (the signature is Python's)
        stop.set()
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask)
    return stop
