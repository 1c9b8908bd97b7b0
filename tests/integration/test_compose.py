"""docker-compose.yml and Dockerfile without Docker: each service's very command and environment, as a process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import distributed
import pytest
import yaml
from api_examples import job_document
from processes import free_port, until

from api.settings import PREFIX, Settings
from nas.client import Client
from nas.errors import Unauthenticated

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]


ADMIN_KEY = "0123456789abcdef" * 4
GIVEN = {"POCKETFORMER_ADMIN_KEY": ADMIN_KEY}
"""What has to be set before `docker compose up`."""


def interpolated(text: str) -> str:
    """Return the text with `${NAME:-default}` and `${NAME:?error}` replaced as Compose does with `GIVEN` set."""

    def value(match: re.Match[str]) -> str:
        name, kind, rest = match[1], match[2], match[3] or ""
        return GIVEN[name] if kind == ":?" else rest

    return re.sub(r"\$\{(\w+)(?:(:-|:\?)([^}]*))?\}", value, text)


def dockerfile() -> list[list[str]]:
    """Return the image's instructions, lines joined, as [INSTRUCTION, rest]."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [line.split(maxsplit=1) for line in lines]


def entrypoint(service: dict[str, Any] | None = None) -> list[str]:
    """Return what a service's command follows: its own entry point or the image's."""
    value = next(rest for instruction, rest in dockerfile() if instruction == "ENTRYPOINT")
    words = (service or {}).get("entrypoint", yaml.safe_load(value))
    assert words in (["nas"], ["dask"])
    return [str(Path(sys.executable).with_name(words[0]))]


@contextmanager
def started(name: str, replaced: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a service as Compose would, only host names and ports replaced."""

    def here(text: str) -> str:
        text = interpolated(text)
        for old, new in replaced.items():
            text = text.replace(old, new)
        return text

    service = SERVICES[name]
    environment = {key: here(str(value)) for key, value in service.get("environment", {}).items()}
    path = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [*entrypoint(service), *map(here, service["command"])],
            env={**path, **environment, "OMP_NUM_THREADS": "1"},
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.postgres
@pytest.mark.timeout(240)
def test_the_services_of_the_compose_file_run_a_job_from_end_to_end(postgres_url: str, tmp_path: Path) -> None:
    # postgresql+psycopg://USER@HOST:PORT/NAME: the fixture's own, in place of the file's
    declared = interpolated(str(SERVICES["api"]["environment"]["POCKETFORMER_DATABASE_URL"]))
    scheduler = f"127.0.0.1:{free_port()}"
    replaced = {
        declared: postgres_url,
        "8000": "0",
        "dask-scheduler:8786": scheduler,
        "8786": scheduler.partition(":")[2],
        "0.0.0.0": "127.0.0.1",
        "/cache": str(tmp_path / "cache"),
    }
    with started("api", replaced, tmp_path) as api:
        log = tmp_path / "api.log"
        until(lambda: api.poll() is not None or b"Pocketformer serves" in log.read_bytes(), 90)
        found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
        assert found, log.read_text()
        with Client(found[0]) as stranger, pytest.raises(Unauthenticated):
            stranger.submit_job(job_document())
        with started("worker", replaced, tmp_path), Client(found[0], api_key=ADMIN_KEY) as client:
            client.wait_ready()
            job = client.submit_job(job_document(constraints=[], budget={"trials": 3}))
            *_, last = client.events(job["id"])
            assert last.data["state"] == "succeeded", last.data["reason"]
            assert len(client.front(job["id"])["members"]) >= 1
        with (
            started("dask-scheduler", replaced, tmp_path),
            started("dask-worker", replaced, tmp_path),
            Client(found[0], api_key=ADMIN_KEY) as client,
        ):
            until(lambda: (tmp_path / "dask-worker.log").read_text().count("Registered to") == 2, 60)
            with started("worker-on-dask", replaced, tmp_path):
                job = client.submit_job(job_document(constraints=[], budget={"trials": 3}))
                *_, last = client.events(job["id"])
                assert last.data["state"] == "succeeded", last.data["reason"]
            assert "cache folder" not in (tmp_path / "worker-on-dask.log").read_text()  # which is one
        assert list(tmp_path.glob("**/*.db")) == []  # everything is in PostgreSQL


def test_every_variable_of_the_compose_file_is_a_setting() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    assert set(SERVICES["api"]["environment"]) <= known
    assert SERVICES["worker"]["environment"].items() <= SERVICES["api"]["environment"].items()
    on_dask = SERVICES["worker-on-dask"]["environment"]
    assert on_dask == {**SERVICES["worker"]["environment"], "XDG_CACHE_HOME": "/cache"}
    assert "POCKETFORMER_ADMIN_KEY" not in SERVICES["worker"]["environment"]  # it lets nobody in


def test_what_code_runs_on_is_told_no_secret_and_shares_the_cache_alone() -> None:
    assert SERVICES["dask-worker"]["environment"] == {
        **SERVICES["dask-scheduler"]["environment"],
        "XDG_CACHE_HOME": "/cache",
    }
    for name in ("dask-worker", "worker-on-dask"):
        assert SERVICES[name]["volumes"] == ["cache:/cache"]
    dask = {name for name, service in SERVICES.items() if "dask" in service.get("profiles", [])}
    assert dask == {"dask-scheduler", "dask-worker", "worker-on-dask"}
    assert all("ports" not in SERVICES[name] for name in dask)


def test_without_a_key_of_its_owner_the_service_does_not_begin() -> None:
    needed = re.findall(r"\$\{(\w+):\?", (ROOT / "docker-compose.yml").read_text())
    assert needed == list(GIVEN)


def test_the_services_wait_for_each_other_and_nothing_is_lost_with_a_container() -> None:
    assert SERVICES["api"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert SERVICES["worker"]["depends_on"]["api"]["condition"] == "service_healthy"
    assert all("healthcheck" in SERVICES[name] for name in ("postgres", "api"))
    volume = SERVICES["postgres"]["volumes"][0].split(":")[0]
    assert volume in COMPOSE["volumes"]


def test_a_service_that_sends_keys_as_they_are_is_published_on_this_machine_alone() -> None:
    assert [port.startswith("127.0.0.1:") for port in SERVICES["api"]["ports"]] == [True]
    assert "ports" not in SERVICES["postgres"]


def test_the_database_of_the_compose_file_is_the_one_its_services_are_told() -> None:
    postgres = {key: interpolated(str(value)) for key, value in SERVICES["postgres"]["environment"].items()}
    expected = "postgresql+psycopg://{POSTGRES_USER}:{POSTGRES_PASSWORD}@postgres:5432/{POSTGRES_DB}"
    told = interpolated(str(SERVICES["api"]["environment"]["POCKETFORMER_DATABASE_URL"]))
    assert told == expected.format(**postgres)


def test_an_image_that_is_given_no_command_tells_which_there_are() -> None:
    words = yaml.safe_load(next(rest for instruction, rest in dockerfile() if instruction == "CMD"))
    done = subprocess.run([*entrypoint(), *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert all(
        service["command"][0] in done.stdout
        for service in SERVICES.values()
        if entrypoint(service) == entrypoint() and "command" in service
    )


def test_the_image_is_installed_as_the_makefile_installs() -> None:
    makefile = (ROOT / "Makefile").read_text()
    torch = re.search(r"^TORCH := (.*)$", makefile, re.MULTILINE)
    project = re.search(r'^  "(torch[^"]*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert torch
    assert project
    assert torch[1] == project[1]

    def steps(text: str) -> list[str]:
        """Return the arguments of every `pip install`, extras left out."""
        found = re.findall(r"python -m pip install (.*)$", text, re.MULTILINE)
        text_of = [re.sub(r"\$\(?(\w+)\)?", lambda m: torch[1] if m[1] == "TORCH" else f"${m[1]}", f) for f in found]
        return list(dict.fromkeys(re.sub(r"\[.*\]", "", step) for step in text_of))

    image = "\n".join(rest for instruction, rest in dockerfile() if instruction == "RUN")
    assert steps(image) == steps(makefile)
    assert len(steps(image)) == 2
    extras = re.search(r"-e '\.\[(.*)\]'", image)
    assert extras
    assert set(extras[1].split(",")) == {"datasets", "postgres", "distributed", "executorch", "transformers"}


def test_the_image_holds_what_it_copies_and_runs_as_nobody_special() -> None:
    instructions = dockerfile()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for instruction, rest in instructions:
        if instruction == "COPY":
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists()
                assert f"!{source}" in ignored
    users = [rest for instruction, rest in instructions if instruction == "USER"]
    assert users == ["pocketformer"]
    last_run = max(i for i, (instruction, _) in enumerate(instructions) if instruction == "RUN")
    assert instructions.index(["USER", "pocketformer"]) > last_run


def test_dask_knows_the_settings_that_it_is_given() -> None:
    known = dask.config.collect([str(Path(distributed.__file__).parent)], env={})
    for name in SERVICES["dask-scheduler"]["environment"]:  # it ignores others
        dask.config.get(name.removeprefix("DASK_").replace("__", ".").lower(), config=known)
