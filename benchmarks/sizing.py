"""How large a service becomes: bytes on disk by trial, job and kept weights; memory of server, worker and evaluations.

    python benchmarks/sizing.py                                            # a minute, and SQLite
    python benchmarks/sizing.py --database postgresql+psycopg://…          # an empty database of its own

Memory is read from Linux: what a process has to itself, and its share of what it has with others (PSS).
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from service_jobs import job_document, large_job
from service_load import Pinned, Server, cache_of
from sqlalchemy import func, select

from nas.jobs.catalogue import submit
from nas.store.artifacts import add_artifact
from nas.store.records import JobState
from nas.store.store import Store

WEIGHTS, WEIGHTS_BYTES = 40, 1_000_000
CORE = 0
PATIENCE_S = 240.0


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    value: float
    unit: str


def bytes_of(store: Store) -> int:
    """Return what a database takes on disk, without what is written ahead."""
    with store._database.read() as connection:
        if connection.dialect.name == "postgresql":
            return int(connection.execute(select(func.pg_database_size(func.current_database()))).scalar_one())
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        return int(pages) * int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())


def measure_disk(store: Store, jobs: int, trials: int) -> Iterator[Row]:
    """Yield how much the database grows by what is put into it."""
    empty = bytes_of(store)
    yield Row("an empty database", empty / 1e6, "MB")
    for seed in range(jobs):
        submit(store, job_document("sizing", seed=seed), None)
    with_jobs = bytes_of(store)
    yield Row(f"a job without trials (of {jobs:,})", (with_jobs - empty) / jobs / 1e3, "kB")
    large_job(store, trials)
    with_trials = bytes_of(store)
    yield Row(f"a trial with its events (of {trials:,})", (with_trials - with_jobs) / trials / 1e3, "kB")
    for _ in range(WEIGHTS):
        with store._database.write() as connection:
            add_artifact(connection, secrets.token_bytes(WEIGHTS_BYTES))  # weights do not compress either
    share = (bytes_of(store) - with_trials) / (WEIGHTS * WEIGHTS_BYTES)
    yield Row("kept weights, for each MB of them", share, "MB")


def measure_server(store: Store, url: str, trials: int, folder: Path) -> Iterator[Row]:
    """Yield what a server takes when it has started, and with the figures of a large job in hand."""
    job = large_job(store, trials)
    key = None if url.startswith("sqlite") else secrets.token_hex(32)
    with Server(url, CORE, folder, key) as server, server.connect() as connection:
        connection.get("/readyz").expect(200)
        started = pss_mb(server.process.pid)
        yield Row("the server, started", started, "MB")
        connection.get(f"/v1/jobs/{job.id}/front").expect(200)
        more = pss_mb(server.process.pid) - started
        yield Row(f"more, once somebody looked at a job of {trials:,} trials", more, "MB")


def measure_worker(folder: Path, processes: int) -> Iterator[Row]:
    """Yield the most that a worker and its processes took during a small real job on a database of its own."""
    url = f"sqlite:///{folder / 'worker.db'}"
    store = Store.open(url)
    store.migrate()
    document = job_document("sizing", trials=2 * processes)
    document["task"]["training"]["steps"] = 40
    job, _ = submit(store, document, None)
    most = {"worker": 0.0, "fork server": 0.0, "evaluation": 0.0, "all": 0.0}
    command = [sys.executable, "-m", "nas.cli", "worker", "--database", url, "--processes", str(processes)]
    kept = {"XDG_CACHE_HOME": str(cache_of(folder))}
    with Pinned(command, CORE, folder / "worker.log", kept) as worker:
        end = time.monotonic() + PATIENCE_S
        while (state := store.job(job.id).state) in (JobState.QUEUED, JobState.RUNNING):
            if time.monotonic() > end or worker.process.poll() is not None:
                raise worker.failed(f"the job is {state} still")
            for name, taken in memory_of(worker.process.pid).items():
                most[name] = max(most[name], taken)
            time.sleep(0.1)
    if state is not JobState.SUCCEEDED:
        raise SystemExit(f"the job {state}: {store.job(job.id).reason}")
    kept_mb, parameters = 0.0, 0.0
    for trial in store.trial_summaries(job.id):
        if trial.weights_sha256 is not None:
            kept_mb += len(store.artifact(trial.weights_sha256)) / 1e6
            parameters += trial.metrics["parameters"] / 1e6
    store.close()
    yield Row("weights that its job kept, for each million parameters", kept_mb / parameters, "MB")
    yield Row("a worker, without its processes", most["worker"], "MB")
    yield Row("the process that its evaluations are forked from", most["fork server"], "MB")
    yield Row("an evaluation process at most", most["evaluation"], "MB")
    yield Row(f"a worker with {processes} evaluations, together", most["all"], "MB")


def memory_of(worker: int) -> dict[str, float]:
    """Return the memory of a worker, of what its evaluations are forked from, of the largest of them, and of all."""
    own, servers, evaluations, other = pss_mb(worker), 0.0, [0.0], 0.0
    for child in children(worker):
        of_child = children(child)
        if of_child:
            servers += pss_mb(child)
            evaluations += [pss_mb(process) for process in of_child]
        else:
            other += pss_mb(child)
    total = own + servers + sum(evaluations) + other
    return {"worker": own, "fork server": servers, "evaluation": max(evaluations), "all": total}


def children(pid: int) -> list[int]:
    """Return the processes that a process started and that are still there."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # it ended between one look and the next
            found += map(int, task.read_text().split())
    return found


def pss_mb(pid: int) -> float:
    """Return the memory of a process in MB; 0 for one that has just ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6


def print_table(title: str, rows: Iterator[Row]) -> None:
    """Print each figure as soon as all are there."""
    table = Table("what", "takes", title=title)
    for row in rows:
        table.add_row(row.what, f"{row.value:.2f} {row.unit}" if row.value < 10 else f"{row.value:.0f} {row.unit}")
    Console(width=100).print(table)


def main() -> None:
    """Measure on this machine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", help="SQLAlchemy address of an empty database (default: a SQLite file)")
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--trials", type=int, default=20_000)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["XDG_CACHE_HOME"] = str(cache_of(folder))
        url = arguments.database or f"sqlite:///{folder / 'sizing.db'}"
        store = Store.open(url)
        store.migrate()
        print_table(f"on disk, {url.partition(':')[0]}", measure_disk(store, arguments.jobs, arguments.trials))
        print_table("a server", measure_server(store, url, arguments.trials, folder))
        store.close()
        print_table("a worker", measure_worker(folder, arguments.processes))


if __name__ == "__main__":
    main()
