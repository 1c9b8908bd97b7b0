"""`nas device …` on this machine: one profile, and everything that can be asked of its table."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from api_examples import space_document
from cli_runner import Run, nas

from nas.latency.measurement import PROTOCOL
from nas.space import SearchSpace
from nas.store.store import Store
from nas.workload import Workload
from tests.patience import patiently

LENGTH = 16
AT_WORK = ("--space", "smoke", "--input-length", LENGTH)
QUICK = ("--whole-models", 12)
PROFILE_S = 300


class Folder:
    """A database that knows one device, whose table lies beside it as `table.json`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = f"sqlite:///{path / 'nas.db'}"

    def device(self, command: str, *words: object, database: str | None = None) -> Run:
        """Run `nas device …` on the folder's database or another."""
        return nas("device", command, *words, "--database", database or self.database)

    @property
    def table(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.path / "table.json").read_text())
        return document


def profiled(profile: Callable[[tuple[object, ...]], Run]) -> Run:
    """Run `profile` with the options that make it quick."""
    found = patiently(lambda patience_s: profile((*QUICK, "--patience", patience_s)))
    assert found.code == 0, found.err
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    """One real profile of the smoke space, with its launches as `raw.jsonl`."""
    folder = Folder(tmp_path_factory.mktemp("devices"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder.path / "cache"))
        patch.delenv("POCKETFORMER_URL", raising=False)
        store = Store.open(folder.database)
        store.migrate()
        store.add_search_space(few_models().to_document())
        store.close()
        files = ("--out", folder.path / "table.json", "--raw", folder.path / "raw.jsonl")
        profiled(lambda quick: folder.device("profile", "board", *AT_WORK, *quick, *files))
        yield folder


def few_models() -> SearchSpace:
    """Return a space of 12 models whose layers the smoke space has, too."""
    document = space_document(depth=[1, 2, 3, 4, 5, 6]) | {"name": "few"}
    layer = {"attention": {"softmax": {"heads": [2]}}, "feed_forward_ratio": [1]}
    document["encoder"] |= {"hidden_size": [16, 32], "layer": layer}
    return SearchSpace.from_document(document)


def problems(run: Run) -> dict[str, dict[str, str]]:
    """Return what was refused, by field."""
    assert (run.code, run.out) == (2, ""), run.err
    assert "Traceback" not in run.err
    found: dict[str, dict[str, str]] = {}
    field = ""
    for line in run.err.splitlines():
        if match := re.match(r"^    (given|allowed|next): +(.*)$", line):
            found[field][match[1]] = match[2]
        elif re.match(r"^  \S", line):
            field = line.strip()
            found[field] = {}
    assert found, run.err
    assert all(set(p) == {"given", "allowed", "next"} and all(p.values()) for p in found.values()), run.err
    return found


# What a profile leaves ----------------------------------------------------------------------------------------


@pytest.mark.timeout(PROFILE_S)
def test_a_profile_is_listed_shown_and_holds_every_launch(folder: Folder) -> None:
    table = folder.table
    (listed,) = folder.device("list", "--json").json["devices"]
    shown = folder.device("show", "board", "--json").json
    assert listed == shown
    described = {name: value for name, value in shown.items() if name not in ("tables", "fingerprint")}
    assert described == table["device"]
    assert (shown["address"], shown["precision"], shown["runtime"]) == ("local", "fp32", "onnxruntime")
    (summary,) = shown["tables"]
    assert summary["workload"] == Workload(input_length=LENGTH).key
    assert summary["entries"] == len(table["entries"])
    assert summary["whole_models"] == len(table["whole_models"]) == 12
    text = folder.device("show", "board").out
    assert shown["fingerprint"] in text
    assert "address" in text
    launches: dict[str, list[int]] = {}
    for line in (folder.path / "raw.jsonl").read_text().splitlines():
        if launch := json.loads(line).get("launch"):
            launches.setdefault(launch["graph"], []).append(launch["latency_ns"])
    for key, entry in table["entries"].items():
        assert sorted(entry["launches_ns"]) == sorted(launches[key])


def test_an_exported_table_is_the_same_in_another_database(folder: Folder, tmp_path: Path) -> None:
    assert folder.device("export", "board", "--out", tmp_path / "out.json").code == 0
    assert json.loads((tmp_path / "out.json").read_text()) == folder.table
    other = f"sqlite:///{tmp_path / 'other.db'}"
    imported = folder.device("import", tmp_path / "out.json", "--json", database=other)
    assert imported.code == 0, imported.err
    first = folder.device("show", "board", "--json").json
    second = folder.device("show", "board", "--json", database=other).json
    assert second["tables"][0]["errors"] == first["tables"][0]["errors"]
    assert folder.device("export", "board", "--out", tmp_path / "back.json", database=other).code == 0
    assert (tmp_path / "back.json").read_bytes() == (tmp_path / "out.json").read_bytes()


def test_the_same_table_twice_differs_in_nothing(folder: Folder, tmp_path: Path) -> None:
    twice = f"sqlite:///{tmp_path / 'twice.db'}"
    for _ in range(2):
        assert folder.device("import", folder.path / "table.json", database=twice).code == 0
    found = folder.device("compare", "board:1", "board:2", "--json", database=twice).json
    assert (found["differs"], found["only_first"], found["only_second"]) == ([], 0, 0)
    assert found["shared"] == sum(entry["valid"] for entry in folder.table["entries"].values())
    ratios = (found["sentinel_ratio"], found["median_ratio"], found["lower_ratio"], found["upper_ratio"])
    assert ratios == (1, 1, 1, 1)
    assert "1.000 × as long" in folder.device("compare", "board:1", "board:2", database=twice).out


@pytest.mark.long
@pytest.mark.timeout(PROFILE_S)
def test_a_verification_says_how_good_three_predictions_are(folder: Folder) -> None:
    run = folder.device("verify", "board", *AT_WORK, "--models", 3, "--patience", 5, "--json")
    report = run.json
    known = {model["architecture"]["id"] for model in folder.table["whole_models"]}
    assert len({row["architecture_id"] for row in report["models"]} - known) == 3
    for row in report["models"]:
        assert row["difference"] == pytest.approx(row["measured_ms"] / row["predicted_ms"] - 1)
        assert row["agrees"] == (abs(row["difference"]) <= 0.15)
        assert row["phases_ms"] == {"prefill": row["measured_ms"]}
    # Of what was disturbed nothing is said: neither of a row nor, if the whole machine was, of the table
    judged = [row["agrees"] for row in report["models"] if row["valid"]]
    assert report["agrees"] == ("accuracy" in report and all(judged))
    assert run.code == (0 if report["agrees"] else 1)
    settled = [row for row in report["models"] if row["valid"]]
    if not settled:  # a neighbour kept the processor busy all the time: then nothing is claimed
        assert "accuracy" not in report
        return
    columns = {"prediction": "predicted_ms", "sum_of_sub_blocks": "sum_ms", "macs_times_constant": "macs_ms"}
    assert set(report["accuracy"]) == set(columns)
    for kind, column in columns.items():
        errors = [row[column] / row["measured_ms"] - 1 for row in settled]
        told = report["accuracy"][kind]
        assert told["bias_percent"] == pytest.approx(100 * sum(errors) / len(errors))
        assert told["largest_percent"] == pytest.approx(100 * max(map(abs, errors)))


def test_a_score_is_the_prefill_alone_for_an_encoder(folder: Folder, tmp_path: Path) -> None:
    space = SearchSpace.bundled("smoke")
    space = space.for_task(replace(space.task_shape, max_length=LENGTH))
    architecture = space.sample(random.Random(0))
    (tmp_path / "architecture.json").write_text(json.dumps(architecture.to_dict()))
    words = (tmp_path / "architecture.json", "--input-length", LENGTH, "--json", "--database", folder.database)
    score = nas("score", *words, "--device", "board")
    assert score.code == 0, score.err
    latency = score.json["latency"]["board"]
    assert latency["phases_ms"] == {"prefill": latency["latency_ms"]}


# Another precision --------------------------------------------------------------------------------------------


def test_another_precision_does_not_go_under_the_name_of_the_first(folder: Folder) -> None:
    found = problems(folder.device("profile", "board", *AT_WORK, "--precision", "int8-dynamic"))
    assert found["name"]["given"] == "'board'"
    assert "precision is 'fp32'" in found["name"]["allowed"]
    assert "board-onnxruntime-int8-dynamic" in found["name"]["next"]
    assert len(folder.device("show", "board", "--json").json["tables"]) == 1


@pytest.mark.long
@pytest.mark.timeout(PROFILE_S)
def test_another_precision_under_its_own_name_is_compared_and_named_as_what_differs(folder: Folder) -> None:
    words = ("board-int8", "--space", "few", "--input-length", LENGTH, "--precision", "int8-dynamic")
    profiled(lambda quick: folder.device("profile", *words, *quick))
    device = folder.device("show", "board-int8", "--json").json
    assert device["precision"] == "int8-dynamic"
    assert device["fingerprint"] != folder.device("show", "board", "--json").json["fingerprint"]
    found = folder.device("compare", "board", "board-int8", "--json").json
    differs = {name: (first, second) for name, first, second in found["differs"]}
    assert differs["precision"] == ("fp32", "int8-dynamic")
    assert differs["space"] == ("smoke", "few")
    assert set(differs) <= {"precision", "space", "recipe"}
    assert found["shared"] > 0
    assert found["sentinel_ratio"] is None  # another program
    text = folder.device("compare", "board", "board-int8").out
    assert re.search(r"precision +fp32 +int8-dynamic", text)


# What is refused ----------------------------------------------------------------------------------------------

WRONG: dict[str, tuple[tuple[object, ...], str, str]] = {
    "an unknown runtime": ((*AT_WORK, "--runtime", "abacus"), "device.runtime", "onnxruntime, executorch, torch"),
    "an unknown precision": ((*AT_WORK, "--precision", "int4"), "device.precision", "fp32"),
    "no address": ((*AT_WORK, "--address", "telnet://board"), "device.address", "ssh://[user@]host[:port]"),
    "a host that reads as an option": ((*AT_WORK, "--address", "ssh://-oProxyCommand=x"), "device.address", "ssh://"),
    "an output of an encoder": ((*AT_WORK, "--output-length", 4), "workload.output_length", "at most 0"),
    "an unknown dataset": ((*AT_WORK, "--dataset", "imagenet"), "dataset", "python-docs"),
    "a dataset for other models": ((*AT_WORK, "--dataset", "cmudict"), "dataset", "a dataset for the family encoder"),
    "an input that is too long": (
        ("--space", "smoke", "--input-length", 100_000),
        "workload.input_length",
        "less than or equal to",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_profile_of_this_is_refused_and_nothing_is_kept(case: str, folder: Folder) -> None:
    words, field, allowed = WRONG[case]
    found = problems(folder.device("profile", "wrong", *words))
    assert allowed in found[field]["allowed"], found
    names = [device["name"] for device in folder.device("list", "--json").json["devices"]]
    assert "wrong" not in names


@pytest.mark.parametrize("version", [2, 99])
def test_a_version_that_is_not_there_is_refused_with_those_that_are(version: int, folder: Folder) -> None:
    for run in (
        folder.device("compare", "board:1", f"board:{version}"),
        folder.device("export", "board", "--version", version, "--out", folder.path / "none.json"),
    ):
        refused = problems(run)["version"]
        assert (refused["given"], refused["allowed"]) == (str(version), "1")
    assert not (folder.path / "none.json").exists()


@pytest.mark.parametrize("text", ["board:", "board:0", "board:x", "board:-1", "board:1:2"])
def test_a_version_that_is_none_is_refused(text: str, folder: Folder) -> None:
    assert "NAME:VERSION" in problems(folder.device("compare", text, "board"))["table"]["allowed"]


def test_tables_of_two_workloads_are_not_compared(folder: Folder, tmp_path: Path) -> None:
    other = copy.deepcopy(folder.table)
    other["workload"]["batch"] = 2
    (tmp_path / "batch.json").write_text(json.dumps(other).replace("batch=1,", "batch=2,"))
    database = f"sqlite:///{tmp_path / 'two.db'}"
    for file in (folder.path / "table.json", tmp_path / "batch.json"):
        assert folder.device("import", file, database=database).code == 0
    refused = problems(folder.device("compare", "board:1", "board:2", database=database))["workload"]
    assert "batch=2" in refused["given"]
    assert "batch=1" in refused["allowed"]


def of_another_protocol(table: dict[str, Any]) -> str:
    table["protocol"] = 1
    return json.dumps(table)


def of_an_earlier_release(table: dict[str, Any]) -> str:
    table["schema"] = "pocketformer/latency-table/1"
    return json.dumps(table)


def with_an_edited_figure(table: dict[str, Any]) -> str:
    next(iter(table["entries"].values()))["latency_ns"] += 1
    return json.dumps(table)


def of_another_precision(table: dict[str, Any]) -> str:
    table["device"]["precision"] = "int4"
    return json.dumps(table)


def cut_in_the_middle(table: dict[str, Any]) -> str:
    text = json.dumps(table)
    return text[: len(text) // 2]


@pytest.mark.parametrize(
    ("edit", "field", "allowed"),
    [
        (of_another_protocol, "latency_table.protocol", f"{PROTOCOL}, the measuring protocol"),
        (of_an_earlier_release, "latency_table.schema", "pocketformer/latency-table/3"),
        (with_an_edited_figure, "latency_ns", ""),
        (of_another_precision, "latency_table.device.precision", "fp32"),
        (cut_in_the_middle, "wrong.json", "JSON"),
    ],
)
def test_a_table_that_was_tampered_with_is_not_imported(
    edit: Callable[[dict[str, Any]], str], field: str, allowed: str, folder: Folder, tmp_path: Path
) -> None:
    (tmp_path / "wrong.json").write_text(edit(folder.table))
    found = problems(folder.device("import", tmp_path / "wrong.json"))
    (named,) = [name for name in found if name.endswith(field)]
    assert allowed in found[named]["allowed"], found
    assert len(folder.device("show", "board", "--json").json["tables"]) == 1


def test_a_device_that_nobody_knows_is_told(folder: Folder) -> None:
    assert "device" in problems(folder.device("verify", "nobody", *AT_WORK))
    for run in (folder.device("show", "nobody"), folder.device("compare", "nobody", "board")):
        assert (run.code, run.out) == (1, "")
        assert "nobody" in run.err
