"""`kill -9` at random moments, some forty times (the harness itself: a thousand); and whether its oracle sees."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.errors import NotFound
from nas.jobs.catalogue import submit
from nas.jobs.worker import Worker
from nas.store.database import Database
from nas.store.store import Store
from nas.store.tables import events, file_contents, trials
from tests.crash.ledger import Ledger
from tests.crash.under_fire import KINDS, run_round
from tests.integration.api_examples import job_document


@pytest.mark.timeout(300)
@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_nothing_is_lost_twice_or_left_running_under_kills(request: pytest.FixtureRequest, engine: str) -> None:
    url = request.getfixturevalue("sqlite_url" if engine == "sqlite" else "postgres_url")
    killed = run_round(seed=11, url=url, kills=20)
    assert killed.total() >= 20
    assert set(killed) == KINDS


DOCUMENT = job_document(name="job", budget={"trials": 2})


@pytest.fixture(scope="module")
def in_order(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A database with a job that has ended and a file; and the job's id."""
    database = tmp_path_factory.mktemp("in-order") / "nas.db"
    store = Store.open(f"sqlite:///{database}")
    store.migrate()
    job, _ = submit(store, DOCUMENT)
    Worker(store, processes=1).run_job(job.id)
    store.add_file("a.txt", [b"content"])
    store.close()
    return database, job.id


class TestOracle:
    """Each thing that may not happen is made to happen behind the store's back."""

    @pytest.fixture
    def url(self, in_order: tuple[Path, str], tmp_path: Path) -> str:
        return f"sqlite:///{shutil.copy(in_order[0], tmp_path)}"

    @pytest.fixture
    def store(self, url: str) -> Iterator[Store]:
        store = Store.open(url)
        yield store
        store.close()

    @pytest.fixture
    def database(self, url: str) -> Database:
        return Database(url)

    @pytest.fixture
    def ledger(self, in_order: tuple[Path, str], store: Store) -> Ledger:
        """What was acknowledged of it, and read once."""
        ledger = Ledger(store)
        ledger.job_acknowledged("key", {"id": in_order[1]}, DOCUMENT)
        ledger.file_acknowledged("a.txt", b"content")
        ledger.check(last_worker_ready=0.0)
        ledger.check_at_the_end()
        return ledger

    def test_a_lost_job_is_noticed(self, ledger: Ledger, store: Store) -> None:
        (job,) = ledger.jobs
        store.delete_job(job)
        with pytest.raises(NotFound):
            ledger.check(last_worker_ready=0.0)

    def test_a_lost_trial_is_noticed(self, ledger: Ledger, database: Database) -> None:
        with database.write() as connection:
            connection.execute(trials.delete().where(trials.c.number == 1))
        with pytest.raises(AssertionError, match="lost the trials"):
            ledger.check(last_worker_ready=0.0)

    def test_a_number_that_is_missing_is_noticed(self, ledger: Ledger, database: Database) -> None:
        with database.write() as connection:
            connection.execute(trials.update().where(trials.c.number == 1).values(number=5))
        with pytest.raises(AssertionError, match="has the trials"):
            ledger.check(last_worker_ready=0.0)

    def test_a_trial_that_changes_after_its_end_is_noticed(self, ledger: Ledger, database: Database) -> None:
        with database.write() as connection:
            connection.execute(trials.update().where(trials.c.number == 0).values(metrics={"error_rate": 0.0}))
        with pytest.raises(AssertionError, match="changed after its end"):
            ledger.check(last_worker_ready=0.0)

    def test_a_trial_that_is_recorded_twice_is_noticed(self, ledger: Ledger, database: Database) -> None:
        with database.write() as connection:
            row = connection.execute(events.select().where(events.c.kind == "trial")).first()
            assert row is not None
            again = {name: value for name, value in row._mapping.items() if name != "sequence"}
            connection.execute(events.insert().values(again))
        with pytest.raises(AssertionError, match="has recorded"):
            ledger.check(last_worker_ready=0.0)

    def test_a_trial_of_whose_end_nobody_was_told_is_noticed(self, ledger: Ledger, database: Database) -> None:
        with database.write() as connection:
            newest = connection.execute(events.select().where(events.c.kind == "trial")).all()[-1]
            connection.execute(events.delete().where(events.c.sequence == newest.sequence))
        with pytest.raises(AssertionError, match="not told of"):
            ledger.check(last_worker_ready=0.0)

    def test_a_deleted_job_that_comes_back_is_noticed(self, ledger: Ledger) -> None:
        (job,) = ledger.jobs
        ledger.to_be_deleted(job)
        ledger.check(last_worker_ready=0.0)  # it may still be there
        ledger.deletion_acknowledged(job)
        with pytest.raises(AssertionError, match="there again"):
            ledger.check(last_worker_ready=0.0)

    def test_a_running_trial_of_an_ended_job_is_noticed(self, ledger: Ledger, database: Database) -> None:
        ledger.ended.clear()
        with database.write() as connection:
            connection.execute(trials.update().where(trials.c.number == 0).values(state="running"))
        with pytest.raises(AssertionError, match="with a running trial"):
            ledger.check(last_worker_ready=0.0)

    def test_a_changed_file_is_noticed(self, ledger: Ledger, database: Database) -> None:
        with database.write() as connection:
            connection.execute(file_contents.update().values(sha256="0" * 64))
        with pytest.raises(AssertionError, match=r"the file a\.txt has changed"):
            ledger.check(last_worker_ready=0.0)

    def test_a_key_that_makes_two_jobs_is_noticed(self, ledger: Ledger) -> None:
        with pytest.raises(AssertionError, match="and later"):
            ledger.job_acknowledged("key", {"id": "j-another"}, {})

    def test_a_job_that_is_left_running_is_noticed(self, ledger: Ledger, store: Store) -> None:
        document = job_document(name="alone", budget={"trials": 2})
        job, _ = submit(store, document)
        ledger.job_acknowledged("key 2", {"id": job.id}, document)
        claimed = store.claim_job("gone", 0)
        assert claimed is not None
        ledger.check(last_worker_ready=float("inf"))  # a worker is only just starting: it may still take it
        ledger.patience_s = 0.0
        with pytest.raises(AssertionError, match="left running"):
            ledger.check(last_worker_ready=0.0)
