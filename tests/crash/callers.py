"""People who go on asking while the service dies and comes back: each repeats a request until it is answered."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from nas.client import Client, ServerFailed, ServerUnreachable
from nas.errors import Conflict, NotFound, StoreUnavailable
from tests.browser.recorded_jobs import DEVICE, device_and_table
from tests.crash.ledger import Ledger
from tests.integration.api_examples import job_document

Answer = TypeVar("Answer")
CALLERS = 3
MOST_OPEN = 6
"""Jobs that have not ended, above which nobody submits another: the service is to be kept busy, not buried."""


class Callers:
    """Several threads that submit, control, upload, and note what was acknowledged."""

    def __init__(self, url: str, api_key: str, ledger: Ledger, seed: int) -> None:
        self._url, self._api_key, self._ledger = url, api_key, ledger
        device, table = device_and_table()
        self._device, self._table = device.model_dump(mode="json"), table.to_dict()
        self._enough, self._gone = threading.Event(), threading.Event()
        self._failures: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._live, args=(number, random.Random(f"{seed}-{number}")), daemon=True)
            for number in range(CALLERS)
        ]

    def start(self) -> None:
        """Begin to ask."""
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Ask for nothing new, wait for what is asked, and have every paused job go on. Raises what a caller met."""
        self._enough.set()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive(), "a caller got no answer"
        self.check()
        with Client(self._url, api_key=self._api_key) as client:
            for job_id in self._ledger.jobs:
                self._insist(lambda job_id=job_id: client.resume_job(job_id), may_refuse=True)

    def check(self) -> None:
        """Raise what a caller met."""
        if self._failures:
            raise AssertionError(f"a caller met {self._failures[0]!r}") from self._failures[0]

    def stop(self) -> None:
        """Go away, whatever was asked."""
        self._enough.set()
        self._gone.set()

    def _live(self, number: int, rng: random.Random) -> None:
        try:
            with Client(self._url, api_key=self._api_key, timeout_s=20) as client:
                turn = 0
                while not self._enough.wait(rng.uniform(0, 0.5)):
                    turn += 1
                    self._ask(client, f"{number}-{turn}", rng)
        except BaseException as error:  # told by `finish`
            self._failures.append(error)

    def _ask(self, client: Client, name: str, rng: random.Random) -> None:
        what = rng.choices(("job", "control", "file", "table"), (0.5, 0.2, 0.2, 0.1))[0]
        if what == "job":
            self._submit(client, name, rng)
        elif what == "control":
            self._control(client, rng)
        elif what == "file":
            content = f"{name}: a line of text\n".encode() * rng.randint(1, 60_000)
            if self._insist(lambda: client.add_file(f"{name}.txt", [content], len(content))):
                self._ledger.file_acknowledged(f"{name}.txt", content)
        else:
            self._bring_table(client, rng)

    def _submit(self, client: Client, name: str, rng: random.Random) -> None:
        open_jobs = self._insist(self._ledger.store.job_counts)
        if open_jobs is None or sum(n for state, n in open_jobs.items() if not state.is_final) >= MOST_OPEN:
            return
        document = job_document(
            name=f"job {name}", budget={"trials": rng.randint(1, 4)}, seed=rng.randint(0, 99), constraints=[]
        )
        job = self._insist(lambda: client.submit_job(document, f"key {name}"))
        if job:
            self._ledger.job_acknowledged(f"key {name}", job, document)

    def _control(self, client: Client, rng: random.Random) -> None:
        with self._ledger.lock:
            known = sorted(self._ledger.jobs)
        if not known:
            return
        job_id = rng.choice(known[-8:])
        asks = (client.pause_job, client.resume_job, client.resume_job, client.cancel_job, client.retry_job)
        ask = rng.choice((*asks, self._prioritise(client, rng), self._delete(client)))
        self._insist(lambda: ask(job_id), may_refuse=True)

    @staticmethod
    def _prioritise(client: Client, rng: random.Random) -> Callable[[str], object]:
        return lambda job_id: client.set_priority(job_id, rng.randint(-3, 3))

    def _delete(self, client: Client) -> Callable[[str], object]:
        def delete(job_id: str) -> None:
            self._ledger.to_be_deleted(job_id)
            client.delete_job(job_id)
            self._ledger.deletion_acknowledged(job_id)

        return delete

    def _bring_table(self, client: Client, rng: random.Random) -> None:
        created_at = (
            (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=rng.randint(0, 10**7)))
            .isoformat()
            .replace("+00:00", "Z")
        )
        table = self._table | {"created_at": created_at}
        if self._insist(lambda: client.add_device(self._device)):
            added = self._insist(lambda: client.add_latency_table(DEVICE, table))
            if added:
                self._ledger.table_acknowledged(DEVICE, added["version"], created_at)

    def _insist(self, ask: Callable[[], Answer], *, may_refuse: bool = False) -> Answer | None:
        """Repeat a request until it is answered; None where nobody waits any more, or where it may be refused and is.

        An answer that the service should not give ends the caller, and so the round.
        """
        while not self._gone.is_set():
            try:
                return ask()
            except (Conflict, NotFound):
                if not may_refuse:
                    raise
                return None
            except (ServerUnreachable, StoreUnavailable):
                self._gone.wait(0.05)
            except ServerFailed as error:
                if error.status not in (None, 503):
                    raise
                self._gone.wait(0.05)
        return None
