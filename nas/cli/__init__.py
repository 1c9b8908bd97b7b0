"""The command line: `nas …`. One file a command; each translates, delegates and prints, and computes nothing.

Exit codes: 0 ok, 1 failed, 2 bad input. Only an error that nobody expected shows a traceback. What is heavy
(torch, optuna, FastAPI, SQLAlchemy) is imported inside the command that needs it: `nas --help` answers at once.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import nas
from nas.cli import (
    backup,
    data,
    demo,
    device,
    export,
    fidelity,
    importance,
    job_control,
    jobs,
    keys,
    reading,
    score,
    search,
    serve,
    space,
    studies,
    worker,
)
from nas.cli.output import print_error
from nas.errors import InvalidInput, PocketformerError

app = typer.Typer(
    name="nas",
    help="Find the Transformer that fits the phone: search architectures for a device and a task.",
    epilog="Start with `nas demo`. Every command has `--help` with an example.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"pocketformer {nas.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


for command in (demo, serve, worker, search, backup):
    command.register(app)
job_control.register(jobs.app)
fidelity.register(jobs.app)
reading.register(jobs.app)
importance.register(jobs.app)
studies.register(jobs.app)
app.add_typer(jobs.app, name="jobs")
app.add_typer(space.app, name="space")
app.add_typer(device.app, name="device")
app.add_typer(data.app, name="data")
app.add_typer(keys.app, name="keys")
for command in (score, export):
    command.register(app)


def main() -> None:
    """Run the command line and exit."""
    try:
        app(prog_name="nas")  # also where it is started as `python -m nas.cli`
    except PocketformerError as error:
        print_error(error)
        sys.exit(2 if isinstance(error, InvalidInput) else 1)
    except OSError as error:  # a disk that is full, a file that went away: the reader's to mend, not this program's
        print_error(PocketformerError(" ".join(str(error).split()) or type(error).__name__))
        sys.exit(1)
