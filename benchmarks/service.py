"""What one machine holds: the service under steady load, with large jobs, and after a restart.

    python benchmarks/service.py all                         # half an hour on two idle cores
    python benchmarks/service.py submit --rate 10 --submissions 600
    python benchmarks/service.py events --subscribers 200
    python benchmarks/service.py front --trials 100000
    python benchmarks/service.py restart --sizes 10000 100000
    python benchmarks/service.py all --database postgresql+psycopg://user:password@host/an_empty_database

The server is `nas serve` on one core, the load is this process on another one. Whatever is measured is measured here,
at the caller's end of a loopback connection. Trials are recorded through the store, as workers do, and not trained.

`front` and `restart` make jobs of so many trials first, and keep them in --folder for the next time; `front` prints
beside them what optuna-dashboard takes for a study of the same trials, parameters and figures. It is no dependency of
this project: install it into an environment of its own and name its command,

    pip install optuna-dashboard 'optuna>=5,<6'
    python benchmarks/service.py front --optuna-dashboard /that/environment/bin/optuna-dashboard

A database on PostgreSQL has to be the benchmark's own: its jobs stay in it, and take turns with what else is there.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import os
import platform
import secrets
import shutil
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from service_jobs import RecordingWorker, abandon, job_document, large_job, large_study
from service_load import Connection, Event, Follower, Pinned, Server, cache_of
from sqlalchemy import make_url

from nas.jobs.catalogue import submit
from nas.latency.device import this_machine
from nas.store.records import JobRecord
from nas.store.store import Store

PACKAGES = ("pocketformer", "fastapi", "uvicorn", "sqlalchemy", "optuna")
QUIET_S = 3.0
"""Followers to whom nothing has come for so long have heard what there was."""
PATIENCE_S = 120.0
CUT_SHARE = 4
"""One subscriber of so many is cut off in the middle, and comes back."""
AWAY_S = 2.0
TRAINING_S = 0.25
"""Between the records of a trial's beginning and of its end."""

console = Console(width=140)


@dataclass(frozen=True)
class Row:
    """One figure, and what was asked for."""

    what: str
    figure: str
    asked: str = ""
    met: bool | None = None
    """None where nothing was asked for."""


def at_most(what: str, value: float, limit: float | None, unit: str) -> Row:
    """Return the row of a figure that is not to exceed a limit, if there is one."""
    digits = 0 if unit == "bytes" else 2 if unit == "s" else 1
    asked, met = ("", None) if limit is None else (f"≤ {limit:g} {unit}", value <= limit)
    return Row(what, f"{value:,.{digits}f} {unit}", asked, met)


@dataclass(frozen=True)
class Place:
    """Where the services of a run keep their databases, and on which cores who runs."""

    url: str | None
    """A database on PostgreSQL; None for SQLite files in the folder."""
    folder: Path
    server_core: int
    key: str | None

    def database(self, name: str) -> str:
        """Return the address of a database; on PostgreSQL it is one for everything."""
        return self.url or f"sqlite:///{self.folder}/{name}.db"

    @contextmanager
    def store(self, name: str) -> Iterator[Store]:
        """Open the database from this side."""
        store = Store.open(self.database(name))
        store.migrate()
        try:
            yield store
        finally:
            store.close()

    def server(self, name: str) -> Server:
        """Return a server of that database, to be entered."""
        return Server(self.database(name), self.server_core, self.folder, self.key)


# Submissions ---------------------------------------------------------------------------------------------------


def measure_submissions(place: Place, arguments: argparse.Namespace) -> list[Row]:
    """Submit different jobs at a steady rate over some connections.

    Each is timed from the moment that it was due: what waits for a connection to come free waits for the service.
    """
    count, rate, connections = arguments.submissions, arguments.rate, arguments.connections
    with fresh(place, "submit") as name, place.server(name) as server:
        with server.connect() as warm:
            for number in range(connections):
                warm.post("/v1/jobs", job_document(f"warm {number}")).expect(201)
        durations_ms = [0.0] * count
        numbers, lock, begin = iter(range(count)), threading.Lock(), time.perf_counter() + 0.5
        failures: list[str] = []

        def work() -> None:
            with server.connect() as connection:
                while True:
                    with lock:
                        number = next(numbers, None)
                    if number is None or failures:
                        return
                    due = begin + number / rate
                    time.sleep(max(0.0, due - time.perf_counter()))
                    answer = connection.post("/v1/jobs", job_document(f"job {number}", seed=number + 1))
                    durations_ms[number] = (time.perf_counter() - due) * 1000
                    if answer.status != 201:
                        failures.append(f"{answer.status}: {answer.body[:300].decode(errors='replace')}")

        threads = [threading.Thread(target=work) for _ in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise SystemExit(f"a submission was not taken: {failures[0]}")
        with server.connect() as connection:
            check_submitted(connection, count + connections)
    middle, p95, p99, worst = np.percentile(durations_ms, [50, 95, 99, 100])
    load = f"{count} submissions, {rate:g} a second, {connections} connections"
    return [
        at_most(f"{load}: median", middle, None, "ms"),
        at_most("p95", p95, None, "ms"),
        at_most("p99", p99, arguments.asked_submission_ms, "ms"),
        at_most("slowest", worst, None, "ms"),
    ]


def check_submitted(connection: Connection, count: int) -> None:
    """Make sure that every job that was acknowledged is there once."""
    ids: set[str] = set()
    cursor = ""
    while True:
        page = connection.get(f"/v1/jobs?limit=200{cursor}").expect(200).json()
        ids |= {job["id"] for job in page["jobs"] if job["name"].startswith(("job ", "warm "))}
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    if len(ids) < count:
        raise SystemExit(f"{count} jobs were acknowledged, {len(ids)} are there")


# Events --------------------------------------------------------------------------------------------------------


@dataclass
class Recorded:
    """What was recorded while the subscribers listened."""

    committed_at: dict[int, float]
    """By the number of the event: when its transaction had returned."""
    subject: dict[int, int]
    """By the number of the event: the trial that it is about."""


def measure_events(place: Place, arguments: argparse.Namespace) -> list[Row]:
    """Record trials of a job that many follow; cut some of them off in the middle, and have them come back."""
    with fresh(place, "events") as name, place.store(name) as store:
        job, _ = submit(store, job_document("followed", trials=arguments.recorded + 1), None)
        worker = RecordingWorker(store, job, arguments.recorded)
        with place.server(name) as server:
            recorded, heard, again = asyncio.run(follow(server, store, worker, arguments))
    delays_ms = [delay for events in heard for delay in delays_of(recorded, events)]
    for number, events in enumerate(heard + [first + second for first, second in again]):
        check_heard(number, recorded, events)
    replayed = [len(second) for _, second in again]
    p50, p95, p99, worst = np.percentile(delays_ms, [50, 95, 99, 100])
    load = (
        f"{arguments.subscribers} subscribers, {len(recorded.committed_at)} events, {arguments.trial_rate:g} trials/s"
    )
    return [
        at_most(f"{load}: record to event, median", p50, None, "ms"),
        at_most("p95", p95, arguments.asked_event_ms, "ms"),
        at_most("p99", p99, None, "ms"),
        at_most("slowest", worst, None, "ms"),
        Row(
            f"{len(again)} cut off, {AWAY_S:g} s later back with Last-Event-ID, {_median(replayed):.0f} events each",
            "every event once, in order",
            "no gap",
            True,  # or `check_heard` had ended the benchmark
        ),
    ]


async def follow(
    server: Server, store: Store, worker: RecordingWorker, arguments: argparse.Namespace
) -> tuple[Recorded, list[list[Event]], list[tuple[list[Event], list[Event]]]]:
    """Return what was recorded, what those heard who stayed, and before and after what those heard who were cut off."""
    path = f"/v1/jobs/{worker.job.id}/events"
    followers = [await new_follower(server, path, None) for _ in range(arguments.subscribers)]
    until = time.perf_counter() + PATIENCE_S
    while not all(follower.last_heard_at for follower in followers):
        check_open(followers)
        if time.perf_counter() > until:
            raise SystemExit(f"some of {len(followers)} subscribers have heard nothing within {PATIENCE_S:g} s")
        await asyncio.sleep(0.1)
    await asyncio.sleep(QUIET_S / 2)

    recorded = Recorded({}, {})
    recording = asyncio.create_task(
        asyncio.to_thread(record, store, worker, recorded, arguments.recorded, arguments.trial_rate)
    )
    cut = followers[::CUT_SHARE]
    stayed = [follower for follower in followers if follower not in cut]
    await asyncio.sleep(arguments.recorded / arguments.trial_rate / 2)
    for follower in cut:
        follower.transport.abort()
    await asyncio.sleep(AWAY_S)
    before = [follower.events() for follower in cut]
    back = [await new_follower(server, path, events[-1].sequence) for events in before]
    await recording
    listening = stayed + back
    until = time.perf_counter() + PATIENCE_S
    while time.perf_counter() - max(follower.last_heard_at for follower in listening) < QUIET_S:
        check_open(listening)
        if time.perf_counter() > until:
            raise SystemExit(f"the subscribers were still being told {PATIENCE_S:g} s after the last record")
        await asyncio.sleep(0.1)
    for follower in listening:
        follower.transport.abort()
    heard = [follower.events() for follower in stayed]
    return recorded, heard, [(one, follower.events()) for one, follower in zip(before, back, strict=True)]


async def new_follower(server: Server, path: str, after: int | None) -> Follower:
    """Return somebody new who follows from the event after `after`, or from the first."""
    head = f"Host: {server.address[0]}:{server.address[1]}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in server.headers.items())
    loop = asyncio.get_running_loop()
    _, follower = await loop.create_connection(lambda: Follower(path, head, after), *server.address)
    return follower


def check_open(followers: Sequence[Follower]) -> None:
    """End the benchmark where the service has let a subscriber go."""
    lost = sum(follower.lost for follower in followers)
    if lost:
        raise SystemExit(f"the service closed the connections of {lost} subscribers")


def record(store: Store, worker: RecordingWorker, recorded: Recorded, count: int, rate: float) -> None:
    """Record so many trials at a steady rate, each begun and, a little later, ended."""

    def note(number: int) -> None:
        committed_at = time.perf_counter()
        sequence = store.last_sequence(worker.job.id)  # nobody else writes for this job
        recorded.committed_at[sequence], recorded.subject[sequence] = committed_at, number

    begin = time.perf_counter()
    for index in range(count):
        time.sleep(max(0.0, begin + index / rate - time.perf_counter()))
        number, candidate = worker.start()
        note(number)
        time.sleep(max(0.0, begin + index / rate + TRAINING_S - time.perf_counter()))
        worker.complete(number, candidate)
        note(number)


def delays_of(recorded: Recorded, events: Sequence[Event]) -> Iterator[float]:
    """Yield for each record the milliseconds until a subscriber held an event about that trial no older than it."""
    for sequence, committed_at in recorded.committed_at.items():
        told = next(e for e in events if e.sequence >= sequence and _subject(recorded, e) == recorded.subject[sequence])
        yield (told.received_at - committed_at) * 1000


def check_heard(number: int, recorded: Recorded, events: Sequence[Event]) -> None:
    """Make sure that a subscriber heard everything once and in order.

    Of several events about one trial that are told at once the service sends the newest, which says it all.
    """
    told = [event.sequence for event in events]
    if any(later <= earlier for earlier, later in pairwise(told)):
        raise SystemExit(f"subscriber {number} heard an event twice, or out of order: {told}")
    last_told = {_subject(recorded, event): event.sequence for event in events}
    for sequence, subject in recorded.subject.items():
        if sequence not in told and last_told.get(subject, 0) < sequence:
            raise SystemExit(f"subscriber {number} has not heard event {sequence} about trial {subject}")


def _subject(recorded: Recorded, event: Event) -> int | None:
    return recorded.subject.get(event.sequence)


# Large jobs ----------------------------------------------------------------------------------------------------


def measure_front(place: Place, arguments: argparse.Namespace) -> list[Row]:
    """Look at a large job as the page does, first on a server that has just started, then again and again."""
    name = f"large-{arguments.trials}"
    page_s, front_s, rows = [], [], []
    with place.store(name) as store:
        job = made(store, arguments.trials)
        path = f"/v1/jobs/{job.id}"
        abandon(store, job)  # by this benchmark, when it was interrupted
        worker = RecordingWorker(store, job, arguments.repeats)
        for _ in range(arguments.repeats):
            with place.server(name) as server, server.connect() as connection:
                front = connection.get(f"{path}/front").expect(200)
                front_s.append(front.duration_s)
            with place.server(name) as server, server.connect() as connection:
                answers = [connection.get(each).expect(200) for each in (f"/jobs/{job.id}", path, f"{path}/front")]
                page_s.append(sum(answer.duration_s for answer in answers))
                trials = connection.get(f"{path}/trials?limit=500").expect(200)
                front = answers[-1]
                polls = [
                    connection.get(f"{path}/front", If_None_Match=front.headers["etag"]).expect(304)
                    for _ in range(arguments.polls)
                ]
                others = connection.get(f"{path}/front?objectives=error_rate,parameters").expect(200)
                worker.complete(*worker.start())
                news = connection.get(f"{path}/front", If_None_Match=front.headers["etag"]).expect(200)
        abandon(store, job)
    polls_ms = [answer.duration_s * 1000 for answer in polls]
    members = len(front.json()["members"])
    asked = arguments.asked_front_s
    rows = [
        at_most(f"first front, {arguments.trials:,} trials ({members} members), median", _median(front_s), asked, "s"),
        at_most(f"slowest of {len(front_s)}", max(front_s), asked, "s"),
        at_most("what the page asks for first: itself, the job, the front; median", _median(page_s), asked, "s"),
        at_most("bytes of the front", front.wire_bytes, None, "bytes"),
        at_most("then the first 500 trials", trials.duration_s, None, "s"),
        at_most("poll without news, median", _median(polls_ms), None, "ms"),
        at_most("poll without news, p99", float(np.percentile(polls_ms, 99)), arguments.asked_poll_ms, "ms"),
        at_most("poll without news, bytes", polls[-1].wire_bytes, arguments.asked_poll_bytes, "bytes"),
        at_most("front under other objectives", others.duration_s, None, "s"),
        at_most("front after one more trial", news.duration_s, None, "s"),
    ]
    for count in arguments.dashboard_trials:
        rows += measure_optuna_dashboard(place, count, arguments)
    return rows


def measure_optuna_dashboard(place: Place, count: int, arguments: argparse.Namespace) -> list[Row]:
    """Ask optuna-dashboard what its page asks first, and then every few seconds, about a study of the same trials."""
    command = shutil.which(arguments.optuna_dashboard)
    title = f"optuna-dashboard, {count:,} trials"
    if command is None:
        return [Row(title, "not installed: see --help")]
    with place.store(f"large-{count}") as store:
        url = f"sqlite:///{place.folder}/study-{count}.db"
        with console.status(f"making a study of {count:,} trials"):
            study = large_study(url, store, made(store, count))
    port = free_port()
    log, patience_s = place.folder / "optuna-dashboard.log", arguments.patience
    run = [command, url, "--host", "127.0.0.1", "--port", str(port), "--quiet"]
    with Pinned(run, place.server_core, log) as dashboard:
        try:
            ready_s = answering(dashboard, port, patience_s)
            path = f"/api/studies/{study}?after="
            with Connection(("127.0.0.1", port), {}, patience_s) as connection:
                first = connection.get(f"{path}0").expect(200)
            with Connection(("127.0.0.1", port), {}, patience_s) as connection:
                poll = connection.get(f"{path}{count}").expect(200)
        except TimeoutError:
            dashboard.kill()
            return [Row(f"{title}: first view", f"no answer within {patience_s:g} s")]
    return [
        at_most(f"{title}: start to answering", ready_s, None, "s"),
        at_most("its first view", first.duration_s, None, "s"),
        at_most("its first view, bytes", first.wire_bytes, None, "bytes"),
        at_most("its poll without news", poll.duration_s * 1000, None, "ms"),
        at_most("its poll without news, bytes", poll.wire_bytes, None, "bytes"),
    ]


def answering(process: Pinned, port: int, patience_s: float) -> float:
    """Return the seconds after its start at which a server takes connections."""
    while process.since_start_s() < patience_s:
        if process.process.poll() is not None:
            raise process.failed("optuna-dashboard did not start")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return process.since_start_s()
        except ConnectionRefusedError:
            time.sleep(0.02)
    raise TimeoutError


def free_port() -> int:
    """Return a port of this machine that nobody listened on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def made(store: Store, count: int) -> JobRecord:
    """Return the job of so many trials, with a word while it is made."""
    with console.status(f"making a job of {count:,} trials"):
        return large_job(store, count)


# Restart -------------------------------------------------------------------------------------------------------


def measure_restart(place: Place, arguments: argparse.Namespace) -> list[Row]:
    """Start the service, and then a worker, on databases with a large running job; each is killed at the end.

    What a service keeps for its next start is gone before the first one, which is no restart and stands alone.
    """
    shutil.rmtree(cache_of(place.folder), ignore_errors=True)
    rows: list[Row] = []
    for count in arguments.sizes:
        name = f"large-{count}"
        ready_s, accepted_s, proposed_s = [], [], []
        with place.store(name) as store:
            job = made(store, count)
            if not rows:
                _, first_s = start_s(place, name, 0)
                rows.append(at_most("first start on this machine to the first job accepted", first_s, None, "s"))
            for number in range(arguments.repeats):
                times_s = start_s(place, name, number)
                ready_s.append(times_s[0])
                accepted_s.append(times_s[1])
                if number < arguments.worker_repeats:
                    proposed_s.append(worker_start_s(place, store, job, name, arguments.patience))
        asked = arguments.asked_restart_s if count <= 10_000 else arguments.asked_large_restart_s
        rows += [
            at_most(f"{count:,} trials: start of nas serve to its address, median", _median(ready_s), None, "s"),
            at_most("start to the first job accepted, median", _median(accepted_s), asked, "s"),
            at_most(f"slowest of {len(accepted_s)}", max(accepted_s), asked, "s"),
        ]
        if proposed_s:
            rows.append(at_most("start of nas worker to its first proposal, median", _median(proposed_s), None, "s"))
    return rows


def start_s(place: Place, name: str, number: int) -> tuple[float, float]:
    """Return the seconds from starting the service to its address, and to a job that it has accepted."""
    with place.server(name) as server:
        ready_s = server.since_start_s()
        with server.connect() as connection:
            document = job_document(f"after restart {number}", seed=number)
            connection.post("/v1/jobs", document).expect(201)
        accepted_s = server.since_start_s()
        server.kill()
    return ready_s, accepted_s


def worker_start_s(place: Place, store: Store, job: JobRecord, name: str, patience_s: float) -> float:
    """Return the seconds from starting a worker to the first trial that it records."""
    abandon(store, job)
    before = store.last_sequence(job.id)
    command = [shutil.which("nas") or "nas", "worker", "--processes", "1", "--database", place.database(name)]
    log = place.folder / "worker.log"
    kept = {"XDG_CACHE_HOME": str(cache_of(place.folder))}
    with Pinned(command, place.server_core, log, kept) as worker:
        while not any(event.kind == "trial" for event in store.events_after(job.id, before)):
            if worker.process.poll() is not None or worker.since_start_s() > patience_s:
                raise worker.failed(f"the worker has proposed nothing within {patience_s:g} s")
            time.sleep(0.02)
        taken_s = worker.since_start_s()
        worker.kill()
    return taken_s


# Printing ------------------------------------------------------------------------------------------------------


def _median(values: Sequence[float]) -> float:
    return float(statistics.median(values))


@contextmanager
def fresh(place: Place, name: str) -> Iterator[str]:
    """Give the name of a database that has nothing in it, where it is a file."""
    for file in place.folder.glob(f"{name}.db*"):
        file.unlink()
    yield name


MEASUREMENTS: dict[str, tuple[str, Callable[[Place, argparse.Namespace], list[Row]]]] = {
    "submit": ("Submissions", measure_submissions),
    "events": ("Events", measure_events),
    "front": ("A large job", measure_front),
    "restart": ("Restart", measure_restart),
}


def print_rows(title: str, rows: Sequence[Row]) -> None:
    """Print one measurement's table."""
    table = Table(title=title, title_justify="left")
    table.add_column("what")
    table.add_column("figure", justify="right")
    table.add_column("asked", justify="right")
    table.add_column("")
    for row in rows:
        verdict = "" if row.met is None else "[green]met[/]" if row.met else "[bold red]missed[/]"
        table.add_row(row.what, row.figure, row.asked, verdict)
    console.print(table)


def print_circumstances(place: Place, load_core: int) -> None:
    """Say where this was measured."""
    machine = this_machine()
    versions = ", ".join(f"{package} {importlib.metadata.version(package)}" for package in PACKAGES)
    kind = make_url(place.database("x")).get_backend_name()
    console.print(
        f"{machine.hardware}, {os.cpu_count()} cores, {machine.system}; "
        f"Python {platform.python_version()}, {versions}; {kind}; "
        f"server on core {place.server_core}, load on core {load_core}; "
        f"load average {', '.join(f'{one:.2f}' for one in os.getloadavg())}"
    )


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        epilog=(__doc__ or "").split("\n", 2)[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=[*MEASUREMENTS, "all"])
    parser.add_argument("--database", default="sqlite", help="`sqlite`, or the address of a database on PostgreSQL")
    parser.add_argument("--folder", type=Path, help="for files of SQLite and logs; without it a temporary one")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--load-core", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5, help="how often the server is started anew")
    group = parser.add_argument_group("submit")
    group.add_argument("--submissions", type=int, default=600)
    group.add_argument("--rate", type=float, default=10.0, help="submissions a second")
    group.add_argument("--connections", type=int, default=4)
    group.add_argument("--asked-submission-ms", type=float, default=50.0)
    group = parser.add_argument_group("events")
    group.add_argument("--subscribers", type=int, default=200)
    group.add_argument("--recorded", type=int, default=120, help="trials, of two events each")
    group.add_argument("--trial-rate", type=float, default=2.0, help="trials recorded a second")
    group.add_argument("--asked-event-ms", type=float, default=250.0)
    group = parser.add_argument_group("front")
    group.add_argument("--trials", type=int, default=100_000)
    group.add_argument("--polls", type=int, default=300)
    group.add_argument("--asked-front-s", type=float, default=1.0)
    group.add_argument("--asked-poll-ms", type=float, default=20.0)
    group.add_argument("--asked-poll-bytes", type=float, default=2_000)
    group.add_argument("--optuna-dashboard", default="optuna-dashboard", metavar="COMMAND")
    group.add_argument("--dashboard-trials", type=int, nargs="*", default=[10_000, 100_000])
    group.add_argument("--patience", type=float, default=600.0, help="seconds that others may take for one answer")
    group = parser.add_argument_group("restart")
    group.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000])
    group.add_argument("--worker-repeats", type=int, default=1, help="of these, how often with a worker")
    group.add_argument("--asked-restart-s", type=float, default=2.0, help="up to 10,000 trials")
    group.add_argument("--asked-large-restart-s", type=float, default=10.0)
    return parser.parse_args()


def main() -> None:
    """Run what was asked for."""
    arguments = parsed()
    os.sched_setaffinity(0, {arguments.load_core})
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        url = None if arguments.database == "sqlite" else arguments.database
        place = Place(url, folder, arguments.server_core, None if url is None else secrets.token_hex(32))
        print_circumstances(place, arguments.load_core)
        for name in MEASUREMENTS if arguments.what == "all" else (arguments.what,):
            title, measure = MEASUREMENTS[name]
            print_rows(title, measure(place, arguments))


if __name__ == "__main__":
    main()
