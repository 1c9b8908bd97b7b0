"""What goes wrong around the service while people use it: each fault passes, nothing is lost, and nobody has to help.

Unlike under `kill -9` (`tests.crash.under_fire`) the processes live through every fault; the oracle is the same.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from nas.errors import NotFound
from nas.store.records import JobRecord, JobState
from tests.conftest import running_cluster
from tests.crash.under_fire import ADMIN_KEY, LEASE_S, InUse, in_use
from tests.integration.api_examples import job_document
from tests.integration.processes import descendants, until

pytestmark = [pytest.mark.crash, pytest.mark.timeout(900)]

AWAY_S = 30.0
HOUR_S = 3600
FAKETIME = "faketime/libfaketime.so.1"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a disk or change a route")


def client_of(service: InUse) -> httpx.Client:
    """Return a client that never asks twice."""
    url = f"http://127.0.0.1:{service.programs.port}"
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {ADMIN_KEY}"}, timeout=60, trust_env=False)


def in_full_use(service: InUse) -> None:
    """Wait until trials are recorded and a job is under way."""

    def some_are_recorded() -> bool:
        return any(service.store.counts(job.id).complete for job in service.store.jobs(limit=1000)[0])

    until(some_are_recorded, 180)
    until(lambda: running_job(service), 180)


def running_job(service: InUse, of: str | None = None) -> JobRecord | None:
    """Return a job that a worker is at: any, or one of the process `of`."""
    pid = None if of is None else f"-{service.programs.processes[of].pid}-"
    for job in service.store.jobs(limit=1000)[0]:
        if job.state is JobState.RUNNING and (pid is None or pid in (job.lease_owner or "")):
            return job
    return None


def refused_as_a_problem(service: InUse) -> None:
    """Check that a submission is answered by a problem in bounded time, and that the service still lives."""
    with client_of(service) as client:
        started = time.monotonic()
        answer = client.post("/v1/jobs", json=job_document(name=f"not now {uuid.uuid4()}"))
        assert time.monotonic() - started < 25
        assert answer.status_code == 503, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert client.get("/healthz").is_success
        ready = client.get("/readyz")
        assert ready.status_code == 503, ready.text
        assert "database" in ready.text


def goes_on(service: InUse) -> None:
    """Check that the service takes a job again and brings every job to its end, with the processes it had."""
    with client_of(service) as client:
        until(lambda: client.get("/readyz").is_success)
        until(lambda: client.post("/v1/jobs", json=job_document(name=f"as before {uuid.uuid4()}")).status_code == 201)
    service.settle()
    dead = [name for name, process in service.programs.processes.items() if process.poll() is not None]
    assert not dead, f"ended: {dead}"


@pytest.mark.postgres
def test_a_database_that_is_away_for_half_a_minute() -> None:
    with running_cluster() as cluster, in_use(1, cluster.url(cluster.new_database())) as service:
        in_full_use(service)
        cluster.stop()
        refused_as_a_problem(service)
        time.sleep(AWAY_S)
        service.callers.check()
        refused_as_a_problem(service)
        cluster.start()
        goes_on(service)


@pytest.mark.postgres
@needs_root
def test_a_network_that_swallows_what_goes_to_the_database() -> None:
    with running_cluster("127.0.0.1,127.0.0.2") as cluster:
        name = cluster.new_database()
        with in_use(2, cluster.url(name, "127.0.0.2"), cluster.url(name)) as service:
            in_full_use(service)
            with cut_off("127.0.0.2"):
                refused_as_a_problem(service)
                time.sleep(AWAY_S)
                service.callers.check()
            goes_on(service)


@contextmanager
def cut_off(address: str) -> Iterator[None]:
    """Have every packet to an address of this machine vanish, on connections that are open as well."""
    route = ["blackhole", f"{address}/32", "table", "local"]
    subprocess.run(["ip", "route", "add", *route], check=True)
    try:
        yield
    finally:
        subprocess.run(["ip", "route", "del", *route], check=True)


@needs_root
def test_a_disk_that_is_full_for_a_while(tmp_path: Path) -> None:
    # The disk of the database, and of all that the programs write
    with (
        disk(tmp_path / "disk", megabytes=96) as folder,
        in_use(3, f"sqlite:///{folder}/fire.db", folder=folder) as service,
    ):
        in_full_use(service)
        with full(folder):
            until(lambda: submission(service).status_code == 503)
            refused_while_full = submission(service)
            assert refused_while_full.headers["content-type"] == "application/problem+json"
            assert "full" in refused_while_full.json()["detail"]
            time.sleep(AWAY_S / 3)
            service.callers.check()
        goes_on(service)


def submission(service: InUse) -> httpx.Response:
    """Submit a large job, so that it fits on no disk that is nearly full."""
    with client_of(service) as client:
        return client.post("/v1/jobs", json=job_document(name=f"{uuid.uuid4()}" * 5))


@contextmanager
def disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount a small disk."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Fill a disk to the last byte for a while."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1_000_000, 4_096):
            while True:
                try:
                    if file.write(bytes(size)) < size:
                        break
                except OSError:
                    break
    try:
        yield
    finally:
        filler.unlink()


def test_a_worker_that_is_frozen_past_its_lease(tmp_path: Path) -> None:
    path = tmp_path / "fire.db"
    with in_use(4, f"sqlite:///{path}") as service:
        in_full_use(service)
        refused = 0
        while refused < 3:
            until(lambda: running_job(service, of="worker-1"), 120)
            with frozen(service, "worker-1"):
                held = running_job(service, of="worker-1")
                # Frozen in the middle of a write it keeps everybody else from writing: the store's contract has that
                if held is None or not can_be_written(path):
                    continue
                time.sleep(LEASE_S + 1)
                until(lambda job=held: is_out_of_its_hands(service, job), 120)
            until(lambda job=held: refuses_what_comes_late(service, job))
            service.check()
            refused += 1
        goes_on(service)


def can_be_written(path: Path) -> bool:
    """Return whether a SQLite file's write lock comes free within seconds."""
    with closing(sqlite3.connect(path, timeout=5, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        connection.execute("ROLLBACK")
        return True


@contextmanager
def frozen(service: InUse, name: str) -> Iterator[None]:
    """Stop a program and its evaluation processes in mid-air for a while."""
    pid = service.programs.processes[name].pid
    tree = [pid, *descendants(pid)]
    _tell(tree, signal.SIGSTOP)
    try:
        yield
    finally:
        _tell(tree, signal.SIGCONT)


def _tell(processes: list[int], what: signal.Signals) -> None:
    for each in processes:
        with suppress(ProcessLookupError):  # an evaluation process whose job had just ended
            os.kill(each, what)


def is_out_of_its_hands(service: InUse, held: JobRecord) -> bool:
    """Return whether another worker has claimed a job, or a person has ended, paused or deleted it."""
    try:
        now = service.store.job(held.id)
    except NotFound:
        return True
    return now.lease_token > held.lease_token or now.state is not JobState.RUNNING


def refuses_what_comes_late(service: InUse, held: JobRecord) -> bool:
    """Return whether the first worker was told that the job is not its own any more."""
    said = log_of(service, "worker-1")
    return f"job {held.id}: " in said or f"job {held.id} was deleted" in said


def log_of(service: InUse, name: str) -> str:
    """Return what a program has said."""
    return (service.programs.folder / f"{name}.log").read_text(errors="replace")


def clock(folder: Path) -> tuple[dict[str, str], Callable[[int], None]]:
    """Return the environment of programs whose clock can be stepped, and what steps it by seconds from the truth."""
    library = next((path for path in Path("/usr/lib").glob(f"**/{FAKETIME}")), None)
    assert library is not None, f"{FAKETIME} was not found: install Debian's package `faketime`"
    for parent in (folder, folder.parent, folder.parent.parent):
        parent.chmod(0o755)  # PostgreSQL's server has an account of its own
    file = folder / "clock"

    def step(seconds: int) -> None:
        whole = file.with_suffix(".new")
        whole.write_text(f"{seconds:+d}")
        whole.replace(file)

    step(0)
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }, step


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_a_clock_that_is_stepped_by_an_hour(engine: str, tmp_path: Path) -> None:
    """Of the machine that all share, or of the database's server: forwards, and back with a worker dying meanwhile."""
    environment, step = clock(tmp_path)
    with stepped_service(engine, tmp_path, environment) as service:
        in_full_use(service)
        step(HOUR_S)
        time.sleep(3 * LEASE_S)
        service.callers.check()
        until(lambda: running_job(service, of="worker-1") or running_job(service, of="worker-2"), 120)
        victim = "worker-1" if running_job(service, of="worker-1") else "worker-2"
        service.programs.processes[victim].kill()  # its lease ends in an hour, by the clock that comes next
        service.programs.processes[victim].wait()
        step(0)
        service.programs.start(victim)
        time.sleep(3 * LEASE_S)
        service.callers.check()
        goes_on(service)


@contextmanager
def stepped_service(engine: str, folder: Path, environment: dict[str, str]) -> Iterator[InUse]:
    """Run a service on SQLite under that clock, or one on PostgreSQL whose server is."""
    if engine == "sqlite":
        with in_use(5, f"sqlite:///{folder}/fire.db", environment=environment) as service:
            yield service
    else:
        with (
            running_cluster(environment=environment) as cluster,
            in_use(6, cluster.url(cluster.new_database())) as service,
        ):
            yield service
