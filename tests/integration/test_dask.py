"""Evaluations on real Dask clusters: the scores of here, workers and schedulers killed, resources, cancelling."""

import logging
import os
import random
import re
import socket
import threading
import time
from concurrent.futures import BrokenExecutor
from pathlib import Path

import dask
import pytest
from api_examples import job_document
from dask_processes import DaskProcesses, dask_processes, trainings
from distributed import Client
from processes import free_port, running, until

from nas.errors import ClusterUnavailable, InvalidInput, PocketformerError
from nas.jobs.assignments import assignment_of
from nas.jobs.catalogue import submit
from nas.jobs.context import JobContext
from nas.jobs.dask import DaskCluster, resources_of
from nas.jobs.dask.executor import DaskExecutor
from nas.jobs.dask.on_worker import Ran
from nas.jobs.evaluation import evaluate
from nas.jobs.worker import Worker
from nas.quality.training import decay_start
from nas.search.promotion import Ladder
from nas.store.records import JobState
from tests.integration.test_worker import record
from tests.unit.own_files import reviews

LONG = {"dataset": "language-identification", "metric": "error_rate", "training": {"steps": 80, "batch_size": 8}}


@pytest.fixture(scope="module")
def cache_of_module(tmp_path_factory):
    """A cache folder that this process and the Dask workers share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def two(tmp_path_factory, cache_of_module):
    """Two workers."""
    with dask_processes(tmp_path_factory.mktemp("two")) as processes:
        processes.workers = processes.start_workers(2)
        yield processes


@pytest.fixture(scope="module")
def labelled(tmp_path_factory, cache_of_module):
    """A worker labelled `phone`, and one labelled `old` that another release is installed on; no death is forgiven."""
    folder = tmp_path_factory.mktemp("labelled")
    (folder / "old").mkdir()
    (folder / "old/sitecustomize.py").write_text("import nas\nnas.__version__ = '0.0.9'\n")
    with dask_processes(folder, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0") as processes:
        processes.phone = processes.start_workers(1, "--resources", "phone=1", LABEL="phone")
        processes.start_workers(1, "--resources", "old=1", PYTHONPATH=str(folder / "old"))
        yield processes


def queued(store, **changes):
    return submit(store, job_document(**{"sampler": "tpe", **changes}))[0]


def run(store, job, cluster):
    return Worker(store, compute=cluster).run_job(job.id)


def pids_of_workers(processes: DaskProcesses) -> list[int]:
    with Client(processes.address, set_as_default=False) as client:
        return list(client.run(os.getpid).values())


def kill_one_that_evaluates(processes: DaskProcesses) -> None:
    with Client(processes.address, set_as_default=False) as client:
        until(lambda: any(client.processing().values()))
        busy = next(worker for worker, tasks in client.processing().items() if tasks)
        time.sleep(0.3)  # so that it has read its data
        os.kill(client.run(os.getpid, workers=[busy])[busy], 9)


def test_two_dask_workers_give_the_scores_and_weights_of_two_processes_though_one_is_killed_in_mid_evaluation(
    store, two
):
    here, there, killed = (queued(store, task=LONG, budget={"trials": 4}) for _ in range(3))
    Worker(store, processes=2).run_job(here.id)
    with DaskCluster(two.address) as cluster:
        assert cluster.parallel == 2
        assert run(store, there, cluster).state is JobState.SUCCEEDED

        thread = threading.Thread(target=run, args=(store, killed, cluster))
        thread.start()
        kill_one_that_evaluates(two)
        thread.join(60)
    assert store.job(killed.id).state is JobState.SUCCEEDED
    assert record(store, there) == record(store, here)
    assert record(store, killed) == record(store, here)
    assert store.counts(here.id).complete == 4


def test_a_training_whose_worker_is_killed_goes_on_where_an_earlier_rung_left_it_in_the_shared_cache(store, two):
    context = JobContext.load(store, queued(store, task=LONG).document)
    architecture = context.space.sample(random.Random(0)).to_dict()
    rungs = [assignment_of(context, architecture, Ladder((50, 500)), rung) for rung in (0, 1)]
    with DaskCluster(two.address) as cluster:
        executor = cluster.executor()
        assert executor.submit(evaluate, rungs[0]).result(60).training["steps_taken"] == 50
        second = executor.submit(evaluate, rungs[1])
        kill_one_that_evaluates(two)
        assert second.result(60).training["steps_taken"] == 500 - decay_start(50)


def test_a_cancelled_job_ends_its_trainings_on_the_cluster(store, two):
    endless = {**LONG, "training": {"steps": 1_000_000}}
    job = queued(store, task=endless)
    with DaskCluster(two.address) as cluster:
        thread = threading.Thread(target=run, args=(store, job, cluster))
        thread.start()
        until(lambda: store.counts(job.id).running == 2 and len(trainings(two.workers.pid)) == 2)
        begun = trainings(two.workers.pid)
        store.request_cancel(job.id)
        thread.join(20)
        assert store.job(job.id).state is JobState.CANCELLED
        until(lambda: not running(begun), 5)
        assert cluster.executor().submit(os.getenv, "LABEL", "free again").result(20) == "free again"


def test_a_call_that_kills_its_process_is_told_apart_and_its_worker_lives_on(two):
    with DaskCluster(two.address) as cluster:
        executor = cluster.executor()
        before = pids_of_workers(two)
        with pytest.raises(BrokenExecutor):
            executor.submit(os._exit, 3).result(30)
        assert executor.submit(os.getenv, "LABEL", "alive").result(30) == "alive"
        assert pids_of_workers(two) == before


def test_an_evaluation_runs_where_its_resources_are(labelled):
    with DaskCluster(labelled.address, resources={"phone": 1}, parallel=2) as cluster:
        executor = cluster.executor()
        assert [executor.submit(os.getenv, "LABEL").result(30) for _ in range(3)] == ["phone"] * 3


def test_an_evaluation_keeps_its_memory_though_dask_has_its_workers_give_it_back(labelled):
    """That costs a training, which takes and frees megabytes at every step, a third of its speed."""

    def environment(pid):
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")  # what the C library read at the start

    told = b"MALLOC_TRIM_THRESHOLD_=65536"
    assert all(told in environment(pid) for pid in pids_of_workers(labelled))
    with DaskCluster(labelled.address, resources={"phone": 1}) as cluster:
        found = cluster.executor().submit(Path.read_bytes, Path("/proc/self/environ")).result(30)
    assert b"LABEL=phone" in found
    assert told not in found


def test_the_workers_are_seen_while_the_client_looks_after_its_connection(labelled):
    """Dask's client does so all the time, and holds no worker in its hands then."""
    often = dask.config.set({"distributed.client.scheduler-info-interval": "1ms"})
    with often, DaskCluster(labelled.address, resources={"phone": 1}) as cluster:
        seen = [len(cluster._workers()) for _ in range(200)]
    assert seen == [2] * 200


def test_resources_that_no_worker_has_are_refused_at_the_start_and_those_there_are_named(labelled, monkeypatch):
    monkeypatch.setattr("nas.jobs.dask.cluster.CONNECT_S", 1.0)
    with pytest.raises(InvalidInput, match=r"dask-resources: got 'GPU=1'.*old=1; phone=1"):
        DaskCluster(labelled.address, resources=resources_of("GPU=1"))


def test_workers_of_another_release_are_refused_by_name(labelled):
    with pytest.raises(PocketformerError, match=r"tcp://127.0.0.1:\d+ has pocketformer 0.0.9 in place of "):
        DaskCluster(labelled.address, resources={"old": 1})


def test_workers_that_do_not_share_the_cache_folder_are_told_and_fail_a_job_on_own_data_with_the_reason(
    store, labelled, tmp_path, monkeypatch, caplog
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "of its own"))
    store.add_file("reviews.csv", [reviews()])
    own = {"file": "reviews.csv", "task": "sequence-classification", "columns": {"text": "review", "label": "stars"}}
    job = queued(store, task={**LONG, "dataset": own}, constraints=[])
    with DaskCluster(labelled.address, resources={"phone": 1}) as cluster:
        assert "1 of 1 Dask workers do not share the cache folder" in caplog.text
        ended = run(store, job, cluster)
    assert ended.state is JobState.FAILED
    assert re.match(r"on the Dask worker tcp://\S+: the data of reviews.csv .* have to share that folder", ended.reason)


def test_a_worker_that_dies_too_often_breaks_the_call_alone_and_calls_that_wait_for_a_worker_say_so(labelled, caplog):
    with DaskCluster(labelled.address, resources={"phone": 1}) as cluster:
        executor = cluster.executor()
        pids = pids_of_workers(labelled)
        phone = next(pid for pid in pids if b"LABEL=phone" in Path(f"/proc/{pid}/environ").read_bytes())
        with pytest.raises(BrokenExecutor, match="died"):
            executor.submit(os.kill, phone, 9).result(30)
        labelled.phone.terminate()
        labelled.phone.wait(20)
        with caplog.at_level(logging.WARNING, "nas"):
            waiting = executor.submit(os.getenv, "LABEL")
            until(lambda: "1 evaluations wait for a worker with phone=1" in caplog.text)
        executor.shutdown(cancel_futures=True)
        assert waiting.cancelled()


@pytest.mark.long
def test_a_job_outlives_its_scheduler(store, tmp_path, cache_of_module, caplog):
    undisturbed, job = (queued(store, task=LONG, budget={"trials": 2}) for _ in range(2))
    Worker(store, processes=1).run_job(undisturbed.id)
    with dask_processes(tmp_path / "dask") as processes:
        workers = processes.start_workers(1)
        with DaskCluster(processes.address) as cluster:
            thread = threading.Thread(target=run, args=(store, job, cluster))
            thread.start()
            until(lambda: store.counts(job.id).complete == 1)
            processes.scheduler.kill()
            workers.wait(40)  # as Dask has it: what keeps them running starts them again
            assert not cluster.is_ready()
            assert store.job(job.id).state is JobState.RUNNING
            processes.start_scheduler()
            processes.start_workers(1)
            thread.join(60)
    assert store.job(job.id).state is JobState.SUCCEEDED
    assert record(store, job) == record(store, undisturbed)
    assert "is lost" in caplog.text
    assert "answers again" in caplog.text


def test_scores_of_different_hardware_are_not_mixed_in_one_job():
    sent = []
    executor = DaskExecutor(sent.append)
    futures = [executor.submit(len, "ab") for _ in range(3)]
    for call, hardware in zip(sent, ("cpu, float32", "cpu, float32", "a card, bfloat16 mixed"), strict=True):
        call.end(Ran(2, f"tcp://{hardware[:3]}", hardware))
    assert [future.result() for future in futures[:2]] == [2, 2]
    with pytest.raises(PocketformerError, match=r"tcp://a c trains on a card, .* tcp://cpu on cpu, .*--dask-resources"):
        futures[2].result()


def test_where_no_scheduler_answers_it_is_said_within_seconds(monkeypatch):
    monkeypatch.setattr("nas.jobs.dask.cluster.CONNECT_S", 1.0)
    begun = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for port in (silent.getsockname()[1], free_port()):
            with pytest.raises(ClusterUnavailable, match=f"no Dask scheduler answers at tcp://127.0.0.1:{port}: start"):
                DaskCluster(f"tcp://127.0.0.1:{port}")
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("address", ["here", "http://127.0.0.1:8786", "tcp://127.0.0.1"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(InvalidInput, match=r"dask: got .*tcp://HOST:PORT"):
        DaskCluster(address)


def test_tls_without_certificates_is_refused():
    with pytest.raises(InvalidInput, match="tls:// with the certificates of both sides"):
        DaskCluster("tls://127.0.0.1:8786")


@pytest.mark.parametrize("text", ["GPU", "GPU=", "GPU=0", "GPU=-1", "=1", "GPU=one", "GPU=inf", "GPU=nan"])
def test_what_is_no_resource_is_refused(text):
    with pytest.raises(InvalidInput, match="dask-resources"):
        resources_of(text)


def test_resources_are_written_as_dask_has_them():
    assert resources_of("GPU=1,phone=0.5 big=2") == {"GPU": 1.0, "phone": 0.5, "big": 2.0}
