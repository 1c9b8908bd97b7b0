"""`nas backup`: taken while others write, and restored."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest

from nas.store.records import JobState
from nas.store.store import Store
from tests.conftest import program
from tests.integration.cli_runner import nas


def restored(store_url: str, backup: Path, request: pytest.FixtureRequest) -> str:
    """Return the address of a database that the backup was restored into, as `nas backup --help` says."""
    if store_url.startswith("sqlite"):
        return f"sqlite:///{backup}"
    url = str(request.getfixturevalue("postgres_url"))
    address = url.replace("postgresql+psycopg", "postgresql")
    subprocess.run([program("pg_restore"), "--no-owner", "--dbname", address, backup], check=True, timeout=60)
    return url


def test_a_backup_is_of_one_moment_and_everything_is_in_it(
    store: Store, store_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store.add_file("a.txt", [b"a line of text\n" * 100_000])
    first, _ = store.add_job("first", {"spec": {"name": "first"}})
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            job, _ = store.add_job("while it is copied", {"n": 1})
            store.request_cancel(job.id)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        run = nas("backup", tmp_path / "backup", "--database", store_url)
    finally:
        stop.set()
        writer.join()
    assert run.code == 0, run.err
    assert (tmp_path / "backup").stat().st_mode & 0o077 == 0  # nobody else's to read
    copy = Store.open(restored(store_url, tmp_path / "backup", request))
    assert copy.is_migrated()
    assert copy.job(first.id) == store.job(first.id)
    assert b"".join(copy.file_pieces("a.txt")) == b"a line of text\n" * 100_000
    jobs, _ = copy.jobs(limit=10_000)
    for job in jobs:  # each with the events that belong to its state: no half of a transaction
        states = [event.data["state"] for event in copy.events_after(job.id, 0)]
        assert states == (["queued", "cancelled"] if job.state is JobState.CANCELLED else ["queued"])
    added, _ = copy.add_job("after the restore", {})
    assert copy.events_after(added.id, 0)
    copy.close()


def test_nothing_is_written_over_and_nothing_half_is_left(tmp_path: Path) -> None:
    there = tmp_path / "there.db"
    there.write_bytes(b"mine")
    taken = nas("backup", there, "--database", f"sqlite:///{tmp_path}/x.db")
    assert (taken.code, there.read_bytes()) == (2, b"mine")
    absent = nas("backup", tmp_path / "new.db", "--database", f"sqlite:///{tmp_path}/absent.db")
    assert absent.code == 2
    (tmp_path / "broken.db").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    broken = nas("backup", tmp_path / "new.db", "--database", f"sqlite:///{tmp_path}/broken.db")
    assert broken.code == 1
    unreachable = nas("backup", tmp_path / "new.db", "--database", "postgresql://nobody@127.0.0.1:9/none")
    assert unreachable.code == 1
    assert "pg_dump" in unreachable.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.db", "there.db"]
