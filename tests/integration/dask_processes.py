"""Dask schedulers and workers as people start them, each a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from processes import descendants, free_port, until


class DaskProcesses:
    """A cluster on this machine, whose parts are started and killed one by one."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.port = free_port()
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.scheduler: subprocess.Popen[bytes]
        self._started: list[subprocess.Popen[bytes]] = []
        self.start_scheduler()

    def start_scheduler(self) -> None:
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", str(self.port))
        until(lambda: "Scheduler at" in self.log("scheduler"))

    def start_workers(self, number: int = 1, *options: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start `dask worker` with so many workers, whose parent it is; they are there a second or two later."""
        words = ["worker", self.address, "--nthreads", "1", "--nworkers", str(number), *options]
        return self._start(*words, **environment)

    def log(self, part: str) -> str:
        return (self.folder / f"{part}.log").read_text()

    def stop(self) -> None:
        for process in reversed(self._started):  # workers first: they look for a scheduler that is gone
            process.terminate()
            process.wait(30)

    def _start(self, part: str, *words: str, **environment: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", part, *words, "--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
        with (self.folder / f"{part}.log").open("ab") as log:
            started = subprocess.Popen(
                command, env={**self.environment, **environment}, cwd=self.folder, stdout=log, stderr=log
            )
        self._started.append(started)
        return started


@contextmanager
def dask_processes(folder: Path, **environment: str) -> Iterator[DaskProcesses]:
    """A scheduler without workers, and all that is started on it, until the end of the block."""
    cluster = DaskProcesses(folder, **environment)
    try:
        yield cluster
    finally:
        cluster.stop()


def trainings(pid: int) -> set[int]:
    """Return the evaluation processes below `dask worker`: children of the server process that forks them."""
    servers = {each for each in descendants(pid) if b"forkserver" in _command(each)}
    return {child for server in servers for child in descendants(server)}


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""  # it has just ended
