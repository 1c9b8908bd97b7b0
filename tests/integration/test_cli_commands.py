"""The commands at work: one machine measured, one server, one job, in a folder of its own."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest
import yaml
from cli_runner import Run, examples, nas

from nas.cli.server_process import ServerProcess
from nas.costs import cost_names, costs_of
from nas.space import SearchSpace
from nas.workload import Workload
from tests.integration.processes import until
from tests.patience import patiently
from tests.unit.own_files import reviews

LATENCY = "latency_ms@this-machine"
WORKLOAD = ("--space", "smoke", "--input-length", 64)
JOB: dict[str, Any] = {
    "name": "smoke test",
    "search_space": "smoke",
    "task": {"dataset": "language-identification", "metric": "error_rate", "training": {"steps": 5}},
    "workload": {"batch": 1, "input_length": 64},
    "devices": ["this-machine"],
    "objectives": ["error_rate", LATENCY],
    "constraints": ["parameters <= 20000"],
    "budget": {"trials": 3},
    "sampler": "random",
    "seed": 0,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder to stand in, with a server, a measured table, a job that has ended and its knee."""
    folder = tmp_path_factory.mktemp("commands")
    here, surroundings = Path.cwd(), dict(os.environ)
    os.chdir(folder)
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")  # an interrupted profile of another test is not ours
    (folder / "job.yaml").write_text(yaml.safe_dump(JOB))
    (folder / "data").mkdir()
    with ServerProcess(folder / "data/pocketformer.db", folder / "serve.log", port=0, processes=1) as server:
        os.environ["POCKETFORMER_URL"] = server.url
        try:
            _measure(folder)
            _write_rows(folder / "rows.csv")
            (folder / "reviews.csv").write_bytes(reviews())
            _succeed(nas("jobs", "submit", "job.yaml", "--watch"))
            _succeed(nas("jobs", "config", "--out", "knee.yaml", "--weights", "knee.safetensors"))
            yield folder
        finally:
            os.chdir(here)
            os.environ.clear()
            os.environ.update(surroundings)


def _measure(folder: Path) -> None:
    words = ("device", "profile", "this-machine", *WORKLOAD, "--whole-models", 12, "--out", folder / "table.json")
    _succeed(patiently(lambda patience_s: nas(*words, "--patience", patience_s)))


def _write_rows(file: Path) -> None:
    """Write every architecture of the smoke space with a latency that follows its size, as `device fit` reads it."""
    rng = random.Random(0)
    every = list(SearchSpace.bundled("smoke").enumerate())
    rng.shuffle(every)
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["architecture", "latency_ms"])
        for architecture in every:
            latency_ms = 0.1 + 1e-7 * costs_of(architecture, Workload(input_length=64)).macs
            writer.writerow([json.dumps(architecture.to_dict()), latency_ms * rng.gauss(1, 0.01)])


def _succeed(run: Run) -> Run:
    assert run.code == 0, run.out + run.err
    return run


# Devices and spaces ------------------------------------------------------------------------------------------


def test_a_profile_is_kept_and_written_as_a_file(folder: Path) -> None:
    table = json.loads((folder / "table.json").read_text())
    (device,) = nas("device", "list", "--json").json["devices"]
    assert device["name"] == table["device"]["name"] == "this-machine"
    assert device["tables"][-1]["entries"] == len(table["entries"])
    shown = _succeed(nas("device", "show", "this-machine")).out
    assert device["fingerprint"] in shown
    assert "mean error" in shown


def test_a_table_measured_elsewhere_is_imported_with_its_device(folder: Path) -> None:
    other = f"sqlite:///{folder / 'other.db'}"
    added = _succeed(nas("device", "import", "table.json", "--database", other, "--json")).json
    assert added["version"] == 1
    assert nas("device", "import", "table.json", "--database", other, "--json").json["version"] == 2
    assert nas("device", "show", "this-machine", "--database", other, "--json").json["tables"][0] == added


def test_a_device_alone_can_be_imported(folder: Path) -> None:
    device = nas("device", "show", "this-machine", "--json").json
    file = folder / "device.yaml"
    file.write_text(yaml.safe_dump({k: v for k, v in device.items() if k not in ("tables", "fingerprint")}))
    added = _succeed(nas("device", "import", file, "--database", f"sqlite:///{folder / 'third.db'}", "--json")).json
    assert added["fingerprint"] == device["fingerprint"]
    assert added["tables"] == []


def test_a_server_and_its_database_tell_the_same_of_devices_and_spaces(folder: Path) -> None:
    url = os.environ["POCKETFORMER_URL"]
    for words in (
        ("device", "list"),
        ("device", "show", "this-machine"),
        ("space", "list"),
        ("space", "show", "smoke"),
    ):
        assert nas(*words, "--json").json == nas(*words, "--url", url, "--json").json


def test_a_verification_says_predicted_and_measured_and_its_exit_code_whether_they_agree(folder: Path) -> None:
    run = nas("device", "verify", "this-machine", *WORKLOAD, "--models", 2, "--patience", 5, "--json")
    assert len(run.json["models"]) == 2
    for row in run.json["models"]:
        assert row["agrees"] == (abs(row["measured_ms"] / row["predicted_ms"] - 1) <= 0.15)
    assert run.code == (0 if run.json["agrees"] else 1)


def test_the_front_of_a_job_is_measured_too(folder: Path) -> None:
    url = os.environ["POCKETFORMER_URL"]
    run = nas("device", "verify", "this-machine", *WORKLOAD, "--job", "latest", "--patience", 5, "--url", url, "--json")
    front = nas("jobs", "front", "--json").json
    assert [r["architecture_id"] for r in run.json["models"]] == [m["architecture_id"] for m in front["members"]]
    assert [r["predicted_ms"] for r in run.json["models"]] == [m["metrics"][LATENCY] for m in front["members"]]


def test_a_space_is_shown_as_the_document_that_a_job_may_hold(folder: Path) -> None:
    out = _succeed(nas("space", "show", "smoke")).out
    assert "# 144 architectures, family encoder\n" in out
    assert {"6,059", "26,595"} <= set(out.split())  # the reach of the parameters
    assert yaml.safe_load(out) == nas("space", "show", "smoke", "--json").json["document"]
    assert "144" in _succeed(nas("space", "list")).out


# Jobs on a server --------------------------------------------------------------------------------------------


def test_a_job_is_listed_and_shown(folder: Path) -> None:
    newest = nas("jobs", "list", "--json").json["jobs"][0]
    assert newest["name"] == "smoke test"
    assert newest["id"] in _succeed(nas("jobs", "list")).out
    shown = _succeed(nas("jobs", "show", newest["id"])).out
    assert "3 of 3" in shown
    assert f"{os.environ['POCKETFORMER_URL']}/jobs/{newest['id']}" in shown
    assert nas("jobs", "show", "--json").json == nas("jobs", "show", newest["id"], "--json").json


def test_the_front_names_its_knee_and_can_be_asked_under_other_limits(folder: Path) -> None:
    front = nas("jobs", "front", "--json").json
    assert "knee →" in _succeed(nas("jobs", "front")).out
    assert front["knee"] in [member["number"] for member in front["members"]]
    none = nas("jobs", "front", "--constraint", "parameters <= 1")
    assert (none.code, none.out) == (0, "")
    assert "No trial" in none.err
    by_macs = nas("jobs", "front", "--objectives", "error_rate,macs", "--json").json
    assert [o["name"] for o in by_macs["objectives"]] == ["error_rate", "macs"]
    assert nas("jobs", "front", "--objectives", "beauty").code == 2


def test_trials_are_listed_with_the_reason_why_one_was_never_trained(folder: Path) -> None:
    trials = nas("jobs", "trials", "--json").json["trials"]
    text = _succeed(nas("jobs", "trials")).out
    assert len([t for t in trials if t["state"] == "complete"]) == 3
    for trial in trials:
        if trial["skip_reason"] == "over_limit":
            assert "skipped: over parameters <= 20000" in text
    assert {t["state"] for t in nas("jobs", "trials", "--state", "complete", "--json").json["trials"]} == {"complete"}


def test_a_configuration_is_the_same_as_yaml_as_json_and_in_a_file(folder: Path) -> None:
    as_yaml, as_json = nas("jobs", "config").out, nas("jobs", "config", "--format", "json").out
    assert yaml.safe_load(as_yaml) == json.loads(as_json)
    assert as_yaml == (folder / "knee.yaml").read_text()
    first = nas("jobs", "trials", "--state", "complete", "--json").json["trials"][0]
    config = yaml.safe_load(nas("jobs", "config", "latest", "--trial", first["number"]).out)
    assert config["architecture"]["id"] == first["architecture_id"]


def test_watching_a_job_that_has_ended_replays_its_events(folder: Path) -> None:
    events = [json.loads(line) for line in _succeed(nas("jobs", "watch", "--json")).out.splitlines()]
    assert {e["data"]["trial"]["number"] for e in events if e["event"] == "trial"} >= {0, 1, 2}
    assert (events[-1]["event"], events[-1]["data"]["state"]) == ("job", "succeeded")
    assert [e["sequence"] for e in events] == sorted({e["sequence"] for e in events})
    assert "succeeded: 3/3 trials" in _succeed(nas("jobs", "watch")).err


def test_the_same_key_submits_once_and_a_cancelled_job_ends_without_success(folder: Path) -> None:
    (folder / "long.yaml").write_text(yaml.safe_dump({**JOB, "name": "long", "budget": {"trials": 500}}))
    first = nas("jobs", "submit", "long.yaml", "--key", "k-1", "--json").json
    assert nas("jobs", "submit", "long.yaml", "--key", "k-1", "--json").json["id"] == first["id"]
    conflict = nas("jobs", "submit", "job.yaml", "--key", "k-1")
    assert (conflict.code, conflict.out) == (1, "")
    assert _succeed(nas("jobs", "cancel", first["id"])).out.startswith(first["id"])
    watched = nas("jobs", "watch", first["id"])
    assert watched.code == 1
    assert "cancelled" in watched.out
    assert nas("jobs", "cancel", first["id"]).code == 1  # it has ended
    _succeed(nas("jobs", "submit", "job.yaml", "--watch"))  # the newest again is one with a front


def test_a_job_is_paused_resumed_retried_and_deleted_by_name(folder: Path) -> None:
    (folder / "long.yaml").write_text(yaml.safe_dump({**JOB, "name": "long", "budget": {"trials": 500}}))
    job = nas("jobs", "submit", "long.yaml", "--json").json["id"]
    assert _succeed(nas("jobs", "priority", job, "--", "-5")).out.endswith("priority -5\n")
    beyond = nas("jobs", "priority", job, "101")
    assert (beyond.code, beyond.out) == (2, "")
    assert "100" in beyond.err
    assert re.search("pausing|paused", _succeed(nas("jobs", "pause", job)).out)
    _until(job, "paused")
    assert _succeed(nas("jobs", "resume", job)).out == f"{job} queued\n"
    for words in (("retry", job), ("delete", job, "--yes")):
        refused = nas("jobs", *words)
        assert (refused.code, refused.out) == (1, ""), words
        assert re.search("is (queued|running)", refused.err)
    _ended(job)
    assert _succeed(nas("jobs", "retry", job)).out == f"{job} queued\n"
    _ended(job)
    unasked = nas("jobs", "delete", job)
    assert (unasked.code, unasked.out) == (2, "")
    assert "--yes" in unasked.err
    assert _succeed(nas("jobs", "delete", job, "--yes")).out == f"{job} deleted\n"
    assert nas("jobs", "show", job).code == 1


def _ended(job: str) -> None:
    _succeed(nas("jobs", "cancel", job))
    _until(job, "cancelled")


def _until(job: str, state: str) -> None:
    until(lambda: nas("jobs", "show", job, "--json").json["state"] == state)


def test_a_job_that_is_not_there_exits_with_1(folder: Path) -> None:
    names = ("show", "front", "trials", "config", "watch", "cancel", "pause", "resume", "retry")
    for words in (*((name,) for name in names), ("delete", "--yes")):
        run = nas("jobs", *words, "j-00000000000000000000")
        assert (run.code, run.out) == (1, ""), words
        assert "j-00000000000000000000" in run.err


# One architecture --------------------------------------------------------------------------------------------


LONG = [pytest.param(name, marks=pytest.mark.long) for name in ("text-encoder", "lite-seq2seq", "hat-wmt")]


@pytest.mark.parametrize("name", ["causal-decoder", "seq2seq", *LONG])
def test_every_bundled_space_is_shown_with_its_choices_and_the_reach_of_every_cost(folder: Path, name: str) -> None:
    shown = _succeed(nas("space", "show", name)).out
    whole = nas("space", "show", name, "--json").json
    assert f"exactly {whole['size']:,}" in shown
    assert yaml.safe_load(shown) == whole["document"]
    assert set(whole["bounds"]) == set(cost_names(whole["family"]))
    assert all(f" {cost}\n" in shown for cost in whole["bounds"])
    assert all(bounds["lowest"] < bounds["highest"] for bounds in whole["bounds"].values())
    for stack in {"encoder", "decoder"} & set(whole["document"]):
        assert all(f"attention {kind} " in shown for kind in whole["document"][stack]["layer"]["attention"])


def test_a_decoder_is_scored_with_prompt_step_and_cache(folder: Path) -> None:
    architecture = SearchSpace.bundled("causal-decoder").sample(random.Random(0))
    (folder / "decoder.json").write_text(json.dumps(architecture.to_dict()))
    whole = _succeed(nas("score", "decoder.json", "--json")).json
    assert whole["macs"] == whole["macs_prefill"] + 64 * whole["macs_step"]  # it reads 64 of 128 tokens
    longer = _succeed(nas("score", "decoder.json", "--input-length", 96, "--output-length", 32, "--json")).json
    assert longer["macs_prefill"] > whole["macs_prefill"]
    assert longer["kv_cache_mb"] == whole["kv_cache_mb"] > 0
    refused = nas("score", "decoder.json", "--input-length", 96, "--output-length", 33)
    assert (refused.code, "at most 32 after an input of 96" in refused.err) == (2, True)
    exported = _succeed(nas("export", "decoder.json", "--onnx", "decoder.onnx", "--json")).json["programs"]
    assert [(each["file"], each["phase"]) for each in exported] == [
        ("decoder.prefill.onnx", "prefill"),
        ("decoder.step.onnx", "step"),
    ]
    assert exported[0]["inputs"][0] == {"name": "tokens", "type": "int64", "shape": [1, 64]}


def test_a_configuration_scores_what_it_records(folder: Path) -> None:
    config = yaml.safe_load((folder / "knee.yaml").read_text())
    score = _succeed(nas("score", "knee.yaml", "--json")).json
    assert score["architecture_id"] == config["architecture"]["id"]
    assert {name: score[name] for name in config["costs"]} == config["costs"]
    assert score["latency"]["this-machine"]["latency_ms"] == config["latency"]["this-machine"]["latency_ms"]
    by_server = nas("score", "knee.yaml", "--url", os.environ["POCKETFORMER_URL"], "--json").json
    assert by_server == score
    assert f"{score['parameters']:,}" in nas("score", "knee.yaml").out


def test_an_architecture_alone_is_scored_at_its_longest_input_and_at_others(folder: Path) -> None:
    config = yaml.safe_load((folder / "knee.yaml").read_text())
    (folder / "architecture.json").write_text(json.dumps(config["architecture"]))
    longest = _succeed(nas("score", "architecture.json", "--json")).json
    assert longest["macs"] == config["costs"]["macs"]
    shorter = nas("score", "architecture.json", "--input-length", 32, "--json")
    assert shorter.json["macs"] < longest["macs"]
    assert shorter.json["latency"] == {}
    assert "No latency for this-machine" in shorter.err
    assert nas("score", "architecture.json", "--input-length", 65).code == 2
    assert nas("score", "architecture.json", "--verify").code == 2
    assert nas("score", "knee.yaml", "--device", "phone").code == 2


@pytest.mark.parametrize("weights", [pytest.param((), marks=pytest.mark.long), ("--weights", "knee.safetensors")])
def test_a_model_rebuilt_from_its_file_is_the_recorded_one(folder: Path, weights: tuple[str, ...]) -> None:
    run = nas("score", "knee.yaml", "--verify", *weights, "--json")
    *exact, latency = run.json["rows"]
    assert [row["name"].split()[0] for row in exact] == [
        *("architecture", "parameters", "macs", "size_mb", "size_int8_mb", "peak_activation_mb", "error_rate", "loss")
    ]
    assert all(row["agrees"] for row in exact)
    assert latency["name"] == LATENCY
    assert latency["rebuilt"] > 0
    assert run.code == (0 if latency["agrees"] else 1)  # other tests may have kept the processor busy


def test_an_edited_configuration_does_not_pass_for_the_original(folder: Path) -> None:
    text = (folder / "knee.yaml").read_text()
    edited = folder / "edited.yaml"
    edited.write_text(text.replace("activation: relu", "activation: gelu"))
    refused = nas("score", edited, "--verify")
    assert refused.code == 2
    assert "config.architecture.id" in refused.err
    config = yaml.safe_load(text)
    config["costs"]["macs"] += 1
    config["weights"].pop("href")
    edited.write_text(yaml.safe_dump(config))
    wrong = nas("score", edited, "--verify", "--weights", "knee.safetensors")
    assert wrong.code == 1
    assert re.search(r"macs .* no ", wrong.out)
    assert "Not everything agrees." in wrong.out


def test_other_weights_than_the_recorded_ones_are_refused(folder: Path) -> None:
    content = bytearray((folder / "knee.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "other.safetensors").write_bytes(content)
    run = nas("score", "knee.yaml", "--verify", "--weights", "other.safetensors")
    assert run.code == 2
    assert "sha256" in run.err


def test_a_model_is_exported_as_onnx_with_its_weights(folder: Path) -> None:
    _succeed(nas("export", "knee.yaml", "--onnx", "knee.onnx", "--weights", "knee.safetensors"))
    onnx.checker.check_model(onnx.load(folder / "knee.onnx"), full_check=True)
    table = _succeed(nas("export", "knee.yaml", "--onnx", "again.onnx", "--weights", "knee.safetensors")).out
    assert re.search(r"again\.onnx +0\.\d+ +\d\.\de-0[5-9] +tokens int64 \[1, \d+\] +logits", table)
    untrained = _succeed(nas("export", "architecture.json", "--onnx", "untrained.onnx"))
    assert "untrained" in untrained.err
    assert (folder / "untrained.onnx").read_bytes() != (folder / "knee.onnx").read_bytes()


# Without a server --------------------------------------------------------------------------------------------


def test_a_search_without_a_server_prints_the_front_and_writes_it(folder: Path) -> None:
    run = _succeed(nas("search", "job.yaml", "--processes", 1, "--out", "found"))
    assert "knee →" in run.out
    assert "Knee: trial" in run.out
    assert "3/3 trials" in run.err
    front = json.loads((folder / "found/front.json").read_text())
    for member in front["members"]:
        stem = folder / f"found/trial-{member['number']}"
        assert stem.with_suffix(".safetensors").stat().st_size > 1000
        assert yaml.safe_load(stem.with_suffix(".yaml").read_text())["architecture"]["id"] == member["architecture_id"]


@pytest.mark.long
def test_a_search_is_the_same_with_and_without_a_server(folder: Path) -> None:
    def scores(front: dict[str, Any]) -> list[Any]:
        return [(m["number"], m["architecture_id"], m["metrics"]) for m in front["members"]]

    (folder / "anew.yaml").write_text(yaml.safe_dump({**JOB, "memory": False}))
    local = _succeed(nas("search", "anew.yaml", "--processes", 1, "--json")).json
    assert local["job"]["state"] == "succeeded"
    served = _succeed(nas("jobs", "submit", "anew.yaml", "--watch", "--json"))
    assert json.loads(served.out.splitlines()[-1])["data"]["state"] == "succeeded"
    assert scores(local["front"]) == scores(nas("jobs", "front", "--json").json)


# What the help promises --------------------------------------------------------------------------------------

SHOWN_ELSEWHERE = ("nas demo", "nas serve", "nas worker")
"""Started as processes of their own in other tests."""
ANOTHER_DEVICE = ("ssh://", "adb://")
"""Addresses of devices that aren't here. The contract suite of the transports reaches real servers of both."""


def runnable_examples() -> list[str]:
    """Return the examples that need neither another device nor a process of their own."""
    elsewhere = [line for line in examples() if any(f" {scheme}" in line for scheme in ANOTHER_DEVICE)]
    assert all("--address" in line for line in elsewhere)
    return [line for line in examples() if not line.startswith(SHOWN_ELSEWHERE) and line not in elsewhere]


def test_only_profiles_of_other_devices_are_left_out_of_the_examples_that_are_run() -> None:
    left_out = {line for line in examples() if not line.startswith(SHOWN_ELSEWHERE)} - set(runnable_examples())
    assert {tuple(shlex.split(line)[:3]) for line in left_out} == {("nas", "device", "profile")}
    assert {next(s for s in ANOTHER_DEVICE if s in line) for line in left_out} == set(ANOTHER_DEVICE)


CONTROL = tuple(f"nas jobs {name}" for name in ("cancel", "pause", "resume", "retry", "priority", "delete"))


def is_long(line: str) -> bool:
    """Return whether an example measures: other tests do that, and some of these have no small stand-in."""
    return line.startswith(("nas device profile", "nas device verify")) or (
        line.startswith("nas score") and "--verify" in line
    )


@pytest.mark.parametrize(
    "line",
    [pytest.param(line, marks=[pytest.mark.long] * is_long(line)) for line in runnable_examples()],
)
def test_every_example_of_the_help_works(folder: Path, line: str) -> None:
    if line.startswith(CONTROL):
        (folder / "long.yaml").write_text(yaml.safe_dump({**JOB, "name": "long", "budget": {"trials": 400}}))
        job = nas("jobs", "submit", "long.yaml", "--json").json["id"]
        if "retry" in line or "delete" in line:
            _ended(job)
    elif "jobs finish" in line:
        _succeed(nas("jobs", "submit", "job.yaml", "--watch"))  # so that the newest has ended
    elif "keys revoke" in line:
        line = line.replace("k-0f3a91c2", nas("keys", "create", "gone soon", "--role", "read", "--json").json["id"])
    elif "device compare" in line:
        _succeed(nas("device", "import", "table.json"))  # so that there are two versions
    elif not (folder / "knee.yaml").exists():
        shutil.copy(folder / "found/knee.yaml", folder)
    words = shlex.split(line.replace("text-encoder", "smoke").replace("--models 40", "--models 3"))[1:]
    if words[:2] == ["jobs", "finish"]:
        words += ["--sample", "1", "--members", "1"]
    if words[:2] == ["device", "profile"]:
        words += ["--whole-models", "12"]
        run = patiently(lambda patience_s: nas(*words, "--patience", patience_s))
    else:
        run = nas(*words, *(("--patience", 5) if words[:2] == ["device", "verify"] else ()))
    if line.startswith(CONTROL) and not re.search("cancel|delete", line):
        _ended(job)  # so that it keeps no worker from the jobs of later tests
    measures = " verify " in line or "--verify" in line
    assert run.code == 0 or (measures and run.code == 1 and "error:" not in run.err), run.out + run.err
