"""The store under many threads and processes at once, on both engines. Only expiry is hurried."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

import pytest
from store_contract import DEVICE, DOCUMENT, complete, latency_table, new_trial, running_job

from nas.errors import Conflict, IllegalMove, LeaseLost, StoreUnavailable
from nas.store.leases import lock_held_job
from nas.store.records import EventRecord, JobState, TrialState
from nas.store.store import Store

FORK = multiprocessing.get_context("fork")


def at_once(count: int, action: Callable[[int], Any]) -> list[Any]:
    """Run `action(0)` … `action(count - 1)` in as many threads, begun together; return results or exceptions."""
    barrier = threading.Barrier(count)

    def run(index: int) -> Any:
        barrier.wait()
        try:
            return action(index)
        except Exception as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def claim_all(store: Store, worker: str) -> list[str]:
    claimed = []
    while (job := store.claim_job(worker, 60)) is not None:
        claimed.append(job.id)
    return claimed


def claim_all_in_a_process(url: str, worker: str, start: Any, results: Any) -> None:
    store = Store.open(url)
    start.wait()
    results.put(claim_all(store, worker))
    store.close()


def test_eight_threads_claim_each_job_once(store: Store) -> None:
    ids = {store.add_job(f"job-{n}", DOCUMENT)[0].id for n in range(40)}
    claimed = at_once(8, lambda n: claim_all(store, f"worker-{n}"))
    assert sorted(chain(*claimed)) == sorted(ids)
    assert {store.job(job_id).lease_token for job_id in ids} == {1}


def test_eight_processes_claim_each_job_once(store: Store, store_url: str) -> None:
    ids = {store.add_job(f"job-{n}", DOCUMENT)[0].id for n in range(40)}
    start, results = FORK.Event(), FORK.Queue()
    processes = [
        FORK.Process(target=claim_all_in_a_process, args=(store_url, f"worker-{n}", start, results)) for n in range(8)
    ]
    for process in processes:
        process.start()
    start.set()
    claimed = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert sorted(chain(*claimed)) == sorted(ids)


def test_eight_threads_that_want_one_expired_job_give_it_to_one(store: Store) -> None:
    for token in range(1, 6):
        job = running_job(store, lease_s=0)
        claims = at_once(8, lambda n, job_id=job.id: store.claim_job_by_id(job_id, f"worker-{n}", 60))
        assert [claim.lease_token for claim in claims if claim] == [2], f"round {token}"


def test_a_hundred_submissions_with_one_key_make_one_job(store: Store) -> None:
    results = at_once(100, lambda _: store.add_job("first", DOCUMENT, "key"))
    assert len({job.id for job, _ in results}) == 1
    assert [created for _, created in results].count(True) == 1
    assert len(store.jobs()[0]) == 1
    assert len(store.events_after(None, 0)) == 1


def test_of_different_documents_with_one_key_one_is_taken_and_the_others_conflict(store: Store) -> None:
    results = at_once(20, lambda n: store.add_job("first", DOCUMENT | {"limit": n}, "key"))
    assert sum(isinstance(result, Conflict) for result in results) == 19
    assert len(store.jobs()[0]) == 1


def test_one_number_is_given_to_one_trial(store: Store) -> None:
    job = running_job(store)
    results = at_once(12, lambda n: store.add_trial(job.id, 1, new_trial(0, architecture_id=f"a-{n}")))
    assert sum(isinstance(result, Conflict) for result in results) == 11
    assert store.trials(job.id) == [result for result in results if not isinstance(result, Conflict)]


def test_a_result_of_the_old_worker_counts_only_if_it_came_before_the_takeover(store: Store) -> None:
    for _ in range(6):
        job = running_job(store, lease_s=0)
        store.add_trial(job.id, 1, new_trial(0))

        def race(index: int, job_id: str = job.id) -> Any:
            if index == 0:
                return store.finish_trial(job_id, 1, 0, complete(0.5), None)
            store.claim_job_by_id(job_id, "worker-2", 60)
            return store.finish_trial(job_id, 2, 0, complete(0.25), None)

        old, new = at_once(2, race)
        assert isinstance(old, LeaseLost) != isinstance(new, IllegalMove)
        winner = new if isinstance(old, LeaseLost) else old
        assert store.trial(job.id, 0) == winner
        states = [event.data["state"] for event in store.events_after(job.id, 0) if event.kind == "trial"]
        assert states == ["running", "complete"]


def test_a_reader_who_follows_the_events_of_all_jobs_misses_none(store: Store) -> None:
    jobs = [running_job(store) for _ in range(6)]
    seen: list[EventRecord] = []
    done = threading.Event()

    def follow() -> None:
        while True:
            finished = done.is_set()
            new = store.events_after(None, seen[-1].sequence if seen else 0)
            seen.extend(new)
            if finished and not new:
                return

    def write(index: int) -> None:
        for number in range(5):
            store.add_trial(jobs[index].id, 1, new_trial(number))
            store.finish_trial(jobs[index].id, 1, number, complete(), b"weights %d" % number)

    reader = threading.Thread(target=follow)
    reader.start()
    results = at_once(6, write)
    done.set()
    reader.join()
    assert results == [None] * 6
    assert seen == store.events_after(None, 0)
    assert len(seen) == 6 * 2 + 6 * 5 * 2


def test_a_heartbeat_thread_and_a_writing_thread_share_one_store(store: Store) -> None:
    job = running_job(store)
    stop = threading.Event()

    def beat() -> int:
        beats = 0
        while not stop.is_set():
            store.heartbeat(job.id, 1, 60)
            beats += 1
        return beats

    with ThreadPoolExecutor(1) as pool:
        beats = pool.submit(beat)
        for number in range(15):
            store.add_trial(job.id, 1, new_trial(number))
            store.finish_trial(job.id, 1, number, complete(), None)
        stop.set()
        assert beats.result() > 0
    assert store.counts(job.id).complete == 15


def test_first_writers_of_one_name_do_not_disturb_each_other(store: Store) -> None:
    def write(index: int) -> None:
        store.put_device({"name": "pi-4", "cores": index})
        store.add_search_space({"name": "tiny"})
        store.put_dataset("languages", "1", "aa", {})

    assert at_once(12, write) == [None] * 12
    assert len(store.devices()) == len(store.search_spaces()) == len(store.datasets()) == 1


def test_tables_added_at_once_get_one_version_each(store: Store) -> None:
    store.put_device(DEVICE)
    tables = at_once(12, lambda _: store.add_latency_table("pi-4", latency_table()))
    assert sorted(table.version for table in tables) == list(range(1, 13))


def claim_and_die_while_writing(url: str, ready: Any) -> None:
    store = Store.open(url)
    job = store.claim_job("doomed", 0.5)
    assert job is not None
    store.add_trial(job.id, job.lease_token, new_trial(0))
    with store._database.write() as connection:  # the one place where no method stops half-way
        connection.exec_driver_sql("UPDATE trials SET state = 'complete'")
        ready.set()
        time.sleep(60)


def test_a_worker_killed_in_the_middle_of_a_write_leaves_nothing_half_done(store: Store, store_url: str) -> None:
    job, _ = store.add_job("first", DOCUMENT)
    ready = FORK.Event()
    process = FORK.Process(target=claim_and_die_while_writing, args=(store_url, ready))
    process.start()
    assert ready.wait(30)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    deadline = time.monotonic() + 20
    while (taken := store.claim_job("worker-2", 60)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (taken.id, taken.lease_token) == (job.id, 2)
    assert store.trial(job.id, 0).state is TrialState.RUNNING
    with pytest.raises(LeaseLost):
        store.finish_trial(job.id, 1, 0, complete(), None)
    store.finish_trial(job.id, 2, 0, complete(), None)
    assert store.finish_job(job.id, 2, JobState.SUCCEEDED, None).state is JobState.SUCCEEDED


def claim_and_pause_while_writing(url: str, ready: Any, go_on: Any, outcome: Any) -> None:
    store = Store.open(url)
    job = store.claim_job("frozen", 0.5)
    assert job is not None
    try:
        with store._database.write() as connection:  # the one place where no method stops half-way
            lock_held_job(connection, job.id, job.lease_token)
            connection.exec_driver_sql("UPDATE jobs SET name = 'written late'")
            ready.set()
            assert go_on.wait(60)
            connection.exec_driver_sql("UPDATE jobs SET name = 'written late, twice'")
        outcome.put("written")
    except StoreUnavailable as error:
        outcome.put(str(error))


def test_a_worker_frozen_in_the_middle_of_a_write_holds_up_the_others_for_a_bounded_time(
    store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On PostgreSQL; the lock of a SQLite file is its process's own, until that goes on or is killed."""
    monkeypatch.setattr("nas.store.database.IDLE_TIMEOUT_MS", 1_000)
    monkeypatch.setattr("nas.store.database.BUSY_TIMEOUT_MS", 200)
    job, _ = store.add_job("first", DOCUMENT)
    store.close()  # its connections were made with the usual patience
    ready, go_on, outcome = FORK.Event(), FORK.Event(), FORK.Queue()
    process = FORK.Process(target=claim_and_pause_while_writing, args=(store_url, ready, go_on, outcome))
    process.start()
    assert ready.wait(30)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    try:
        time.sleep(0.6)  # its lease is over
        if store_url.startswith("sqlite"):
            with pytest.raises(StoreUnavailable, match="locked"):
                store.claim_job("worker-2", 60)
        else:
            with pytest.raises(StoreUnavailable, match="lock timeout"):
                store.request_pause(job.id)
            deadline = time.monotonic() + 20
            while (taken := store.claim_job("worker-2", 60)) is None:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert (taken.id, taken.lease_token) == (job.id, 2)
    finally:
        os.kill(process.pid, signal.SIGCONT)
    go_on.set()
    said = outcome.get(timeout=60)
    process.join(60)
    if store_url.startswith("sqlite"):
        assert (said, store.job(job.id).name) == ("written", "written late, twice")
        assert store.claim_job("worker-2", 60) is not None
    else:
        assert "idle" in said
        assert store.job(job.id).name == "first"


def use_the_parents_store(store: Store, job_id: str, number: int, results: Any) -> None:
    store.add_trial(job_id, 1, new_trial(number))
    results.put(store.trial(job_id, number).number)


def test_a_store_opened_before_a_fork_serves_parent_and_children(store: Store) -> None:
    job = running_job(store)
    results = FORK.Queue()
    processes = [FORK.Process(target=use_the_parents_store, args=(store, job.id, n, results)) for n in range(3)]
    for process in processes:
        process.start()
    store.add_trial(job.id, 1, new_trial(9))
    assert sorted(results.get(timeout=30) for _ in processes) == [0, 1, 2]
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    assert [trial.number for trial in store.trials(job.id)] == [0, 1, 2, 9]


def migrate_in_a_process(url: str, start: Any) -> None:
    store = Store.open(url)
    start.wait()
    store.migrate()
    store.close()


def test_processes_and_threads_that_migrate_at_once_make_one_schema(database_url: str) -> None:
    start = FORK.Event()
    processes = [FORK.Process(target=migrate_in_a_process, args=(database_url, start)) for _ in range(4)]
    for process in processes:
        process.start()
    start.set()
    store = Store.open(database_url)
    assert at_once(4, lambda _: store.migrate()) == [None] * 4
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert store.is_migrated()
    store.close()
