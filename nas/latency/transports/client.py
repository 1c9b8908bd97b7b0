"""Client: a program here that carries a command's streams to a device and back, such as ssh, followed to its end."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Literal

SILENCE_S = 15.0
"""After this long without a sign of life a client that should give some counts as cut off."""
_GRACE_S = 5.0
"""How long the far side may take to end its program once the client's standard input ends, before it is killed too."""
_LAST_WORDS = 16_384


@dataclass(frozen=True)
class Client:
    """How a client program ended."""

    code: int
    errors: str
    """The end of its standard error."""
    stopped: Literal["", "late", "silent"]
    """Why we stopped it, if we did."""


def run_client(
    argv: Sequence[str],
    on_line: Callable[[str], None] | None,
    timeout_s: float,
    stdin: Callable[[IO[bytes]], object] | None = None,
    stdout: IO[bytes] | None = None,
    beat: str = "",
) -> Client:
    """Run a client program, with each line of its standard output to `on_line`, or all of it into `stdout`.

    `stdin` writes to its standard input, which is then closed; without it that stays open until the end. When the
    time is over, or `on_line` raises, standard input is closed, and a client that goes on is killed. With `beat`,
    a line of standard error that ends so is only a sign of life, and a client without any for `SILENCE_S` is killed.
    """
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=stdout or subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    errors = _Errors(beat)
    threads = [
        threading.Thread(target=_read_lines, args=(process.stdout, lines), daemon=True),
        threading.Thread(target=errors.read, args=(process.stderr,), daemon=True),
    ]
    if stdin is not None:
        threads.append(threading.Thread(target=_write, args=(process.stdin, stdin), daemon=True))
    for thread in threads:
        thread.start()
    stopped: Literal["", "late", "silent"] = ""
    try:
        stopped = _follow(process, lines, errors, on_line, time.monotonic() + timeout_s)
    finally:
        if stdin is None:
            _close(process.stdin)
        with suppress(subprocess.TimeoutExpired):
            process.wait(0 if stopped == "silent" else _GRACE_S)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for thread in threads:
            thread.join(_GRACE_S)
        for pipe in (process.stdin, process.stdout, process.stderr):
            _close(pipe)
    return Client(process.returncode, errors.text.decode("utf-8", "replace"), stopped)


class _Errors:
    """The end of a client's standard error, and when it was last heard of."""

    def __init__(self, beat: str) -> None:
        self.beat = f"{beat}\n".encode() if beat else b""
        self.text = bytearray()
        self.heard_s = time.monotonic()

    def read(self, pipe: IO[bytes] | None) -> None:
        with suppress(ValueError, OSError):  # closed under our hands, at the end
            for line in pipe or ():
                self.heard_s = time.monotonic()
                self.text += line.removesuffix(self.beat)
                del self.text[:-_LAST_WORDS]


def _follow(
    process: subprocess.Popen[bytes],
    lines: queue.SimpleQueue[bytes | None],
    errors: _Errors,
    on_line: Callable[[str], None] | None,
    end_s: float,
) -> Literal["", "late", "silent"]:
    """Hand the lines on until the client ends or has to be stopped; return why."""
    while True:
        limit_s = min(end_s, errors.heard_s + SILENCE_S) if errors.beat else end_s
        try:
            line = lines.get(timeout=max(0.0, limit_s - time.monotonic()))
        except queue.Empty:
            if time.monotonic() >= end_s:
                return "late"
            if errors.beat and time.monotonic() >= errors.heard_s + SILENCE_S:
                return "silent"
            continue
        if line is None:
            break
        errors.heard_s = time.monotonic()
        if on_line is not None:
            on_line(line.decode("utf-8", "replace").rstrip("\r\n"))
    try:
        process.wait(max(_GRACE_S, end_s - time.monotonic()))
    except subprocess.TimeoutExpired:
        return "late"
    return ""


def _read_lines(pipe: IO[bytes] | None, lines: queue.SimpleQueue[bytes | None]) -> None:
    with suppress(ValueError, OSError):
        for line in pipe or ():
            lines.put(line)
    lines.put(None)


def _write(pipe: IO[bytes], write: Callable[[IO[bytes]], object]) -> None:
    with suppress(ValueError, OSError):  # the program that doesn't want it ends by itself, with its own words
        write(pipe)
    _close(pipe)


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        with suppress(OSError):
            pipe.close()
