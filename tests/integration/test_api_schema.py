"""The whole OpenAPI document, by schemathesis: every check, stateful, with a key and without one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_examples import RecordingWorker, job_document
from hostile_callers import ServerProcess, server_process

CONFIG = Path(__file__).with_name("schemathesis.toml")
KEY = "schemathesis-" * 3
SEED = 1


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that asks for keys and holds a job with trials."""
    with server_process(tmp_path_factory.mktemp("schema"), KEY, requests_per_minute=0) as running:
        job = running.client.post("/v1/jobs", json=job_document(constraints=[]))
        assert job.status_code == 201, job.text
        worker = RecordingWorker(running.store, running.store.job(job.json()["id"]))
        for error_rate in (0.9, 0.7, 0.8):
            worker.complete(error_rate, weights=True)
        yield running


def run(server: ServerProcess, folder: Path, key: str | None, *more: str) -> subprocess.CompletedProcess[str]:
    """Run schemathesis on the server; what it found is in its output, with a command to see it again."""
    job = server.client.get("/v1/jobs").json()["jobs"][-1]["id"]
    config = folder / "schemathesis.toml"
    known = f'\n[dictionaries.known-job]\nvalues = ["{job}"]\n\n[parameters]\n'
    known += '"path.job_id" = { dictionary = "known-job", probability = 0.5 }\n'
    config.write_text(CONFIG.read_text() + known)
    header = [] if key is None else ["-H", f"Authorization: Bearer {key}"]
    words = ["--config-file", str(config), "run", f"{server.url}/openapi.json", "--checks", "all"]
    return subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", *words, "--seed", str(SEED), *header, *more],
        cwd=folder,
        env=os.environ | {"NO_COLOR": "1", "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("key", [KEY, None], ids=["with a key", "without one"])
def test_every_operation_keeps_what_the_document_says(server: ServerProcess, tmp_path: Path, key: str | None) -> None:
    check(run(server, tmp_path, key, "--max-examples", "30"), key)


def check(ended: subprocess.CompletedProcess[str], key: str | None) -> None:
    """Check that every phase passed, and that whoever had a key got in to the end."""
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for phase in ("Examples", "Coverage", "Fuzzing", "Stateful"):
        assert f"✅ {phase}" in " ".join(ended.stdout.split()), ended.stdout
    assert (key is None) == ("Authentication failed" in ended.stdout), ended.stdout
