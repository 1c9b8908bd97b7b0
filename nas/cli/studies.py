"""`nas jobs export`: a job as a study of Optuna."""

from __future__ import annotations

from typing import Annotated

import typer

from nas.cli.jobs import JobToName, job_id_of, space_of
from nas.cli.options import DEFAULT_URL, UrlOption, example, opened_client


def register(app: typer.Typer) -> None:
    """Add the command to those of jobs."""
    app.command(
        "export",
        epilog=example("nas jobs export latest --optuna sqlite:///study.db"),
    )(export)


def export(
    job: JobToName,
    optuna: Annotated[
        str, typer.Option("--optuna", metavar="DATABASE", help="Where to: sqlite:///FILE or another SQLAlchemy URL.")
    ],
    name: Annotated[
        str | None, typer.Option("--name", metavar="TEXT", show_default="the job's id", help="The study's name.")
    ] = None,
    url: UrlOption = DEFAULT_URL,
) -> None:
    """Copy a job into a database of Optuna, for optuna-dashboard and other programs that read studies.

    Parameters are the choices of the search space, limits are constraints; costs, scores of training in full, and why
    a candidate was skipped or stopped, are attributes of the trials.
    """
    from nas.cli.progress import StepProgress
    from nas.studies import export_study, without_password

    with opened_client(url) as client, StepProgress() as progress:
        found = client.job(job_id_of(client, job))
        space = space_of(client, found["document"]["search_space"])
        trials = list(client.trials(found["id"]))
        done = 0

        def on_trial() -> None:
            nonlocal done
            done += 1
            progress("trials written", done, len(trials))

        study = export_study(found, space, trials, optuna, name, on_trial)
    print(f"{study}: {len(trials)} trials in {without_password(optuna)}")
