"""Processes beside this one: how they start."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import BaseContext

PRELOADED = ["torch", "torch._dynamo"]
"""What every process imports: torch's optimizers import the second when the first of them is made."""


def process_pool(processes: int, begin: Callable[[], None] | None = None) -> ProcessPoolExecutor:
    """Return a pool of processes with one torch thread each and this process's environment; each calls `begin` first.

    On Linux they are forked from a server process that has imported `PRELOADED` and nothing else has happened in: it
    starts with the first pool and ends with this process. That takes tens of milliseconds in place of four seconds.
    Forking this very process could hang, since it has threads; elsewhere each starts anew.
    """
    context: BaseContext
    if sys.platform == "linux":
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
    else:
        context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(processes, mp_context=context, initializer=_begin, initargs=(dict(os.environ), begin))


def _begin(environment: dict[str, str], begin: Callable[[], None] | None) -> None:
    if environment != dict(os.environ):  # the server's is that of the time when it started
        os.environ.clear()
        os.environ.update(environment)
    import torch  # noqa: PLC0415  (who starts processes needs none of it)

    torch.set_num_threads(1)  # processes run side by side, one core each, and sum in the same order
    if begin is not None:
        begin()
