"""`nas jobs …`: jobs on a server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nas.cli.options import (
    DEFAULT_URL,
    JsonOption,
    UrlOption,
    check_file,
    example,
    opened_client,
    read_document,
    writing,
)
from nas.cli.output import (
    architecture_text,
    front_table,
    note,
    print_json,
    print_table,
    table_of,
)
from nas.cli.own_files import with_file_added
from nas.errors import NotFound

if TYPE_CHECKING:
    from nas.client import Client
    from nas.space import SearchSpace

LATEST = "latest"

app = typer.Typer(help="Submit, follow and read jobs on a server.", no_args_is_help=True)

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="The job's id; `latest` is the newest.")]
ObjectivesOption = Annotated[
    str | None, typer.Option(metavar="A,B", show_default="the job's own", help="Metrics to rank by.")
]
ConstraintsOption = Annotated[
    list[str] | None,
    typer.Option(metavar="LIMIT", show_default="the job's own", help="A limit; give several one by one."),
]
JobToName = Annotated[str, typer.Argument(metavar="JOB", help="The job's id; `latest` is the newest.")]


@app.command("submit", epilog=example("nas jobs submit job.yaml --watch"))
def submit(
    file: Annotated[Path, typer.Argument(metavar="JOB.YAML", help="The job document, YAML or JSON.")],
    key: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Idempotency key: the same key never submits twice.")
    ] = None,
    follow: Annotated[bool, typer.Option("--watch", help="Follow the job to its end.")] = False,
    optuna: Annotated[
        str | None,
        typer.Option(
            metavar="DATABASE", show_default="no study", help="Start from the front of a study of Optuna in it."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="TEXT", show_default="the only one there", help="The study's name.")
    ] = None,
    url: UrlOption = DEFAULT_URL,
    as_json: JsonOption = False,
) -> None:
    """Submit a job to a server. A file of your own that it names by path is brought there first."""
    document = read_document(file)
    with opened_client(url) as client:
        document = with_file_added(document, file.parent, client)
        if optuna is not None:
            document = _starting_from_study(document, optuna, name, client)
        job = client.submit_job(document, key)
        if follow:
            _watch(client, job["id"], as_json)
        elif as_json:
            print_json(job)
        else:
            print(f"{job['id']} {job['state']}: {client.url}{job['links']['page']}")


@app.command("list", epilog=example("nas jobs list --limit 5"))
def list_jobs(
    limit: Annotated[int, typer.Option(min=1, help="How many of the newest.")] = 20,
    url: UrlOption = DEFAULT_URL,
    as_json: JsonOption = False,
) -> None:
    """List jobs, newest first."""
    with opened_client(url) as client:
        jobs = list(client.jobs(limit))
    if as_json:
        print_json({"jobs": jobs})
        return
    columns = ["job", "name", "state", " trials", " front", " hypervolume", "space", "created"]
    rows = [
        [
            job["id"],
            job["name"],
            job["state"],
            f"{job['progress']['evaluated']}/{job['progress']['budget']}",
            job["progress"]["front_size"],
            job["progress"]["hypervolume"],
            job["search_space"],
            job["created_at"][:19].replace("T", " "),
        ]
        for job in jobs
    ]
    print_table(table_of(columns, rows))


@app.command("show", epilog=example("nas jobs show latest"))
def show(job: JobArgument = LATEST, url: UrlOption = DEFAULT_URL, as_json: JsonOption = False) -> None:
    """Show one job and how far it is."""
    with opened_client(url) as client:
        found = client.job(job_id_of(client, job))
    if as_json:
        print_json(found)
    else:
        _print_job(found, url)


@app.command("front", epilog=example('nas jobs front latest --constraint "parameters <= 5e5"'))
def front(
    job: JobArgument = LATEST,
    objectives: ObjectivesOption = None,
    constraint: ConstraintsOption = None,
    url: UrlOption = DEFAULT_URL,
    as_json: JsonOption = False,
) -> None:
    """Print a job's front, under its own objectives and limits or under others."""
    with opened_client(url) as client:
        found = client.front(job_id_of(client, job), objectives.split(",") if objectives else None, constraint)
    if as_json:
        print_json(found)
    elif not found["members"]:
        note("No trial is on the front yet: none has been evaluated within the limits.")
    else:
        print_table(front_table(found))


@app.command("trials", epilog=example("nas jobs trials latest --state skipped"))
def trials(
    job: JobArgument = LATEST,
    state: Annotated[
        Literal["running", "complete", "stopped", "skipped", "failed"] | None,
        typer.Option(show_default="all", help="Only trials in this state."),
    ] = None,
    url: UrlOption = DEFAULT_URL,
    as_json: JsonOption = False,
) -> None:
    """List the trials of a job, those that were never trained with the reason."""
    with opened_client(url) as client:
        found = client.job(job_id_of(client, job))
        listed = list(client.trials(found["id"], state))
    if as_json:
        print_json({"trials": listed})
        return
    names = [objective["name"] for objective in found["objectives"]]
    columns = [" trial", "state", *(f" {name}" for name in names), " parameters", "architecture"]
    rows = [
        [
            str(trial["number"]),
            _state_of(trial),
            *(trial["metrics"].get(name) for name in (*names, "parameters")),
            architecture_text(trial["architecture"]),
        ]
        for trial in listed
    ]
    print_table(table_of(columns, rows))


@app.command("config", epilog=example("nas jobs config latest --out knee.yaml"))
def config(
    job: JobArgument = LATEST,
    trial: Annotated[
        int | None, typer.Option(min=0, show_default="the knee of the front", help="The trial's number.")
    ] = None,
    form: Annotated[Literal["yaml", "json"], typer.Option("--format", help="The same document either way.")] = "yaml",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it here instead of printing it.")] = None,
    weights: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the trained weights here.")] = None,
    url: UrlOption = DEFAULT_URL,
) -> None:
    """Download the configuration of a trial: the file from which its model is rebuilt."""
    with opened_client(url) as client:
        job_id = job_id_of(client, job)
        number = _knee(client, job_id) if trial is None else trial
        text = client.config(job_id, number, form)
        if weights is not None:
            _write("weights", weights, client.weights(job_id, number))
    if out is None:
        sys.stdout.write(text)
    else:
        _write("out", out, text.encode())


@app.command("bundle", epilog=example("nas jobs bundle latest --out knee.zip"))
def bundle(
    out: Annotated[Path, typer.Option(metavar="FILE", help="Write it here.")],
    job: JobArgument = LATEST,
    trial: Annotated[
        int | None, typer.Option(min=0, show_default="the knee of the front", help="The trial's number.")
    ] = None,
    url: UrlOption = DEFAULT_URL,
) -> None:
    """Download everything that deploys a trial's model, as one zip.

    It holds programs for ONNX Runtime and ExecuTorch in fp32 and int8, configuration, weights, vocabulary, what was
    checked of them, and a `rebuild.py` that checks it again. The first who asks waits a minute for it.
    """
    from nas.cli.progress import StepProgress

    check_file("out", out)
    with opened_client(url) as client, StepProgress() as progress:
        job_id = job_id_of(client, job)
        number = _knee(client, job_id) if trial is None else trial
        content = client.bundle(job_id, number, progress)
    _write("out", out, content)
    note(f"{out}: {len(content) / 1e6:.3f} MB. Unpack it, and begin with its README.md.")


@app.command("watch", epilog=example("nas jobs watch latest"))
def watch(job: JobArgument = LATEST, url: UrlOption = DEFAULT_URL, as_json: JsonOption = False) -> None:
    """Follow a job until it ends; Ctrl-C leaves it running. Exit code 0 if it succeeded.

    With --json every event is one line.
    """
    with opened_client(url) as client:
        _watch(client, job_id_of(client, job), as_json)


def _starting_from_study(document: dict[str, Any], storage: str, name: str | None, client: Client) -> dict[str, Any]:
    """Return a job that starts from the front of a study, before what it starts from anyway."""
    from nas.search.start import MOST_ARCHITECTURES
    from nas.studies import best_of_study

    space, start = document.get("search_space"), document.get("start") or {}
    if not isinstance(space, str | dict) or not isinstance(start, dict):
        return document  # the server says what is wrong with it
    given = start.get("architectures") or []
    found = best_of_study(storage, name, space_of(client, space))[: max(0, MOST_ARCHITECTURES - len(given))]
    note(f"Starting from {len(found)} architectures on the study's front.")
    return {**document, "start": {**start, "architectures": [*found, *given]}}


def space_of(client: Client, space: str | dict[str, Any]) -> SearchSpace:
    """Return the search space that a job document names or contains."""
    from nas.space import SearchSpace

    return SearchSpace.from_document(client.search_space(space)["document"] if isinstance(space, str) else space)


def job_id_of(client: Client, job: str) -> str:
    """Return the id of a job as a person names it; raise `NotFound` for the newest of none."""
    if job != LATEST:
        return job
    for newest in client.jobs(limit=1):
        return str(newest["id"])
    raise NotFound(f"{client.url} has no job yet: submit one with `nas jobs submit job.yaml`.")


def follow(client: Client, job_id: str) -> dict[str, Any]:
    """Show a job's progress until it ends; return it as it ended."""
    from nas.cli.progress import JobProgress

    job = client.job(job_id)
    with JobProgress() as progress:
        for event in client.events(job_id):
            if event.kind == "job":
                job = event.data
            progress.update(event.data["progress"], job["state"])
    return client.job(job_id)


def _watch(client: Client, job_id: str, as_json: bool) -> None:
    if as_json:
        import json

        for event in client.events(job_id):
            line = {"sequence": event.sequence, "event": event.kind, "data": event.data}
            print(json.dumps(line, ensure_ascii=False), flush=True)
        job = client.job(job_id)
    else:
        job = follow(client, job_id)
        _print_job(job, client.url)
    if job["state"] != "succeeded":
        raise typer.Exit(1)


def _knee(client: Client, job_id: str) -> int:
    knee = client.front(job_id)["knee"]
    if knee is None:
        raise NotFound(f"The front of {job_id} is empty: no trial has been evaluated within the limits.")
    return int(knee)


def _state_of(trial: dict[str, Any]) -> str:
    match trial["skip_reason"]:
        case "duplicate":
            return f"skipped: same as {trial['same_as']}"
        case "over_limit":
            return f"skipped: over {', '.join(trial['violations'])}"
        case _:
            why = trial["error"] if trial["state"] == "failed" else trial["stop_reason"]
            if trial["recalled"]:
                known = f"as trial {trial['recalled']['trial']} of {trial['recalled']['job']}"
                why = f"{why}; {known}" if why else known
            return f"{trial['state']}: {why}" if why else str(trial["state"])


def _print_job(job: dict[str, Any], url: str) -> None:
    from nas.cli.progress import progress_text

    progress = job["progress"]
    rows = [
        ["job", job["id"]],
        ["name", job["name"]],
        ["state", job["state"] + (f": {job['reason']}" if job["reason"] else "")],
        ["trials", f"{progress['evaluated']} of {progress['budget']}; {progress_text(progress)}"],
        ["search space", job["search_space"]],
        ["dataset", job["dataset"]],
        ["objectives", ", ".join(f"{o['direction']} {o['name']}" for o in job["objectives"])],
        ["limits", ", ".join(c["text"] for c in job["constraints"]) or "none"],
        ["sampler", f"{job['sampler']}, seed {job['seed']}"],
        ["dashboard", f"{url.rstrip('/')}{job['links']['page']}"],
    ]
    print_table(table_of(["", ""], rows))


def _write(option: str, path: Path, content: bytes) -> None:
    with writing(option, path):
        path.write_bytes(content)
    note(f"Wrote {path}.")
