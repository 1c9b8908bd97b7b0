"""A whole service under `kill -9`: one api, two workers, their evaluation processes, and people who go on asking.

    python -m tests.crash.under_fire --kills 1000                # half over SQLite, half over PostgreSQL
    python -m tests.crash.under_fire --replay 17 --database sqlite

A round has a seed and a database of its own. Its seed decides who is killed, when, and what the callers ask for; the
moment in which a kill meets a process is the machine's. After each kill what died is started again and the oracle of
`tests.crash.ledger` reads the database; at the end the service is left alone until every job has ended, and all is
read once more. A round that fails tells its seed.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from nas.errors import PocketformerError
from nas.jobs.worker import Worker
from nas.store.store import Store
from tests.conftest import running_cluster
from tests.crash.callers import Callers
from tests.crash.ledger import Ledger
from tests.integration.processes import descendants, free_port, running, until

ROOT = Path(__file__).parents[2]
LEASE_S = 2.0
WORKERS = ("worker-1", "worker-2")
KINDS = {"api", "worker", "evaluation"}
VICTIMS = ("api", *WORKERS, "evaluation")
WEIGHTS = (0.15, 0.05, 0.05, 0.75)  # an api needs seconds to start, a worker more before it has evaluation processes
LONGEST_REST_S = 2.0
"""A kill follows the one before after a random time of at most so long."""
KILLS_A_ROUND = 40
DRAIN_S = 180.0
ORPHANS_S = 20.0
"""So long what a killed worker leaves may take to notice, on a machine whose cores are all busy."""
ADMIN_KEY = "under-fire-" * 4


def work(url: str, ready: str) -> None:
    """Run a worker whose lease is short; the process's whole life. It writes when it could first take a job."""
    worker = Worker(Store.open(url), processes=1, lease_s=LEASE_S)
    part = Path(f"{ready}.part")
    part.write_text(str(time.monotonic()))  # one clock for all processes of a machine
    part.replace(ready)
    worker.run(threading.Event(), poll_s=0.1)


@dataclass
class Programs:
    """The processes of one service; what is killed is started again."""

    url: str
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str) -> None:
        """Start a program."""
        if name == "api":
            words = ["-m", "nas.cli", "serve", "--port", str(self.port), "--database", self.url]
        else:
            self._ready(name).unlink(missing_ok=True)
            words = ["-c", f"from tests.crash.under_fire import work; work({self.url!r}, {str(self._ready(name))!r})"]
        given = {"OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(self.folder), "POCKETFORMER_ADMIN_KEY": ADMIN_KEY}
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *words], env=os.environ | given | self.environment, cwd=ROOT, stdout=log, stderr=log
            )

    def ready_at(self, worker: str) -> float:
        """Return when a worker could first take a job, by `time.monotonic`; infinity as long as it could not.

        Importing torch takes seconds, many on a machine whose cores are all busy. One that never comes so far is
        noticed where everything has to end.
        """
        try:
            return float(self._ready(worker).read_text())
        except FileNotFoundError:
            return math.inf

    def _ready(self, worker: str) -> Path:
        return self.folder / f"{worker}.ready"

    def kill(self, name: str, rng: random.Random) -> bool:
        """Kill a program, or an evaluation process of a worker; return whether there was one."""
        if name == "evaluation":
            found = [pid for worker in WORKERS for pid in descendants(self.processes[worker].pid)]
            if not found:
                return False
            with suppress(ProcessLookupError):  # it ended just now
                os.kill(rng.choice(sorted(found)), signal.SIGKILL)
            return True
        process = self.processes[name]
        orphans = descendants(process.pid)
        process.kill()
        process.wait()
        self.start(name)
        until(lambda: not running(orphans), ORPHANS_S)
        return True

    def stop(self) -> None:
        """Stop everything."""
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()


@dataclass
class InUse:
    """A service with its callers, and what was acknowledged to them."""

    programs: Programs
    callers: Callers
    ledger: Ledger
    store: Store
    """One's own look into the database, which nothing is done to."""

    def check(self) -> None:
        """Raise `AssertionError` or `PocketformerError` for what was lost, twice or left alone by now."""
        self.ledger.check(last_worker_ready=max(self.programs.ready_at(name) for name in WORKERS))

    def settle(self) -> None:
        """Let the callers finish and every job end; check everything then."""
        self.callers.finish()
        until(self.ledger.everything_has_ended, DRAIN_S)
        self.check()
        self.ledger.check_at_the_end()


@contextmanager
def in_use(
    seed: int,
    url: str,
    own_url: str | None = None,
    folder: Path | None = None,
    environment: dict[str, str] | None = None,
) -> Iterator[InUse]:
    """Run a service over an empty database, with callers, until the caller is done with it.

    `own_url` is the way to the database for whoever looks on, `folder` is where the programs keep their files.
    """
    with tempfile.TemporaryDirectory(prefix="pocketformer-fire-") as temporary:
        programs = Programs(url, folder or Path(temporary), environment or {})
        store = Store.open(own_url or url)
        store.migrate()
        ledger = Ledger(store)
        for name in ("api", *WORKERS):
            programs.start(name)
        callers = Callers(f"http://127.0.0.1:{programs.port}", ADMIN_KEY, ledger, seed)
        callers.start()
        try:
            yield InUse(programs, callers, ledger, store)
        finally:
            callers.stop()
            programs.stop()
            store.close()


def run_round(seed: int, url: str, kills: int = KILLS_A_ROUND) -> Counter[str]:
    """Run one round; return how often which kind of process was killed.

    Raises `AssertionError` or `PocketformerError` for what was lost, twice or left alone.
    """
    rng = random.Random(seed)
    killed: Counter[str] = Counter()
    with in_use(seed, url) as service:
        while killed.total() < kills or set(killed) != KINDS:
            time.sleep(rng.uniform(0, LONGEST_REST_S))
            service.callers.check()
            (victim,) = rng.choices(VICTIMS, WEIGHTS)
            if service.programs.kill(victim, rng):
                killed[victim.split("-")[0]] += 1
                service.check()
        service.settle()
    return killed


def main() -> int:
    """Run rounds until there were as many kills as asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the first round; each next one has the next")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--replay", type=int, metavar="SEED", help="run the one round of this seed")
    given = parser.parse_args()
    engines = ["sqlite", "postgresql"] if given.database == "both" else [given.database]
    total: Counter[str] = Counter()
    seed = given.seed if given.replay is None else given.replay
    failed = []
    while total.total() < (given.kills if given.replay is None else 1):
        engine = engines[seed % len(engines)]
        began = time.monotonic()
        with database(engine) as url:
            try:
                killed = run_round(seed, url)
            except (AssertionError, PocketformerError) as error:
                failed.append(seed)
                print(
                    f"round {seed} over {engine} FAILED: {error}\n  again: --replay {seed} --database {engine}",
                    flush=True,
                )
                killed = Counter(failed=KILLS_A_ROUND)
        total += killed
        counts = ", ".join(f"{n} × {kind}" for kind, n in sorted(killed.items()))
        print(
            f"round {seed} over {engine}: {counts} in {time.monotonic() - began:.0f} s; {total.total()} kills",
            flush=True,
        )
        seed += 1
    print(f"{total.total()} kills: {dict(total)}; {len(failed)} rounds failed{f': seeds {failed}' if failed else ''}")
    return 1 if failed else 0


@contextmanager
def database(engine: str) -> Iterator[str]:
    """Give an empty database for one round."""
    if engine == "sqlite":
        with tempfile.TemporaryDirectory(prefix="pocketformer-fire-db-") as folder:
            yield f"sqlite:///{folder}/fire.db"
        return
    with running_cluster() as cluster:
        yield cluster.url(cluster.new_database())


if __name__ == "__main__":
    sys.exit(main())
