"""`nas search`: a job from its file to its front, with no server."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.compute import DaskOption, DaskResourcesOption, opened_compute
from nas.cli.fidelity import print_report
from nas.cli.options import (
    DEFAULT_DATABASE,
    DatabaseOption,
    JsonOption,
    ProcessesOption,
    example,
    make_folder,
    opened_store,
    read_document,
    writing,
)
from nas.cli.output import architecture_text, front_table, note, print_json, print_table
from nas.cli.own_files import MB, with_file_added
from nas.cli.places import Database
from nas.cli.worker import stop_on_signals
from nas.errors import LeaseLost

if TYPE_CHECKING:
    from nas.jobs.compute import Compute
    from nas.jobs.worker import Worker
    from nas.store.records import JobRecord
    from nas.store.store import Store

POLL_S = 0.3
FOLLOW_S = 1.0
"""How often a job that another worker runs is looked at."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("search", epilog=example("nas search job.yaml --out found"))(search)


def search(
    file: Annotated[Path, typer.Argument(metavar="JOB.YAML", help="The job document, YAML or JSON.")],
    database: DatabaseOption = DEFAULT_DATABASE,
    processes: ProcessesOption = None,
    dask: DaskOption = None,
    dask_resources: DaskResourcesOption = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the front here: configurations and weights of its members."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run one job here, without a server, and print its front.

    The same code as a server's worker, on the same database: what was searched here is seen in the dashboard of
    `nas serve` on that database, and a job that Ctrl-C stopped goes on with `nas worker`. A file of your own that the
    job names by path is added to the database first.
    """
    from nas.jobs.catalogue import submit
    from nas.jobs.fidelity_report import fidelity_of
    from nas.jobs.report import describe_job, front_of
    from nas.store.records import JobState

    document = read_document(file)
    if out is not None:
        make_folder("out", out)
    stop = stop_on_signals()
    logging.basicConfig(level=logging.WARNING)
    with opened_compute(dask, dask_resources, processes) as compute, opened_store(database) as store:
        document = with_file_added(document, file.parent, Database(store))
        _prepare(store, document)
        evaluators = _evaluators_of(document)
        job, _ = submit(store, document, evaluators=evaluators)
        job = _run(store, job, processes, stop, evaluators, compute)
        front = front_of(store, job)
        if as_json:
            print_json({"job": describe_job(store, job), "front": front, "fidelity": fidelity_of(store, job)})
        elif front["members"]:
            print_table(front_table(front))
            _name_knee(front, job.id)
        if not as_json and job.finish is not None:
            print()
            print_report(fidelity_of(store, job))
        if out is not None:
            with writing("out", out, "a folder that files can be written in"):
                _write_front(store, job, front, out)
        if not job.state.is_final:
            allowing = "".join(f" --evaluator {name}" for name in evaluators)
            note(f"Stopped. `nas worker --database {database}{allowing}` goes on with {job.id}.")
        elif job.state is not JobState.SUCCEEDED:
            note(f"{job.id} {job.state}: {job.reason}")
        if job.state is not JobState.SUCCEEDED:
            raise typer.Exit(1)


def _prepare(store: Store, document: dict[str, Any]) -> None:
    """Prepare a file of one's own before the job is submitted, where its progress can be seen."""
    from nas.cli.progress import StepProgress
    from nas.jobs.own_data import prepared_info
    from nas.search.job import JobSpec

    dataset = JobSpec.from_document(document).task.dataset
    if not isinstance(dataset, str):
        with StepProgress() as shown:
            prepared_info(store, dataset, lambda done, size: shown("preparing (MB)", done // MB, max(1, size // MB)))


def _evaluators_of(document: dict[str, Any]) -> tuple[str, ...]:
    """Return the evaluator that a job names, if any: whoever runs a file of theirs here allows what it says."""
    from nas.search.job import JobSpec

    evaluator = JobSpec.from_document(document).task.evaluator
    return () if evaluator is None else (evaluator.function,)


def _run(
    store: Store,
    job: JobRecord,
    processes: int | None,
    stop: threading.Event,
    evaluators: Sequence[str] = (),
    compute: Compute | None = None,
) -> JobRecord:
    """Run the job in a thread, show its progress from this one, which takes the signals; return it as it ended."""
    from nas.cli.progress import JobProgress
    from nas.jobs.report import progress_of
    from nas.jobs.worker import Worker

    worker = Worker(store, processes=processes, evaluators=evaluators, compute=compute)
    errors: list[BaseException] = []

    def run() -> None:
        try:
            _work(worker, store, job.id, stop)
        except BaseException as error:  # raised again below, in the thread that is listened to
            errors.append(error)

    thread = threading.Thread(target=run, name="search")
    thread.start()
    try:
        with JobProgress() as shown:
            while thread.is_alive():
                thread.join(POLL_S)
                job = store.job(job.id)
                shown.update(progress_of(store, job), str(job.state))
    finally:
        stop.set()
        thread.join()
    if errors:
        raise errors[0]
    return store.job(job.id)


def _work(worker: Worker, store: Store, job_id: str, stop: threading.Event) -> None:
    """Run the job until it ends or `stop` is set.

    A server on the same database may have claimed it first: its worker then runs it, and should that one give it
    up, it is run here.
    """
    from nas.store.records import JobState

    told = False
    while not stop.is_set() and not store.job(job_id).state.is_final:
        try:
            worker.run_job(job_id, stop)
        except LeaseLost:
            state = store.job(job_id).state
            if not told and not state.is_final:
                paused = f"{job_id} is paused: it goes on when somebody resumes it."
                note(paused if state is JobState.PAUSED else f"Another worker runs {job_id}: following it.")
                told = True
            stop.wait(FOLLOW_S)


def _name_knee(front: dict[str, Any], job_id: str) -> None:
    knee = next(member for member in front["members"] if member["number"] == front["knee"])
    values = ", ".join(f"{o['name']} {knee['metrics'][o['name']]:.4g}" for o in front["objectives"])
    print(f"Knee: trial {knee['number']} of {job_id}, {values}")
    print(f"      {knee['architecture_id']}: {architecture_text(knee['architecture'])}")


def _write_front(store: Store, job: JobRecord, front: dict[str, Any], folder: Path) -> None:
    """Write the front, and for each member what `nas score --verify` and `nas export` take."""
    from nas.documents import to_yaml
    from nas.jobs.delivery import config_of, weights_of

    (folder / "front.json").write_text(json.dumps(front, indent=2, ensure_ascii=False) + "\n")
    for member in front["members"]:
        trial = store.trial(job.id, member["number"])
        stem = f"trial-{trial.number}"
        config = config_of(store, job, trial, None)
        (folder / f"{stem}.yaml").write_text(to_yaml(config))
        if "weights" in config:  # an evaluator of one's own may train nothing
            (folder / f"{stem}.safetensors").write_bytes(weights_of(store, job, trial)[0])
    note(f"Wrote {folder}: front.json, and configuration and weights of {len(front['members'])} trials.")
