"""Running `nas …` in this process, as the console script does: same entry, same exit codes, no start of Python."""

from __future__ import annotations

import io
import json
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import typer

from nas.cli import app, main


@dataclass(frozen=True)
class Run:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.out, self.err
        return json.loads(self.out)


def nas(*arguments: object) -> Run:
    """Run one command to its end. Errors that nobody expects are raised, as they would show a traceback."""
    out, err = io.StringIO(), io.StringIO()
    argv, handlers = sys.argv, {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    sys.argv = ["nas", *map(str, arguments)]
    code: Any = 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as stop:
        code = stop.code
    finally:
        sys.argv = argv
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return Run(int(code or 0), out.getvalue(), err.getvalue())


def commands() -> dict[str, Any]:
    """Return every command that does something, by its words: `jobs list`, `demo`, …"""
    found: dict[str, Any] = {}

    def collect(group: Any, words: tuple[str, ...]) -> None:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                collect(command, (*words, name))
            else:
                found[" ".join((*words, name))] = command

    collect(typer.main.get_command(app), ())
    return found


def examples() -> list[str]:
    """Return every command line that some `--help` shows as an example."""
    return [
        line
        for command in commands().values()
        for line in (command.epilog or "").splitlines()
        if line.startswith("nas ")
    ]
