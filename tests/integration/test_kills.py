"""`kill -9` at random moments, some forty times (`make test-crash`: a thousand); and whether its oracle sees."""

from __future__ import annotations

import pytest

from nas.errors import NotFound
from nas.jobs.catalogue import submit
from nas.jobs.worker import Worker
from nas.store.database import Database
from nas.store.store import Store
from nas.store.tables import events, file_contents, trials
from tests.crash.ledger import Ledger
from tests.crash.under_fire import run_round
from tests.integration.api_examples import job_document


@pytest.mark.timeout(300)
@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_nothing_is_lost_twice_or_left_running_under_kills(request: pytest.FixtureRequest, engine: str) -> None:
    url = request.getfixturevalue("sqlite_url" if engine == "sqlite" else "postgres_url")
    killed = run_round(seed=11, url=url, kills=20, longest_rest_s=1.5)
    assert killed.total() == 20
    assert set(killed) == {"api", "worker", "evaluation"}


class TestOracle:
    """Each thing that may not happen is made to happen behind the store's back."""

    @pytest.fixture
    def ledger(self, store: Store) -> Ledger:
        """What is known of a job that has ended, a file and a database in order."""
        ledger = Ledger(store)
        document = job_document(name="job", budget={"trials": 2})
        job, _ = submit(store, document)
        Worker(store, processes=1).run_job(job.id)
        ledger.job_acknowledged("key", {"id": job.id}, document)
        store.add_file("a.txt", [b"content"])
        ledger.file_acknowledged("a.txt", b"content")
        ledger.check(last_worker_started=0.0)
        ledger.check_at_the_end()
        return ledger

    @pytest.fixture
    def database(self, tmp_path: object) -> Database:
        return Database(f"sqlite:///{tmp_path}/nas.db")

    def test_a_lost_job_is_noticed(self, ledger: Ledger, store: Store) -> None:
        (job,) = ledger.jobs
        store.delete_job(job)
        with pytest.raises(NotFound):
            ledger.check(last_worker_started=0.0)

    def test_a_lost_trial_is_noticed(self, ledger: Ledger, database: Database) -> None:
        with database.write() as connection:
            connection.execute(trials.delete().where(trials.c.number == 1))
        with pytest.raises(AssertionError, match="lost the trials"):
            ledger.check(last_worker_started=0.0)

    def test_a_number_that_is_missing_is_noticed(self, ledger: Ledger, database: Database) -> None:
        with database.write() as connection:
            connection.execute(trials.update().where(trials.c.number == 1).values(number=5))
        with pytest.raises(AssertionError, match="has the trials"):
            ledger.check(last_worker_started=0.0)

    def test_a_trial_that_changes_after_its_end_is_noticed(self, ledger: Ledger, database: Database) -> None:
        with database.write() as connection:
            connection.execute(trials.update().where(trials.c.number == 0).values(metrics={"error_rate": 0.0}))
        with pytest.raises(AssertionError, match="changed after its end"):
            ledger.check(last_worker_started=0.0)

    def test_a_trial_that_is_recorded_twice_is_noticed(self, ledger: Ledger, database: Database) -> None:
        with database.write() as connection:
            row = connection.execute(events.select().where(events.c.kind == "trial")).first()
            assert row is not None
            again = {name: value for name, value in row._mapping.items() if name != "sequence"}
            connection.execute(events.insert().values(again))
        with pytest.raises(AssertionError, match="has recorded"):
            ledger.check(last_worker_started=0.0)

    def test_a_running_trial_of_an_ended_job_is_noticed(self, ledger: Ledger, database: Database) -> None:
        ledger.ended.clear()
        with database.write() as connection:
            connection.execute(trials.update().where(trials.c.number == 0).values(state="running"))
        with pytest.raises(AssertionError, match="with a running trial"):
            ledger.check(last_worker_started=0.0)

    def test_a_changed_file_is_noticed(self, ledger: Ledger, database: Database) -> None:
        with database.write() as connection:
            connection.execute(file_contents.update().values(sha256="0" * 64))
        with pytest.raises(AssertionError, match=r"the file a\.txt has changed"):
            ledger.check(last_worker_started=0.0)

    def test_a_key_that_makes_two_jobs_is_noticed(self, ledger: Ledger) -> None:
        with pytest.raises(AssertionError, match="and later"):
            ledger.job_acknowledged("key", {"id": "j-another"}, {})

    def test_a_job_that_is_left_running_is_noticed(self, ledger: Ledger, store: Store) -> None:
        document = job_document(name="alone", budget={"trials": 2})
        job, _ = submit(store, document)
        ledger.job_acknowledged("key 2", {"id": job.id}, document)
        claimed = store.claim_job("gone", 0)
        assert claimed is not None
        ledger.check(last_worker_started=float("inf"))  # a worker has only just begun: it may still take it
        ledger.patience_s = 0.0
        with pytest.raises(AssertionError, match="left running"):
            ledger.check(last_worker_started=0.0)
