"""Bundles of one model of each family and attention type, made, opened by another Python, and checked there.

    python -m benchmarks.bundles                                  # this Python opens them
    python -m benchmarks.bundles --python fresh/bin/python        # another environment does
    python -m benchmarks.bundles --latency                        # with a table of each space, measured first

Each space has layers of one attention type alone. A job trains one model of it shortly; its
bundle is made by the command line, unpacked, and its `rebuild.py` run by the other Python.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.attention_types import ATTENTION_TYPES
from nas.export.bundle_report import read_report
from nas.space import SearchSpace
from nas.store.store import Store

CHOICES: dict[str, dict[str, list[int]]] = {
    "softmax": {"heads": [4]},
    "grouped-query": {"heads": [4], "key_value_heads": [2]},
    "linear": {"heads": [4]},
    "local": {"heads": [4], "window": [8]},
    "long-short": {"heads": [4], "kernel_size": [5]},
    "gated-convolution": {},
    "low-rank": {"heads": [4], "rank": [16]},
}
"""What a layer of each type chooses from. A type that is not here is an error: it would go unchecked."""
LAYERS = {"depth": [2, 3], "hidden_size": [64, 96], "norm_position": ["pre"]}
TASKS = {
    "encoder": ("language-identification", "error_rate", 64, 0),
    "decoder": ("python-docs", "bits_per_byte", 32, 16),
    "encoder-decoder": ("cmudict", "phoneme_error_rate", 24, 20),
}


@dataclass(frozen=True)
class Member:
    """A space of one attention type."""

    family: str
    attention: str

    @property
    def name(self) -> str:
        """The name of its space."""
        return f"{self.family}-of-{self.attention}"

    def space(self) -> dict[str, Any]:
        """Return the space's document."""
        layer = {"attention": {self.attention: CHOICES[self.attention]}, "feed_forward_ratio": [1, 2]}
        document: dict[str, Any] = {
            "schema": "pocketformer/search-space/1",
            "name": self.name,
            "family": self.family,
            "task_shape": {"vocabulary_size": 64, "outputs": 64, "max_length": 64},
        }
        if self.family == "encoder":
            return document | {"encoder": {**LAYERS, "positions": ["learned"], "activation": ["relu"], "layer": layer}}
        if self.family == "decoder":
            positions = ["rotary" if ATTENTION_TYPES[self.attention].rotary else "learned"]
            llama = {"positions": positions, "norm": ["rms"], "bias": [False], "activation": ["swiglu"]}
            return document | {"tied_embeddings": ["output"], "decoder": {**LAYERS, **llama, "layer": layer}}
        document["task_shape"]["max_output_length"] = 32
        stack = {**LAYERS, "positions": ["sinusoidal"], "activation": ["relu"]}
        written = {
            "attention": {"softmax": {"heads": [4]}},
            "cross": {"attention": {self.attention: CHOICES[self.attention]}, "reads": [1, 2]},
            "feed_forward_ratio": [1],
        }
        return document | {"encoder": {**stack, "layer": layer}, "decoder": {**stack, "layer": written}}

    def job(self, devices: list[str]) -> dict[str, Any]:
        """Return the document of a job that trains one of its models shortly."""
        dataset, metric, input_length, output_length = TASKS[self.family]
        return {
            "name": self.name,
            "search_space": self.space(),
            "task": {"dataset": dataset, "metric": metric, "training": {"steps": 60, "batch_size": 16}},
            "workload": {"batch": 1, "input_length": input_length, "output_length": output_length},
            "devices": devices,
            "objectives": [metric, f"latency_ms@{devices[0]}" if devices else "parameters"],
            "budget": {"trials": 1},
        }


def members() -> Iterator[Member]:
    """Yield a member of every family and attention type: of encoder–decoders, of every type of cross-attention."""
    for kind in ATTENTION_TYPES.values():
        yield Member("encoder", kind.name)
        if kind.causal:
            yield Member("decoder", kind.name)
        if kind.cross:
            yield Member("encoder-decoder", kind.name)


@dataclass(frozen=True)
class Outcome:
    """What came of a member."""

    member: Member
    programs: int
    left_out: tuple[str, ...]
    worst: float
    """Of the fp32 programs: how far off torch."""
    lost: float
    """By int8, of the task's metric, at most."""
    transformers: str
    differs: tuple[str, ...]
    """What `rebuild.py` found to differ from what is recorded."""
    within: bool | None
    """Whether the measured latency is within the promised interval; None where none was valid."""
    latency: str
    made_s: float


def outcome_of(member: Member, folder: Path, python: str, latency: bool) -> Outcome:
    """Make a member's bundle and have another Python check it."""
    place = folder / member.name
    place.mkdir()
    database = f"sqlite:///{place}/nas.db"
    devices = []
    if latency:
        store = Store.open(database)
        store.migrate()
        store.add_search_space(SearchSpace.from_document(member.space()).to_document())
        store.close()
        dataset, _, input_length, output_length = TASKS[member.family]
        lengths = ["--input-length", input_length, "--output-length", output_length]
        _nas("device", "profile", "here", "--space", member.name, "--dataset", dataset, *lengths,
             "--whole-models", 12, "--database", database)  # fmt: skip
        devices = ["here"]
    (place / "job.yaml").write_text(json.dumps(member.job(devices)))
    _nas("search", place / "job.yaml", "--database", database, "--out", place / "found")
    config = next((place / "found").glob("trial-*.yaml"))
    began = time.monotonic()
    _nas("export", config, "--weights", config.with_suffix(".safetensors"), "--bundle", place / "bundle.zip")
    made_s = time.monotonic() - began
    with zipfile.ZipFile(place / "bundle.zip") as archive:
        archive.extractall(place / "unpacked")
    (opened,) = (place / "unpacked").iterdir()
    report = read_report((opened / "report.json").read_bytes())
    checked = subprocess.run(
        [python, "rebuild.py", "--json", "--no-latency"], cwd=opened, capture_output=True, text=True, check=False
    )
    rows = json.loads(checked.stdout)["rows"] if checked.stdout.startswith("{") else []
    assert report.quality is not None
    metric = next(iter(report.quality.torch))
    measured = report.latency[0] if report.latency else None
    return Outcome(
        member,
        len(report.programs),
        tuple(f"{each.runtime} {each.precision}: {each.reason}" for each in report.left_out),
        max(each.difference for each in report.programs if each.precision == "fp32"),
        max(by.lost[metric] for by in report.quality.programs if by.precision == "int8-dynamic"),
        report.transformers.model_class if report.transformers else "",
        tuple(row["name"] for row in rows if row["agrees"] is not True) if rows else (checked.stderr[-500:],),
        measured.within if measured and measured.valid else None,
        "" if measured is None or measured.latency_ms is None else f"{measured.latency_ms:.3f} ms",
        made_s,
    )


def _nas(*words: object) -> None:
    command = [sys.executable, "-m", "nas.cli", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")


def main() -> int:
    """Print what came of every member, and how many hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="who opens the bundles")
    parser.add_argument("--latency", action="store_true", help="measure a table of each space, and the models")
    parser.add_argument("--only", metavar="TEXT", default="", help="members whose name has this in it")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    unknown = set(ATTENTION_TYPES) - set(CHOICES)
    if unknown:
        raise SystemExit(f"say what layers of {', '.join(sorted(unknown))} choose from, in CHOICES")
    outcomes = []
    print("| member | programs | off torch (fp32) | lost by int8 | transformers | latency | differs | made in |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="pocketformer-bundles-") as folder:
        for member in members():
            if given.only in member.name:
                outcomes.append(outcome_of(member, Path(folder), given.python, given.latency))
                _print(outcomes[-1])
    sound = [each for each in outcomes if not each.differs and not each.left_out]
    print(f"\n{len(sound)} of {len(outcomes)} bundles are whole, and hold in the Python that opened them.")
    timed = [each for each in outcomes if each.within is not None]
    if timed:
        within = sum(each.within is True for each in timed)
        print(f"{within} of {len(timed)} measured latencies are within the promised interval.")
    return 0 if len(sound) == len(outcomes) else 1


def _print(outcome: Outcome) -> None:
    within = {True: " within", False: " OUTSIDE", None: ""}[outcome.within]
    cells = (
        outcome.member.name,
        str(outcome.programs),
        f"{outcome.worst:.1e}",
        f"{outcome.lost:+.2g}",
        outcome.transformers,
        outcome.latency + within,
        "; ".join((*outcome.differs, *outcome.left_out)),
        f"{outcome.made_s:.0f} s",
    )
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
