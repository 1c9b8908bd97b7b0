"""Commands that run until they are told to stop: serve, worker, and a demo that somebody interrupts."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from api_examples import job_document
from processes import descendants, running, until

from nas.cli.server_process import ServerFailedToStart, ServerProcess
from nas.client import Client
from nas.errors import Unauthenticated
from nas.jobs.catalogue import submit
from nas.store.records import JobState
from nas.store.store import Store

NAS = [sys.executable, "-m", "nas.cli"]


def start(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    surroundings = {k: v for k, v in os.environ.items() if not k.startswith("POCKETFORMER_")}
    return subprocess.Popen(
        [*NAS, *arguments],
        cwd=folder,
        env=surroundings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def line_of(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """Read standard output up to the line that matches."""
    assert process.stdout is not None
    for line in process.stdout:
        if match := re.search(pattern, line):
            return match
    pytest.fail(f"ended without {pattern}: {process.communicate()[1]}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_tells_its_address_serves_from_its_default_database_and_stops_in_order(
    number: signal.Signals, tmp_path: Path
) -> None:
    process = start("serve", "--port", "0", "--embedded-worker", "--processes", "2", folder=tmp_path)
    url = line_of(process, r"Pocketformer serves (http://127\.0\.0\.1:\d+)$")[1]
    assert httpx.get(f"{url}/readyz", trust_env=False).is_success
    assert (tmp_path / "data/pocketformer.db").exists()
    process.send_signal(number)
    _, log = process.communicate(timeout=30)
    assert process.returncode in (0, -number, 128 + number)
    assert "Traceback" not in log


def test_serve_refuses_an_address_that_strangers_reach_until_an_administrator_has_a_key(tmp_path: Path) -> None:
    words = ("serve", "--host", "0.0.0.0", "--port", "0")
    out, err = start(*words, folder=tmp_path).communicate(timeout=60)
    assert out == ""
    assert "nas keys create NAME --role admin" in err
    assert "Traceback" not in err
    made, err = start("keys", "create", "me", "--role", "admin", "--json", folder=tmp_path).communicate(timeout=60)
    secret = json.loads(made)["secret"]
    process = start(*words, "--json", folder=tmp_path)
    assert process.stdout is not None
    url = json.loads(process.stdout.readline())["url"].replace("0.0.0.0", "127.0.0.1")
    with Client(url) as stranger, pytest.raises(Unauthenticated):
        list(stranger.jobs())
    with Client(url, api_key=secret) as client:
        assert list(client.jobs()) == []
        assert [key["name"] for key in client.api_keys()] == ["me"]
    process.terminate()
    process.communicate(timeout=30)


def test_a_port_that_is_taken_fails_with_its_reason(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "a.db", tmp_path / "a.log", port=0, processes=1) as first:
        port = int(first.url.rsplit(":", 1)[1])
        second = ServerProcess(tmp_path / "b.db", tmp_path / "b.log", port=port, processes=1)
        with pytest.raises(ServerFailedToStart, match="address already in use"):
            second.__enter__()


def test_a_server_does_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from nas.cli.server_process import ServerProcess\n"
        "with ServerProcess(Path('a.db').resolve(), Path('log'), port=0, processes=1) as server:\n"
        "    print(server.url, flush=True)\n"
        "    time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    line_of(parent, "http://")
    children = descendants(parent.pid)
    assert children
    parent.kill()
    parent.wait()
    until(lambda: not running(children), 30)


def test_a_worker_that_is_told_to_stop_hands_its_job_back_and_leaves_no_process(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    store = Store.open(f"sqlite:///{tmp_path / 'data/pocketformer.db'}")
    store.migrate()
    training = {"dataset": "language-identification", "metric": "error_rate", "training": {"steps": 100_000}}
    job, _ = submit(store, job_document(task=training))
    process = start("worker", "--processes", "2", folder=tmp_path)
    until(lambda: store.counts(job.id).running == 2)
    children = descendants(process.pid)
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=30)
    assert process.returncode == 0, log
    assert "Traceback" not in log
    until(lambda: not running(children), 10)
    found = store.job(job.id)
    assert found.state is JobState.RUNNING
    assert store.claim_job("another", 5) is not None  # at once: the lease was given back
    store.close()


def test_a_search_that_is_interrupted_says_how_it_goes_on_and_leaves_no_process(tmp_path: Path) -> None:
    training = {"dataset": "language-identification", "metric": "error_rate", "training": {"steps": 100_000}}
    (tmp_path / "job.json").write_text(json.dumps(job_document(task=training)))
    process = start("search", "job.json", "--processes", "2", folder=tmp_path)
    store = Store.open(f"sqlite:///{tmp_path / 'data/pocketformer.db'}")

    def is_running() -> bool:
        assert process.poll() is None, process.communicate()
        if not (tmp_path / "data/pocketformer.db").exists() or not store.is_migrated():
            return False
        return any(store.counts(job.id).running == 2 for job in store.jobs()[0])

    until(is_running)
    children = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert (out, "Traceback" in err) == ("", False), err
    assert "`nas worker --database sqlite:///data/pocketformer.db` goes on with j-" in err
    until(lambda: not running(children), 10)
    store.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_demo_that_is_interrupted_leaves_no_process_behind(number: signal.Signals, tmp_path: Path) -> None:
    process = start("demo", "--space", "smoke", folder=tmp_path)
    line_of(process, "1/5 ")  # it measures now, and the server waits
    children = descendants(process.pid)
    assert children
    os.killpg(process.pid, number)  # as a terminal does: to the demo and the probes that it runs
    process.communicate(timeout=60)
    assert process.returncode != 0
    until(lambda: not running(children), 30)
