"""`nas jobs pause`, `resume`, `cancel`, `retry`, `priority`, `delete`: what can be asked of a job."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from nas.cli.jobs import JobToName, job_id_of
from nas.cli.options import DEFAULT_URL, JsonOption, UrlOption, example, opened_client
from nas.cli.output import print_json
from nas.errors import InvalidInput


def register(app: typer.Typer) -> None:
    """Add the commands to those of jobs."""
    app.command("cancel", epilog=example("nas jobs cancel latest"))(cancel)
    app.command("pause", epilog=example("nas jobs pause latest"))(pause)
    app.command("resume", epilog=example("nas jobs resume latest"))(resume)
    app.command("retry", epilog=example("nas jobs retry latest"))(retry)
    app.command("priority", epilog=example("nas jobs priority latest 10"))(priority)
    app.command("delete", epilog=example("nas jobs delete latest --yes"))(delete)


def cancel(job: JobToName, url: UrlOption = DEFAULT_URL, as_json: JsonOption = False) -> None:
    """End a job; what it has found so far stays, and `retry` goes on from there."""
    with opened_client(url) as client:
        found = client.cancel_job(job_id_of(client, job))
    _print(found, as_json)


def pause(job: JobToName, url: UrlOption = DEFAULT_URL, as_json: JsonOption = False) -> None:
    """Pause a job until it is resumed; candidates in training are trained anew then."""
    with opened_client(url) as client:
        found = client.pause_job(job_id_of(client, job))
    _print(found, as_json)


def resume(job: JobToName, url: UrlOption = DEFAULT_URL, as_json: JsonOption = False) -> None:
    """Have a paused job go on. The time it was paused for does not count into its hours."""
    with opened_client(url) as client:
        found = client.resume_job(job_id_of(client, job))
    _print(found, as_json)


def retry(job: JobToName, url: UrlOption = DEFAULT_URL, as_json: JsonOption = False) -> None:
    """Have the search of a job that failed or was cancelled go on after the trials that it has."""
    with opened_client(url) as client:
        found = client.retry_job(job_id_of(client, job))
    _print(found, as_json)


def priority(
    job: JobToName,
    value: Annotated[int, typer.Argument(metavar="NUMBER", help="-100 to 100; 0 is what a job has by itself.")],
    url: UrlOption = DEFAULT_URL,
    as_json: JsonOption = False,
) -> None:
    """Have a job that waits taken before those of a lower priority. Put `--` before a negative number."""
    with opened_client(url) as client:
        found = client.set_priority(job_id_of(client, job), value)
    if as_json:
        print_json(found)
    else:
        print(f"{found['id']} {found['state']}, priority {found['priority']}")


def delete(
    job: JobToName,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    url: UrlOption = DEFAULT_URL,
) -> None:
    """Delete a job that has ended or is paused: its trials, its weights, its history."""
    with opened_client(url) as client:
        found = client.job(job_id_of(client, job))
        if not yes:
            _ask(found)
        client.delete_job(found["id"])
    print(f"{found['id']} deleted")


def _ask(job: dict[str, Any]) -> None:
    if not sys.stdin.isatty():
        raise InvalidInput.of("yes", "not given", "--yes where nobody can be asked", "add --yes to delete the job")
    evaluated = job["progress"]["evaluated"]
    typer.confirm(f"Delete {job['id']} ({job['name']}, {job['state']}, {evaluated} evaluated) for good?", abort=True)


def _print(job: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(job)
        return
    to_come = ""
    if job["state"] == "running" and job["cancel_requested"]:
        to_come = ", cancelling"
    elif job["state"] == "running" and job["pause_requested"]:
        to_come = ", pausing"
    print(f"{job['id']} {job['state']}{to_come}")
