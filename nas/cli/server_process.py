"""A server of one's own: `nas serve` as a child process that never outlives its parent."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from nas.errors import PocketformerError

STOP_S = 20.0
"""How long a server may take to hand its job back and stop."""
LOG_LINES_SHOWN = 15


class ServerFailedToStart(PocketformerError):
    """The server did not start."""


class ServerProcess:
    """Runs `nas serve` with an embedded worker while it is entered; its log goes to a file.

    Ctrl-C in the terminal reaches the parent alone, which stops the server in order. Whatever becomes of the
    parent, the server sees its standard input end and stops.
    """

    def __init__(self, database: Path, log: Path, *, port: int, processes: int) -> None:
        self._command = [sys.executable, "-m", "nas.cli", "serve", "--json", "--until-stdin-closes"]
        self._command += ["--host", "127.0.0.1", "--port", str(port), "--database", f"sqlite:///{database}"]
        self._command += ["--embedded-worker", "--processes", str(processes)]
        self._log = log
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> ServerProcess:
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        try:
            self.url = self._read_address(self._process)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def wait(self) -> int:
        """Wait until the server ends by itself; return its exit code."""
        return self._process.wait() if self._process else 0

    def stop(self) -> None:
        """Stop the server in order, by force if it takes too long. A second Ctrl-C is heeded only after that."""
        process, self._process = self._process, None
        if process is None:
            return
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            process.terminate()
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):  # it ended just now
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        finally:
            signal.signal(signal.SIGINT, before)
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()

    def _read_address(self, process: subprocess.Popen[str]) -> str:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            process.wait()
            tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:])
            raise ServerFailedToStart(f"The server did not start (its log is {self._log}):\n{tail}")
        return str(json.loads(line)["url"])
