"""A person's own file over REST: brought, searched on by a real worker, downloaded with what feeds the model."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_examples import job_document
from api_service import Service, serving
from processes import until
from test_api_errors import error_of, problem_of

from nas.architecture import Architecture
from nas.client import Client
from nas.errors import Conflict, InvalidInput, NotFound, TooLarge
from nas.export.config import read_config
from nas.export.rebuild import rebuild
from nas.export.weights import load_weights
from nas.jobs.worker import Worker
from nas.models import build_model
from nas.quality.datasets.described import vocabulary_from
from nas.store.records import JobState
from tests.unit.own_files import PAIRS, REVIEWS, STORY, pairs, reviews, story
from tests.unit.small_spaces import small_space


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


def bring(service: Service, name: str, content: bytes) -> httpx.Response:
    return service.client.post("/v1/datasets", params={"name": name}, content=content)


def job_on(dataset: dict[str, Any], **changes: Any) -> dict[str, Any]:
    task = {"dataset": dataset, "metric": "error_rate", "training": {"steps": 3, "batch_size": 8}}
    return job_document(task=task, budget={"trials": 2}, **changes)


class TestBringing:
    def test_a_file_is_told_with_its_columns_and_first_rows(self, service: Service) -> None:
        answer = bring(service, "told.csv", reviews())
        assert answer.status_code == 201, answer.text
        assert answer.headers["location"] == "/v1/datasets/told.csv"
        told = answer.json()
        assert (told["format"], told["columns"], told["size_bytes"]) == ("csv", ["review", "stars"], len(reviews()))
        assert len(told["first_rows"]) == 3
        assert told["first_rows"][0]["stars"] == "1"
        assert service.client.get("/v1/datasets/told.csv").json() == told
        (listed,) = [f for f in service.client.get("/v1/datasets").json()["files"] if f["name"] == "told.csv"]
        assert listed.items() <= told.items()

    def test_the_same_again_is_answered_with_200_and_another_content_with_409(self, service: Service) -> None:
        first = bring(service, "again.csv", reviews())
        before = service.rows()
        assert bring(service, "again.csv", reviews()).status_code == 200
        problem = problem_of(bring(service, "again.csv", reviews(300)), 409)
        assert "give this one another name" in problem["detail"]
        assert service.rows() == before
        assert service.client.get("/v1/datasets/again.csv").json() == first.json()

    @pytest.mark.parametrize(
        ("name", "content", "found"),
        [
            ("empty.csv", b"", "no rows"),
            ("binary.csv", bytes(3000), "binary data"),
            ("latin.csv", "text,label\ncafé,1\n".encode("latin-1"), "line 2"),
            ("ragged.csv", b"a,b\n1,2,3\n", "3 fields"),
            ("broken.jsonl", b"{\n", "line 1"),
            ("../../etc.csv", b"a,b\n", "../../etc.csv"),
            ("cmudict", b"a,b\n", "cmudict"),
        ],
    )
    def test_what_is_no_data_is_refused_and_nothing_is_kept(
        self, service: Service, name: str, content: bytes, found: str
    ) -> None:
        before = service.rows()
        assert found in error_of(bring(service, name, content), "file")["value"]
        assert service.rows() == before

    def test_a_file_without_a_name_is_refused_by_the_field(self, service: Service) -> None:
        error_of(service.client.post("/v1/datasets", content=reviews()), "name")
        error_of(service.client.post("/v1/datasets?name=a.csv&colour=blue", content=reviews()), "colour")

    def test_a_row_longer_than_the_beginning_is_taken(self, service: Service) -> None:
        row = json.dumps({"text": "x" * 3_000_000})
        told = bring(service, "wide.jsonl", f"{row}\n{row}\n".encode()).json()
        assert (told["columns"], told["first_rows"]) == ([], [])

    def test_the_limit_of_files_is_their_own(self, tmp_path: Path) -> None:
        with serving(tmp_path / "small.db", max_file_bytes=2_000_000) as small:
            assert bring(small, "large.csv", reviews(30_000)).status_code == 201  # beyond what other bodies may have
            before = small.rows()
            problem_of(bring(small, "larger.csv", reviews(60_000)), 413)
            streamed = (piece for piece in [b"text\n", *[b"x\n" * 100_000] * 20])
            problem_of(small.client.post("/v1/datasets?name=b.csv", content=streamed), 413)
            assert small.rows() == before
            with Client(small.url) as client, pytest.raises(TooLarge):
                client.add_file("c.csv", iter([b"x" * 1_000_000] * 3), 3_000_000)

    def test_a_connection_that_breaks_leaves_nothing(self, service: Service) -> None:
        def broken() -> Iterator[bytes]:
            yield reviews()
            until(lambda: service.rows() != before)  # it has begun to be kept
            raise ConnectionError("gone")

        before = service.rows()
        with pytest.raises(ConnectionError):
            httpx.post(f"{service.url}/v1/datasets?name=gone.csv", content=broken(), trust_env=False)
        until(lambda: service.rows() == before)  # a commit waits for the disk, which others may keep busy

    def test_the_client_brings_lists_and_looks(self, service: Service) -> None:
        with Client(service.url) as client:
            told = client.add_file("client.jsonl", iter([pairs()]), len(pairs()))
            assert client.file("client.jsonl") == told
            assert "client.jsonl" in [f["name"] for f in client.files()]
            with pytest.raises(Conflict):
                client.add_file("client.jsonl", iter([b'{"a": "b"}\n']))
            with pytest.raises(InvalidInput, match="file"):
                client.add_file("a b.csv", iter([b"x"]))
            with pytest.raises(NotFound, match="bundled"):
                client.file("cmudict")


def test_datasets_whose_package_is_missing_are_told_with_what_to_install(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nas.quality import datasets  # noqa: PLC0415

    monkeypatch.setitem(sys.modules, "bible", None)  # to Python, a package that is not there
    monkeypatch.setitem(datasets._LOADERS, "another-bible", datasets._LOADERS["king-james"])  # not read so far
    answer = service.client.get("/v1/datasets")
    assert answer.status_code == 200
    assert "cmudict" in [dataset["name"] for dataset in answer.json()["datasets"]]
    (missing,) = answer.json()["unavailable"]
    assert missing["name"] == "another-bible"
    assert "pip install" in missing["reason"]
    problem_of(service.client.get("/v1/datasets/another-bible"), 503)


class TestJobs:
    def test_a_file_that_was_not_brought_is_asked_for(self, service: Service) -> None:
        before = service.rows()
        answer = service.client.post("/v1/jobs", json=job_on({**REVIEWS, "file": "nowhere.csv"}))
        error = error_of(answer, "task.dataset.file")
        assert error["value"] == "'nowhere.csv'"
        assert "nas data add nowhere.csv" in error["next_step"]
        assert service.rows() == before

    @pytest.mark.parametrize(
        ("changes", "field", "allowed"),
        [
            ({"columns": {"text": "text", "label": "stars"}}, "task.dataset.columns.text", "(review, stars)"),
            ({"columns": {"text": "review", "label": "review"}}, "task.dataset.columns.label", "at least 10 rows"),
            ({"task": "sequence-to-sequence"}, "task.dataset.columns", "source and target"),
            ({"format": "jsonl"}, "task.dataset.file", "one JSON object a line"),
            ({"vocabulary": {"kind": "subword", "size": 3}}, "task.dataset.vocabulary.size", "259"),
            ({"file": "a/b.csv"}, "task.dataset.file", "pattern"),
        ],
    )
    def test_what_does_not_fit_the_file_is_refused_by_its_field(
        self, service: Service, changes: dict[str, Any], field: str, allowed: str
    ) -> None:
        bring(service, "reviews.csv", reviews())
        before = service.rows()
        answer = service.client.post("/v1/jobs", json=job_on({**REVIEWS, **changes}))
        assert allowed in error_of(answer, field)["allowed"]
        assert service.rows() == before

    @pytest.mark.parametrize("dataset", [3, None, ["cmudict"], True])
    def test_a_dataset_that_is_neither_name_nor_mapping_is_refused(self, service: Service, dataset: Any) -> None:
        error_of(service.client.post("/v1/jobs", json=job_on(dataset)), "task.dataset")

    def test_a_metric_of_another_task_is_refused(self, service: Service) -> None:
        bring(service, "reviews.csv", reviews())
        document = job_on(REVIEWS)
        document["task"]["metric"] = "bits_per_byte"
        answer = service.client.post("/v1/jobs", json=document)
        assert error_of(answer, "task.metric")["allowed"] == "error_rate, loss"


RUNS: dict[str, dict[str, Any]] = {
    "classification": {
        "content": reviews(),
        "dataset": {**REVIEWS, "file": "run.csv", "vocabulary": {"kind": "subword", "size": 300}},
        "search_space": "smoke",
        "workload": {"input_length": 16},
        "objectives": ["error_rate", "parameters"],
    },
    "language-model": {
        "content": story(),
        "dataset": {**STORY, "file": "run.txt", "vocabulary": {"kind": "character"}},
        "search_space": small_space("small-decoder").to_document(),
        "workload": {"input_length": 12, "output_length": 4},
        "objectives": ["bits_per_byte", "macs"],
    },
    "sequence-to-sequence": {
        "content": pairs(),
        "dataset": {**PAIRS, "file": "run.jsonl"},
        "search_space": small_space("small-encoder-decoder").to_document(),
        "workload": {"input_length": 12, "output_length": 12},
        "objectives": ["token_error_rate", "macs"],
    },
}


@pytest.mark.parametrize("kind", RUNS)
def test_a_job_on_a_file_ends_with_configurations_that_feed_and_rebuild_the_model(
    service: Service, kind: str, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = RUNS[kind]
    own = run["dataset"]
    assert bring(service, own["file"], run["content"]).status_code == 201
    task = {"dataset": own, "metric": run["objectives"][0], "training": {"steps": 3, "batch_size": 8}}
    keys = ("search_space", "workload", "objectives")
    document = job_document(task=task, budget={"trials": 1}, constraints=[], **{key: run[key] for key in keys})
    with Client(service.url) as client:
        job = client.submit_job(document, idempotency_key=kind)
        assert job["dataset"] == own["file"]
        assert client.submit_job(document, idempotency_key=kind)["id"] == job["id"]
        # A worker on another machine has nothing but the store
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
        assert Worker(service.store, processes=1).run_job(job["id"]).state is JobState.SUCCEEDED
        (member,) = client.front(job["id"])["members"]
        config = read_config(client.config(job["id"], member["number"]))
        as_json = read_config(client.config(job["id"], member["number"], "json"))
        weights = client.weights(job["id"], member["number"])
    assert config == as_json
    assert config.dataset is not None
    assert config.dataset.own is not None
    assert config.dataset.own.own.file == own["file"]
    assert config.dataset.task == own["task"]
    assert config.dataset.vocabulary is not None
    vocabulary = vocabulary_from(config.dataset.vocabulary)
    text = run["content"].decode().splitlines()[6][:40]
    assert vocabulary.decode(vocabulary.encode(text)) == text
    model = build_model(Architecture.from_dict(config.architecture))
    load_weights(model, weights)
    assert max(vocabulary.encode(text)) < config.architecture["vocabulary_size"]
    if kind == "classification":
        assert config.dataset.classes == ("1", "2", "3")
    rebuilt = rebuild(config, weights=weights, measure_latency=False)
    assert rebuilt.agrees, rebuilt.to_dict()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "nowhere"))
    rows = rebuild(config, weights=weights, measure_latency=False).rows
    assert any("not prepared on this machine" in row.note for row in rows)


def test_a_worker_that_prepares_other_data_than_was_pinned_says_so(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from nas.quality.datasets.own import gathering  # noqa: PLC0415

    bring(service, "pinned.csv", reviews())
    job = service.client.post("/v1/jobs", json=job_on({**REVIEWS, "file": "pinned.csv"})).json()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setattr(gathering, "HELD_OUT_EXAMPLES", 12)  # as another release might have it
    ended = Worker(service.store, processes=1).run_job(job["id"])
    assert ended.state is JobState.FAILED
    assert "the dataset pinned.csv of this worker" in (ended.reason or "")
