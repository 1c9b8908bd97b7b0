"""Bad input on the command line: exit code 2, each problem with its field, value, what is allowed and the next step."""

from __future__ import annotations

import json
import random
import re
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from api_examples import job_document, latency_table, space_document
from cli_runner import Run, nas

from nas.architecture import Architecture
from nas.cli.search import _run
from nas.costs import costs_of
from nas.export.config import config_document
from nas.jobs.catalogue import submit
from nas.latency.runtimes import runtime
from nas.space import SearchSpace
from nas.store.records import JobState
from nas.store.store import Store
from nas.workload import Workload

DEVICE = "bench-board"
LENGTH = 16


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that knows one device with one table of the smoke space; reached through POCKETFORMER_DATABASE_URL."""
    path = tmp_path_factory.mktemp("bad-input") / "nas.db"
    space = SearchSpace.bundled("smoke")
    shape = space.task_shape.__class__(space.task_shape.vocabulary_size, space.task_shape.outputs, LENGTH)
    table = latency_table(DEVICE, space.for_task(shape), Workload(input_length=LENGTH))
    table["recipe"] = runtime("onnxruntime").recipe("fp32")
    (path.parent / "table.json").write_text(json.dumps(table))
    store = Store.open(f"sqlite:///{path}")
    store.migrate()
    store.close()
    assert nas("device", "import", path.parent / "table.json", "--database", f"sqlite:///{path}").code == 0
    return path


@pytest.fixture
def search(database: Path, tmp_path: Path) -> Callable[[str | bytes], Run]:
    """Run `nas search` on a job file of this content, and make sure that a refusal left nothing behind."""

    def run(content: str | bytes) -> Run:
        file = tmp_path / "job.yaml"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        before = rows(database)
        result = nas("search", file, "--database", f"sqlite:///{database}")
        assert rows(database) == before
        return result

    return run


def rows(database: Path) -> dict[str, int]:
    with sqlite3.connect(database) as connection:
        names = [n for (n,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: connection.execute(f"SELECT count(*) FROM '{name}'").fetchone()[0] for name in names}


def problems(run: Run) -> dict[str, dict[str, str]]:
    """Return what was printed, by field."""
    assert run.code == 2, run.err
    assert run.out == ""
    assert "Traceback" not in run.err
    head, *lines = [line for line in run.err.splitlines() if not line.startswith("Warning")]
    assert head == "error: the input is not valid"
    found: dict[str, dict[str, str]] = {}
    field = ""
    for line in lines:
        match = re.match(r"^    (given|allowed|next): +(.*)$", line)
        if match:
            found[field][match[1]] = match[2]
        elif line.startswith("  ") and not line.startswith("   "):
            field = line.strip()
            found[field] = {}
    assert all(set(p) == {"given", "allowed", "next"} and all(p.values()) for p in found.values()), run.err
    return found


def job(**changes: Any) -> str:
    base = job_document(
        devices=[DEVICE], objectives=["error_rate", f"latency_ms@{DEVICE}"], constraints=["parameters <= 24000"]
    )
    return yaml.safe_dump({k: v for k, v in (base | changes).items() if v is not None})


CASES: dict[str, tuple[str, str, str]] = {
    "unknown space": (job(search_space="nonesuch"), "search_space", "smoke, text-encoder"),
    "unknown dataset": (
        job(task={"dataset": "imagenet", "metric": "error_rate"}),
        "task.dataset",
        "language-identification",
    ),
    "unknown metric": (
        job(task={"dataset": "language-identification", "metric": "bleu"}),
        "task.metric",
        "error_rate",
    ),
    "unknown device": (job(devices=["phone"], objectives=["error_rate", "macs"]), "devices[0]", DEVICE),
    "unknown objective": (job(objectives=["error_rate", "beauty"]), "objectives[1]", "error_rate"),
    "objective on a device that is not listed": (
        job(objectives=["error_rate", "latency_ms@phone"]),
        "objectives[1]",
        f"latency_ms@{DEVICE}",
    ),
    "unknown sampler": (job(sampler="magic"), "sampler", "tpe"),
    "device without a table for this workload": (
        job(workload={"batch": 2, "input_length": LENGTH}),
        "devices[0]",
        "latency table for this workload",
    ),
    "an empty choice": (
        job(search_space=space_document(depth=[])),
        "search_space.encoder.depth",
        "",
    ),
    "no head count that divides a hidden size": (
        job(search_space=space_document(hidden_size=[17])),
        "search_space.encoder.layer.attention",
        "divides",
    ),
    "a limit out of reach": (job(constraints=["parameters <= 100"]), "constraints[0]", "at least 6"),
    "a latency limit out of reach": (
        job(constraints=[f"latency_ms@{DEVICE} <= 1e-9"]),
        "constraints[0]",
        "at least 0.0",
    ),
    "a limit that is none": (job(constraints=["parameters < few"]), "constraints[0]", "METRIC <= NUMBER"),
    "a budget of zero": (job(budget={"trials": 0}), "budget.trials", "1"),
    "a negative budget": (job(budget={"trials": -5}), "budget.trials", "1"),
    "no budget": (job(budget=None), "budget", "required"),
    "an endless budget": (job(budget={"trials": 5, "hours": 0}), "budget.hours", "0"),
    "a field that does not exist": (job(bugdet={"trials": 5}), "bugdet", "no field of this name"),
    "NaN in YAML": (job().replace("seed: 0", "seed: .nan"), "seed", "finite"),
    "NaN in JSON": (json.dumps(job_document() | {"seed": float("nan")}), "seed", "finite"),
    "malformed YAML": ("name: [unclosed", "job.yaml", "one YAML or JSON mapping"),
    "a list": ("- 1\n- 2", "job.yaml", "mapping"),
    "nothing": ("", "job.yaml", "mapping"),
    "a Python object in YAML": ("name: !!python/object/apply:os.system ['true']", "job.yaml", "mapping"),
    "a billion laughs": ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "job.yaml", "mapping"),
    "a key that stands twice": ("name: a\nname: b", "job.yaml", "mapping"),
    "nested too deep": ("[" * 2000, "job.yaml", "mapping"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_job_with_this_is_refused_and_nothing_is_written(case: str, search: Callable[[str], Run]) -> None:
    content, field, allowed = CASES[case]
    found = problems(search(content))
    assert field in found
    assert allowed in found[field]["allowed"], found


def test_the_next_step_for_a_missing_table_is_the_command_that_measures_it(search: Callable[[str], Run]) -> None:
    found = problems(search(job(workload={"batch": 2, "input_length": LENGTH})))
    assert (
        f"nas device profile {DEVICE} --space smoke --dataset language-identification --batch 2 --input-length 16"
        in found["devices[0]"]["next"]
    )


def test_every_wrong_field_is_named_at_once(search: Callable[[str], Run]) -> None:
    found = problems(search(job(sampler="magic", budget={"trials": 0}, seed=-1)))
    assert set(found) == {"sampler", "budget.trials", "seed"}


def test_a_file_of_50_mb_is_refused_without_reading_it_all(search: Callable[[bytes], Run]) -> None:
    found = problems(search(b"name: " + b"x" * 50_000_000))
    assert "at most 1000000 bytes" in found["file"]["allowed"]


def test_bytes_that_are_no_text_are_refused(search: Callable[[bytes], Run]) -> None:
    assert "UTF-8" in problems(search(b"name: \xff\xfe"))["job.yaml"]["allowed"]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    found = problems(nas("search", tmp_path / "nowhere.yaml"))
    assert "nowhere.yaml" in found["file"]["given"]


@pytest.mark.parametrize("address", ["data/nas.db", "mysql://x/y", "sqlite", ""])
def test_a_database_address_that_is_none_is_refused(address: str) -> None:
    assert problems(nas("device", "list", "--database", address))


def test_a_space_that_does_not_exist_is_named_with_those_that_do(database: Path) -> None:
    url = f"sqlite:///{database}"
    found = problems(nas("device", "profile", "x", "--space", "none", "--input-length", 8, "--database", url))
    assert "smoke" in found["space"]["allowed"]


@pytest.mark.parametrize("length", [0, -3, 100_000])
def test_a_workload_that_cannot_be_is_refused_before_anything_is_measured(length: int, database: Path) -> None:
    run = nas(
        *("device", "profile", "this-machine", "--space", "smoke", "--input-length", length),
        *("--database", f"sqlite:///{database}"),
    )
    assert "workload.input_length" in problems(run)


def test_a_device_name_that_cannot_be_is_refused_before_anything_is_measured(database: Path) -> None:
    run = nas(
        *("device", "profile", "This Machine!", "--space", "smoke", "--input-length", 16),
        *("--database", f"sqlite:///{database}"),
    )
    assert "device.name" in problems(run)


def test_a_table_of_another_machine_is_not_verified_here(database: Path) -> None:
    run = nas(
        *("device", "verify", DEVICE, "--space", "smoke", "--input-length", LENGTH),
        *("--database", f"sqlite:///{database}"),
    )
    refused = problems(run)["device.hardware"]
    assert "Example CPU" in refused["given"]
    assert "what stands at local" in refused["allowed"]


@pytest.mark.parametrize("content", ["{}", "name: x", "schema: pocketformer/config/9", "[1]", "schema: [1]"])
def test_a_file_that_is_neither_architecture_nor_configuration_is_refused(content: str, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(content)
    assert problems(nas("score", file))
    assert problems(nas("export", file, "--onnx", tmp_path / "a.onnx"))
    assert not (tmp_path / "a.onnx").exists()


@pytest.fixture
def architecture(tmp_path: Path) -> Path:
    """An architecture of the smoke space as a file."""
    file = tmp_path / "architecture.json"
    file.write_text(json.dumps(SearchSpace.bundled("smoke").sample(random.Random(0)).to_dict()))
    return file


@pytest.fixture
def configuration(architecture: Path, tmp_path: Path) -> Path:
    """A configuration for batches of 3 sequences of 16 tokens."""
    subject, workload = Architecture.from_dict(json.loads(architecture.read_text())), Workload(batch=3, input_length=16)
    file = tmp_path / "config.yaml"
    costs = asdict(costs_of(subject, workload))
    file.write_text(yaml.safe_dump(config_document(subject, workload, {"costs": costs})))
    return file


@pytest.mark.parametrize("place", ["taken", "taken/below", "/proc"])
def test_a_folder_that_cannot_be_written_is_refused_before_the_job_is_submitted(
    place: str, database: Path, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("a file")
    (tmp_path / "job.yaml").write_text(job())
    before = rows(database)
    run = nas("search", tmp_path / "job.yaml", "--out", tmp_path / place, "--database", f"sqlite:///{database}")
    assert place in problems(run)["out"]["given"]
    assert rows(database) == before


def test_an_export_says_what_to_write_and_in_a_precision_that_there_is(architecture: Path, tmp_path: Path) -> None:
    assert "--executorch" in problems(nas("export", architecture))["onnx"]["allowed"]
    run = nas("export", architecture, "--onnx", tmp_path / "x.onnx", "--precision", "int4")
    assert "int8-dynamic" in problems(run)["precision"]["allowed"]
    assert not (tmp_path / "x.onnx").exists()


def test_a_file_that_cannot_be_written_is_refused_by_its_option(architecture: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere" / "x.onnx"
    assert "No such file" in problems(nas("export", architecture, "--onnx", nowhere))["onnx"]["next"]
    table = nas("device", "profile", "x", "--space", "smoke", "--input-length", 16, "--out", nowhere)
    assert "nowhere" in problems(table)["out"]["given"]


def test_a_demo_folder_that_is_a_file_is_refused(architecture: Path) -> None:
    assert problems(nas("demo", "--exit", "--data", architecture))["data"]


def test_the_folder_of_the_database_is_refused_where_a_file_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POCKETFORMER_DATABASE_URL", raising=False)
    (tmp_path / "data").write_text("a file")
    assert "data" in problems(nas("device", "list"))["database"]["given"]


def test_an_error_of_the_system_that_nobody_expected_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    run = nas("demo", "--exit", "--data", "here")
    assert (run.code, run.out) == (1, "")
    assert run.err.startswith("error: ")
    assert len(run.err.splitlines()) == 1


@pytest.mark.parametrize("url", ["http://[::1", "http://127.0.0.1:80x0", "http://127.0.0.1:99999", "ftp://x", "x"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    assert problems(nas("jobs", "list", "--url", url))["url"]["given"] == repr(url)


def test_an_input_longer_than_the_architecture_takes_is_refused(
    architecture: Path, configuration: Path, database: Path, tmp_path: Path
) -> None:
    for file in (architecture, configuration):
        score = nas("score", file, "--input-length", 8000, "--database", f"sqlite:///{database}")
        export = nas("export", file, "--input-length", 8000, "--onnx", tmp_path / "x.onnx")
        assert "max_length" in problems(score)["workload.input_length"]["allowed"]
        assert "max_length" in problems(export)["workload.input_length"]["allowed"]


@pytest.mark.parametrize(
    ("options", "workload"),
    [
        ((), "batch=3,input_length=16"),
        (("--batch", 2), "batch=2,input_length=16"),
        (("--input-length", 8), "batch=3,input_length=8"),
        (("--batch", 2, "--input-length", 8), "batch=2,input_length=8"),
    ],
)
def test_each_option_overrides_its_own_field_of_a_configuration(
    options: tuple[object, ...], workload: str, configuration: Path, database: Path
) -> None:
    run = nas("score", configuration, *options, "--database", f"sqlite:///{database}")
    assert run.code == 0, run.err
    assert f"at {workload}," in run.out


def test_a_search_whose_job_another_worker_took_follows_it_to_its_end(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store.open(f"sqlite:///{database}")
    submitted, _ = submit(store, job_document(constraints=[]))
    taken = store.claim_job_by_id(submitted.id, "the server's", 60)
    assert taken is not None
    end = threading.Timer(1.0, store.finish_job, (taken.id, taken.lease_token, JobState.CANCELLED, "as asked"))
    end.start()
    try:
        ended = _run(store, submitted, 1, threading.Event())
    finally:
        end.join()
        store.close()
    assert (ended.state, ended.reason) == (JobState.CANCELLED, "as asked")
    assert capsys.readouterr().err.count(f"Another worker runs {taken.id}") == 1
