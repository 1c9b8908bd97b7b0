"""`nas serve`: the REST API and the dashboard."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.options import (
    DEFAULT_DATABASE,
    DatabaseOption,
    EvaluatorsOption,
    JsonOption,
    example,
    opened_store,
    quick_imports,
)

if TYPE_CHECKING:
    from api.server import Server


def register(app: typer.Typer) -> None:
    """Add the command."""
    epilog = example("nas serve --embedded-worker --processes 2", "nas serve --port 8080")
    app.command("serve", epilog=epilog)(serve)


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; 0 takes a free one.", show_default="8000")
    ] = None,
    database: DatabaseOption = DEFAULT_DATABASE,
    embedded_worker: Annotated[
        bool, typer.Option("--embedded-worker", help="Run jobs as well: one command is the whole service.")
    ] = False,
    processes: Annotated[
        int | None,
        typer.Option(min=1, max=256, show_default="1", help="How many candidates the embedded worker trains at once."),
    ] = None,
    evaluators: EvaluatorsOption = None,
    until_stdin_closes: Annotated[
        bool,
        typer.Option("--until-stdin-closes", help="Also stop when standard input ends: no server outlives its parent."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Serve the REST API and the dashboard until Ctrl-C.

    Brings the database's tables up to date first. On another address than this machine's own, or with PostgreSQL,
    callers need a key: see `nas keys create`. What isn't given here is read from POCKETFORMER_… variables.
    Standard output tells the address once the service takes requests; the log goes to standard error.
    """
    with quick_imports():
        from api.server import Server
        from api.settings import Settings
        from api.start import prepare
        from nas.costs import keep_counts
        from nas.quality.datasets import keep_dataset_infos

    class Announced(Server):
        """Tells its address when it is ready: with port 0 nobody knows it before."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                print(json.dumps({"url": self.url}) if as_json else f"Pocketformer serves {self.url}", flush=True)

    given = {
        "host": host,
        "port": port,
        "database_url": database,
        "embedded_worker": embedded_worker or None,
        "worker_processes": processes,
        "evaluators": tuple(evaluators) if evaluators else None,
    }
    settings = Settings.load(**{name: value for name, value in given.items() if value is not None})
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    keep_counts()
    keep_dataset_infos()
    with opened_store(settings.database_url) as store:
        prepare(store, settings)  # also when the server starts: here what is missing is said as an error of a command
    server = Announced(settings)
    if until_stdin_closes:
        threading.Thread(target=_stop_at_end_of_input, args=(server,), daemon=True).start()
    server.run()
    if not server.started:
        raise typer.Exit(1)


def _stop_at_end_of_input(server: Server) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    server.should_exit = True
