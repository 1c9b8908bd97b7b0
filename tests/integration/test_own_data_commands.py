"""A person's own file by path: `nas search`, `nas jobs submit` and `nas data`, in a folder of their own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from api_examples import job_document
from api_service import serving
from cli_runner import Run, nas

from nas.quality.datasets.described import vocabulary_from
from nas.store.store import Store
from tests.unit.own_files import REVIEWS, pairs, reviews, story


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with files in a folder inside."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "texts").mkdir()
    for name, content in (("reviews.csv", reviews()), ("pairs.jsonl", pairs()), ("story.txt", story())):
        (tmp_path / "texts" / name).write_bytes(content)
    return tmp_path


def write_job(path: Path, **changes: Any) -> Path:
    task = {"dataset": {**REVIEWS, **changes}, "metric": "error_rate", "training": {"steps": 3, "batch_size": 8}}
    path.write_text(yaml.safe_dump(job_document(task=task, budget={"trials": 1})))
    return path


def succeeded(run: Run) -> Run:
    assert run.code == 0, run.out + run.err
    return run


@pytest.mark.parametrize(
    "by", ["below", pytest.param("beside", marks=pytest.mark.long), pytest.param("absolute", marks=pytest.mark.long)]
)
def test_a_search_takes_a_file_by_its_path(folder: Path, by: str) -> None:
    job = {
        "beside": lambda: write_job(folder / "texts/job.yaml"),
        "below": lambda: write_job(folder / "job.yaml", file="texts/reviews.csv"),
        "absolute": lambda: write_job(folder / "job.yaml", file=str(folder / "texts/reviews.csv")),
    }[by]()
    run = succeeded(nas("search", job, "--processes", 1, "--out", "found", "--json"))
    assert run.json["job"]["dataset"] == "reviews.csv"
    (member,) = run.json["front"]["members"]
    config = yaml.safe_load((folder / f"found/trial-{member['number']}.yaml").read_text())
    assert config["dataset"]["own"]["own"]["file"] == "reviews.csv"
    assert vocabulary_from(config["dataset"]["vocabulary"]).decode([72 + 3]) == "H"
    assert "adding reviews.csv" in run.err
    assert "preparing" in run.err
    store = Store.open("sqlite:///data/pocketformer.db")
    assert b"".join(store.file_pieces("reviews.csv")) == reviews()
    store.close()
    verified = nas("score", f"found/trial-{member['number']}.yaml", "--verify", "--weights",
                   f"found/trial-{member['number']}.safetensors", "--json")  # fmt: skip
    assert all(row["agrees"] for row in verified.json["rows"])
    # Again with only the name: it was added before
    assert succeeded(nas("search", write_job(folder / "again.yaml"), "--processes", 1))


def test_a_path_to_nothing_and_a_name_of_nothing_are_refused(folder: Path) -> None:
    for file, found in (("texts/nowhere.csv", "a file beside the job document"), ("nowhere.csv", "nas data add")):
        run = nas("search", write_job(folder / "job.yaml", file=file))
        assert (run.code, run.out) == (2, "")
        assert "task.dataset.file" in run.err
        assert found in run.err


def test_a_file_that_changed_under_its_name_is_a_conflict(folder: Path) -> None:
    succeeded(nas("data", "add", "texts/reviews.csv"))
    (folder / "texts/reviews.csv").write_bytes(reviews(500))
    run = nas("search", write_job(folder / "texts/job.yaml"))
    assert run.code == 1
    assert "give this one another name" in run.err


def test_what_is_wrong_with_a_file_is_said_by_its_field(folder: Path) -> None:
    run = nas("search", write_job(folder / "texts/job.yaml", columns={"text": "review", "label": "rating"}))
    assert run.code == 2
    assert "task.dataset.columns.label" in run.err
    assert "(review, stars)" in run.err


def test_a_submitted_job_brings_its_file_to_the_server(folder: Path) -> None:
    with serving(folder / "served.db") as service:
        job = write_job(folder / "texts/job.yaml")
        submitted = succeeded(nas("jobs", "submit", job, "--url", service.url, "--json")).json
        assert submitted["dataset"] == "reviews.csv"
        assert [f["name"] for f in succeeded(nas("data", "list", "--url", service.url, "--json")).json["files"]] == [
            "reviews.csv"
        ]
        shown = succeeded(nas("data", "show", "reviews.csv", "--url", service.url))
        assert "really" in shown.out
        assert nas("data", "show", "nothing.csv", "--url", service.url).code == 1
        (folder / "texts/pairs.jsonl").write_bytes(b"[]")
        refused = nas("data", "add", "texts/pairs.jsonl", "--url", service.url)
        assert refused.code == 2
        assert "one JSON object a line" in refused.err


def test_files_are_added_listed_and_looked_at(folder: Path) -> None:
    added = succeeded(nas("data", "add", "texts/reviews.csv", "--json")).json
    assert added["columns"] == ["review", "stars"]
    assert succeeded(nas("data", "add", "texts/reviews.csv", "--json")).json == added
    assert added["sha256"] in succeeded(nas("data", "add", "texts/reviews.csv")).out
    succeeded(nas("data", "add", "texts/story.txt"))
    assert "story.txt" in succeeded(nas("data", "list")).out
    stored = succeeded(nas("data", "show", "reviews.csv", "--json")).json
    here = succeeded(nas("data", "show", "texts/reviews.csv", "--json")).json
    assert stored == here
    assert (stored["rows"], stored["columns"][1]["commonest"]) == (400, {"1": 134, "2": 133, "3": 133})
    shown = succeeded(nas("data", "show", "texts/reviews.csv"))
    assert "400 rows" in shown.out
    assert "1 (134)" in shown.out
    assert "reading reviews.csv" in shown.err


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("none.csv", None, "check the path"),
        ("empty.csv", b"", "no rows"),
        ("latin.csv", b"a,b\ncaf\xe9,1\n", "iconv"),
        ("spread sheet.csv", b"a,b\n1,2\n", "rename the file"),
    ],
)
def test_a_file_that_can_not_be_added_is_refused(folder: Path, name: str, content: bytes | None, found: str) -> None:
    if content is not None:
        (folder / name).write_bytes(content)
    run = nas("data", "add", name)
    assert (run.code, run.out) == (2, "")
    assert found in run.err
    assert nas("data", "list", "--json").json == {"files": []}


def test_a_device_is_measured_for_the_vocabulary_of_a_job(folder: Path) -> None:
    from nas.cli.measuring import at_workload  # noqa: PLC0415
    from nas.space import SearchSpace  # noqa: PLC0415
    from nas.workload import Workload  # noqa: PLC0415

    job = write_job(folder / "texts/job.yaml", vocabulary={"kind": "character", "size": 20})
    space = at_workload(SearchSpace.bundled("smoke"), Workload(input_length=16), str(job))
    assert (space.task_shape.vocabulary_size, space.task_shape.outputs) == (20, 3)
    assert not os.path.exists("data")  # nothing is added for it
    named = folder / "named.yaml"
    named.write_text(yaml.safe_dump(job_document()))
    assert at_workload(SearchSpace.bundled("smoke"), Workload(input_length=16), str(named)).task_shape.outputs == 35
    refused = nas("device", "profile", "here", "--space", "smoke", "--input-length", 16, "--dataset", "nowhere.yaml")
    assert refused.code == 2
