"""What was acknowledged while the service was under fire, and whether the database still has it."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from nas.errors import PocketformerError
from nas.store.records import JobState, TrialRecord, TrialState
from nas.store.store import Store

PATIENCE_S = 5.0
"""So long after its lease a job may go without a worker that could take it."""


@dataclass
class Ledger:
    """The acknowledgements that callers got, and the oracle that reads the database beside the service."""

    store: Store
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By id, the document that was submitted."""
    by_key: dict[str, str] = field(default_factory=dict)
    """By idempotency key, the id of the job."""
    files: dict[str, str] = field(default_factory=dict)
    """By name, the SHA-256 of the content."""
    tables: dict[tuple[str, int], str] = field(default_factory=dict)
    """By device and version, when the table says it was made."""
    ended: dict[tuple[str, int], Any] = field(default_factory=dict)
    """By job and number, each trial that was ever seen to have ended, as it was."""
    going: set[str] = field(default_factory=set)
    """Jobs that somebody wanted deleted: there or not, nobody knows."""
    gone: set[str] = field(default_factory=set)
    """Those of them whose deletion was acknowledged."""
    patience_s: float = PATIENCE_S
    lock: threading.Lock = field(default_factory=threading.Lock)

    def job_acknowledged(self, key: str, job: dict[str, Any], document: dict[str, Any]) -> None:
        """Note a job that the service has acknowledged."""
        with self.lock:
            earlier = self.by_key.setdefault(key, job["id"])
            assert earlier == job["id"], f"the key {key} gave {earlier} and later {job['id']}"
            self.jobs[job["id"]] = document

    def to_be_deleted(self, job_id: str) -> None:
        """Note that a job may be gone from now on."""
        with self.lock:
            self.going.add(job_id)

    def deletion_acknowledged(self, job_id: str) -> None:
        """Note that a job is gone: it may not come back."""
        with self.lock:
            self.gone.add(job_id)

    def file_acknowledged(self, name: str, content: bytes) -> None:
        """Note a file that the service has acknowledged."""
        with self.lock:
            self.files[name] = hashlib.sha256(content).hexdigest()

    def table_acknowledged(self, device: str, version: int, created_at: str) -> None:
        """Note a latency table that the service has acknowledged."""
        with self.lock:
            earlier = self.tables.setdefault((device, version), created_at)
            assert earlier == created_at, f"{device} has two tables of version {version}"

    def check(self, last_worker_ready: float) -> None:
        """Raise `AssertionError` for anything that is lost, twice, or left alone.

        `last_worker_ready` is when the youngest worker could first take a job, by `time.monotonic`.
        """
        with self.lock:
            jobs = {job_id: document for job_id, document in self.jobs.items() if job_id not in self.going}
            gone, files, tables = set(self.gone), dict(self.files), dict(self.tables)
        back = gone & {job.id for job in self._all_jobs()}
        assert not back, f"deleted, and there again: {back}"
        for job_id, document in jobs.items():
            try:
                self._check_job(job_id, document, last_worker_ready)
            except (AssertionError, PocketformerError):
                if job_id not in self.going:  # nobody wanted it deleted meanwhile
                    raise
        for name, sha256 in files.items():
            assert self.store.file(name).sha256 == sha256, f"the file {name} has changed"
        for (device, version), created_at in tables.items():
            document = self.store.latency_table(device, version).document or {}
            assert document.get("created_at") == created_at, f"table {version} of {device} is another"

    def _check_job(self, job_id: str, document: dict[str, Any], last_worker_ready: float) -> None:
        job = self.store.job(job_id)
        assert job.document["spec"]["name"] == document["name"], f"{job_id} has another document"
        self._check_trials(job_id, document["budget"]["trials"])
        if job.state.is_final:
            running = self.store.counts(job_id).running
            # Somebody may have had it tried again between the two readings
            assert not running or self.store.job(job_id) != job, f"{job_id} is {job.state} with a running trial"
        elif job.state is JobState.RUNNING:
            self._check_lease(job_id, last_worker_ready)

    def check_at_the_end(self) -> None:
        """Raise `AssertionError` unless everything can be read whole, and each key made one job."""
        counted = Counter(job.name for job in self._all_jobs())
        twice = {name: n for name, n in counted.items() if n > 1}
        assert not twice, f"submitted once and there more often: {twice}"
        for name, sha256 in self.files.items():
            digest = hashlib.sha256()
            for piece in self.store.file_pieces(name):
                digest.update(piece)
            assert digest.hexdigest() == sha256, f"the file {name} can't be read as it was brought"
        for job_id in set(self.jobs) - self.going:
            for trial in self.store.trials(job_id, state=TrialState.COMPLETE):
                assert trial.weights_sha256, f"trial {trial.number} of {job_id} has no weights"
                content = self.store.artifact(trial.weights_sha256)
                assert hashlib.sha256(content).hexdigest() == trial.weights_sha256

    def everything_has_ended(self) -> bool:
        """Return whether no job waits or runs any more."""
        return all(job.state.is_final for job in self._all_jobs())

    def _all_jobs(self) -> list[Any]:
        jobs, cursor = self.store.jobs(limit=1000)
        assert cursor is None
        return jobs

    def _check_trials(self, job_id: str, budget: int) -> None:
        trials = self.store.trials(job_id)
        numbers = [trial.number for trial in trials]
        assert numbers == list(range(len(numbers))), f"{job_id} has the trials {numbers}"
        evaluated = [trial for trial in trials if trial.state is not TrialState.SKIPPED]
        assert len(evaluated) <= budget, f"{job_id} evaluated {len(evaluated)} of {budget}"
        for trial in trials:
            if trial.state.is_final:
                before = self.ended.setdefault((job_id, trial.number), trial)
                assert trial == before, f"trial {trial.number} of {job_id} has changed after its end"
        there = set(numbers)
        lost = [number for (job, number) in self.ended if job == job_id and number not in there]
        assert not lost, f"{job_id} has lost the trials {lost}"
        self._check_events(job_id, trials)

    def _check_events(self, job_id: str, trials: list[TrialRecord]) -> None:
        """Each of these trials is told to have begun once, and to have ended once if it has."""
        told = Counter(
            (event.data["number"], event.data["state"])
            for event in self.store.events_after(job_id, 0, 10_000)
            if event.kind == "trial"
        )
        twice = {what: n for what, n in told.items() if n > 1}
        assert not twice, f"{job_id} has recorded {twice}"
        due = {(trial.number, str(trial.state)) for trial in trials}
        due |= {(trial.number, "running") for trial in trials if trial.state is not TrialState.SKIPPED}
        assert due <= set(told), f"{job_id} has not told of {due - set(told)}"

    def _check_lease(self, job_id: str, last_worker_ready: float) -> None:
        job = self.store.job(job_id)
        if job.state is not JobState.RUNNING or job.lease_expires_at is None:
            return
        late_s = (datetime.now(UTC) - job.lease_expires_at).total_seconds()
        free_s = time.monotonic() - last_worker_ready
        assert min(late_s, free_s) <= self.patience_s or self._others_run(job_id), (
            f"{job_id} is left running {late_s:.1f} s after its lease, {free_s:.1f} s after a worker was ready"
        )

    def _others_run(self, job_id: str) -> bool:
        """Return whether other jobs keep all workers busy."""
        now = datetime.now(UTC)
        others = [job for job in self._all_jobs() if job.state is JobState.RUNNING and job.id != job_id]
        return sum(job.lease_expires_at is not None and job.lease_expires_at > now for job in others) > 1
