"""The bundle: asked of a server, unpacked, and held against what it records by its own script."""

import json
import os
import shutil
import subprocess
import sys
import time
import zipfile

import pytest
import yaml

from nas.errors import InvalidInput
from nas.export import bundle
from nas.export.bundle import Contents, write_bundle
from nas.export.bundle_report import read_report
from nas.export.bundle_verify import main, verify
from nas.export.config import read_config
from nas.export.opened import open_bundle, read_bundle
from nas.jobs import bundles
from nas.jobs.bundles import Bundles, Making, TooManyBundles, contents_of
from nas.jobs.worker import Worker
from tests.integration.api_examples import job_document
from tests.integration.api_service import serving
from tests.integration.cli_runner import nas


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A server with one finished job and its first evaluated trial; its cache is its own."""
    folder = tmp_path_factory.mktemp("bundle")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        with serving(folder / "nas.db") as service:
            job = service.client.post("/v1/jobs", json=job_document(budget={"trials": 2})).json()
            Worker(service.store, processes=1).run_job(job["id"])
            trials = service.client.get(f"/v1/jobs/{job['id']}/trials?state=complete").json()["trials"]
            yield service, trials[0]


@pytest.fixture(scope="module")
def asked(finished, tmp_path_factory):
    """Everything that the server told until the bundle was there, and the bundle unpacked."""
    service, trial = finished
    told = []
    deadline = time.monotonic() + 240
    while (answer := service.client.get(trial["links"]["bundle"])).status_code == 202:
        assert answer.headers["retry-after"] == "1"
        told.append(answer.json())
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert answer.status_code == 200, answer.text
    folder = tmp_path_factory.mktemp("unpacked")
    (folder / "b.zip").write_bytes(answer.content)
    with zipfile.ZipFile(folder / "b.zip") as archive:
        archive.extractall(folder)
    return answer, told, folder / trial["architecture_id"]


@pytest.fixture
def folder(asked, tmp_path):
    """A copy of the unpacked bundle that a test may spoil."""
    return shutil.copytree(asked[2], tmp_path / "bundle")


def test_the_server_tells_how_far_it_is_and_makes_it_once(finished, asked):
    service, trial = finished
    answer, told, _ = asked
    assert {each["what"] for each in told} >= {"programs", "scoring"}
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == f'attachment; filename="{trial["architecture_id"]}.zip"'
    again = service.client.get(trial["links"]["bundle"])
    assert (again.status_code, again.content) == (200, answer.content)
    part = service.client.get(trial["links"]["bundle"], headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, answer.content[:4])


def test_it_holds_what_was_searched_and_what_deploys_it(finished, asked):
    service, trial = finished
    _, _, unpacked = asked
    job = service.client.get(f"/v1/jobs/{read_config((unpacked / 'config.yaml').read_bytes()).provenance.job}").json()
    assert yaml.safe_load((unpacked / "job.yaml").read_text())["name"] == job["name"]
    assert yaml.safe_load((unpacked / "search_space.yaml").read_text())["name"] == "smoke"
    recorded = yaml.safe_load((unpacked / "trial.yaml").read_text())
    assert recorded["metrics"] == pytest.approx(trial["metrics"])
    assert recorded["qualities"][0]["label"] == "proxy"
    assert json.loads((unpacked / "vocabulary.json").read_text())["type"] == "bytes"
    weights = service.client.get(trial["links"]["weights"]).content
    assert (unpacked / "model.safetensors").read_bytes() == weights
    report = read_report((unpacked / "report.json").read_bytes())
    assert report.left_out == ()
    assert sorted(str(f.relative_to(unpacked)) for f in (unpacked / "programs").rglob("*.*")) == sorted(
        each.file for each in report.programs
    )
    assert {(each.runtime, each.precision) for each in report.programs} == set(bundle.DEPLOYED)
    readme = (unpacked / "README.md").read_text()
    assert f"{trial['metrics']['parameters']:,}" in readme
    assert all(f"`{each.file}`" in readme for each in report.programs)
    assert "nas/" not in (unpacked / "config.yaml").read_text()
    assert "href" not in (unpacked / "config.yaml").read_text()


def test_the_programs_score_what_torch_scores(asked):
    report = read_report((asked[2] / "report.json").read_bytes())
    assert report.quality.examples == 1000
    for by in report.quality.programs:
        assert set(by.metrics) == {"error_rate", "loss"}
        allowed = 1e-5 if by.precision == "fp32" else 0.02
        assert all(abs(lost) <= allowed for lost in by.lost.values()), by


def test_its_script_confirms_it_in_a_process_of_its_own(asked):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "rebuild.py", "--no-latency", "--json"],
        cwd=asked[2], capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)["rows"]}
    assert all(row["agrees"] for row in rows.values())
    assert rows["error_rate (proxy, validation)"]["rebuilt"] == pytest.approx(
        rows["error_rate (proxy, validation)"]["recorded"], abs=1e-6
    )
    assert "error_rate of executorch int8-dynamic" in rows
    assert "programs/executorch/fp32/model.pte: off torch by" in rows


def test_it_answers_a_text_with_its_programs(asked, capsys):
    answers = [open_bundle(asked[2], runtime).answer("guten Tag") for runtime in ("onnxruntime", "executorch")]
    assert answers[0] == pytest.approx(answers[1], abs=1e-5)
    assert len(answers[0]) == 5
    assert sum(answers[0].values()) <= 1
    assert main(asked[2], ["--text", "guten Tag"]) == 0
    assert next(iter(answers[0])) in capsys.readouterr().out.splitlines()[0]
    assert main(asked[2], ["--text", ""]) == 2


def test_a_program_that_was_changed_is_told(folder):
    file = folder / "programs/onnxruntime/fp32/model.onnx"
    file.write_bytes(file.read_bytes() + b" ")
    (folder / "programs/onnxruntime/int8-dynamic/model.onnx").unlink()
    rows = {row.name: row for row in verify(read_bundle(folder), latency=False).rows}
    assert rows["programs/onnxruntime/fp32/model.onnx"].agrees is False
    assert "not the one that was checked" in rows["programs/onnxruntime/fp32/model.onnx"].note
    assert rows["programs/onnxruntime/int8-dynamic/model.onnx"].note == "the file is not there"


def test_weights_that_were_changed_are_refused(folder, capsys):
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xff")
    assert main(folder, ["--no-latency"]) == 2
    assert "other weights" in capsys.readouterr().err


@pytest.mark.parametrize("file", ["config.yaml", "report.json"])
def test_a_folder_that_is_no_bundle_says_what_is_missing(folder, file):
    (folder / file).unlink()
    with pytest.raises(InvalidInput, match=f"a folder with {file}"):
        read_bundle(folder)


def test_a_report_that_names_a_file_elsewhere_is_refused(folder):
    report = json.loads((folder / "report.json").read_text())
    report["programs"][0]["file"] = "programs/../../elsewhere.onnx"
    (folder / "report.json").write_text(json.dumps(report))
    with pytest.raises(InvalidInput, match=r"report\.programs\[?\.?0"):
        read_bundle(folder)


def test_equal_contents_make_equal_bytes_and_nothing_is_left_beside(finished, tmp_path, monkeypatch):
    service, trial = finished
    monkeypatch.setattr(bundle, "DEPLOYED", (("onnxruntime", "fp32"),))
    job_id = trial["links"]["self"].split("/")[3]
    contents = contents_of(service.store, service.store.job(job_id), service.store.trial(job_id, trial["number"]))
    for name in ("a.zip", "b.zip"):
        write_bundle(Contents(**contents), tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.zip", "b.zip"]


def test_the_command_line_makes_one_without_a_server(finished, tmp_path, monkeypatch):
    service, trial = finished
    (tmp_path / "knee.yaml").write_text(service.client.get(trial["links"]["config_yaml"]).text)
    monkeypatch.setattr(bundle, "DEPLOYED", (("onnxruntime", "fp32"),))
    result = nas("export", str(tmp_path / "knee.yaml"), "--bundle", str(tmp_path / "knee.zip"), "--json")
    assert result.code == 0, result.err
    assert [each["file"] for each in result.json["programs"]] == ["programs/onnxruntime/fp32/model.onnx"]
    with zipfile.ZipFile(tmp_path / "knee.zip") as archive:
        assert f"{trial['architecture_id']}/rebuild.py" in archive.namelist()
    both = nas("export", str(tmp_path / "knee.yaml"), "--bundle", "a.zip", "--onnx", "a.onnx")
    assert both.code == 2
    assert "--bundle alone" in both.err


def test_the_command_line_fetches_one_from_a_server(finished, asked, tmp_path):
    service, trial = finished
    job_id = trial["links"]["self"].split("/")[3]
    out = tmp_path / "b.zip"
    result = nas(
        "jobs", "bundle", job_id, "--trial", str(trial["number"]), "--out", str(out), "--url", service.url
    )  # fmt: skip
    assert result.code == 0, result.err
    assert out.read_bytes() == asked[0].content


def test_a_trial_that_promises_nothing_has_none(finished):
    service, _ = finished
    job = service.client.post("/v1/jobs", json=job_document(name="waits")).json()
    missing = service.client.get(f"/v1/jobs/{job['id']}/trials/0/bundle")
    assert (missing.status_code, missing.json()["title"]) == (404, "There is nothing of that name")


def asked_until_it_fails(made, store, job, record):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        made.ask(store, job, record)
        time.sleep(0.05)


def test_what_could_not_be_made_is_said_once_and_tried_again(finished, tmp_path, monkeypatch):
    service, trial = finished
    job_id = trial["links"]["self"].split("/")[3]
    job, record = service.store.job(job_id), service.store.trial(job_id, trial["number"])
    made = Bundles(f"sqlite:///{tmp_path}/another.db", tmp_path / "bundles")  # which knows no such job
    try:
        assert isinstance(made.ask(service.store, job, record), Making)
        with pytest.raises(bundles.BundleFailed, match=f"trial {trial['number']} could not be made: "):
            asked_until_it_fails(made, service.store, job, record)
        assert isinstance(made.ask(service.store, job, record), Making)
        monkeypatch.setattr(bundles, "MOST_WAITING", 0)
        other = service.store.trial(job_id, 1)
        with pytest.raises(TooManyBundles):
            made.ask(service.store, job, other)
    finally:
        made.close()


def test_the_bundles_asked_for_longest_ago_make_room(tmp_path, monkeypatch):
    monkeypatch.setattr(bundles, "MOST_BYTES", 25)
    for age, name in enumerate(("new", "middle", "old")):
        (tmp_path / f"{name}.zip").write_bytes(b"0123456789")
        os.utime(tmp_path / f"{name}.zip", (1e9 - age, 1e9 - age))
    bundles._drop_old(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["middle.zip", "new.zip"]
