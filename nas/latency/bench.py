"""Bench: exported graphs in a directory, and the probe's runs over them on a device."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor, nn

from nas.architecture import Architecture, Head, Layer, Stack
from nas.errors import MeasurementFailed
from nas.latency.device import Device
from nas.latency.measurement import Launch
from nas.latency.runtimes import runtime
from nas.latency.transports import transport_to
from nas.models import SubBlock, build_model, build_sub_block, example_input, sub_blocks
from nas.workload import Workload

PROTOCOL = 1
"""Raised with every change to how launches are taken or what they come to: tables compare only within one."""
WARM_UP_ITERATIONS = 2
LEAST_ITERATIONS = 5
LAUNCH_MS = 8.0
SENTINEL_EVERY = 4
TIMEOUT_S = 900.0
SENTINEL = "sentinel"
SENTINEL_WORKLOAD = Workload(input_length=64)
SENTINEL_ARCHITECTURE = Architecture(
    family="encoder",
    vocabulary_size=259,
    max_length=64,
    encoder=Stack(
        hidden_size=256,
        positions="sinusoidal",
        norm_position="pre",
        activation="relu",
        layers=(Layer(attention="softmax", heads=4, feed_forward_size=1024),),
    ),
    head=Head(type="classification", outputs=35),
)
"""One model for every table there will be: 3 MB of weights, so that it feels the clock and the memory both."""


class Bench:
    """Graphs exported for a device, and how to launch them there."""

    def __init__(self, device: Device, directory: Path) -> None:
        self._device = device
        self._transport = transport_to(device)
        self._runtime = runtime(device.runtime)
        self._directory = directory
        self._graphs: dict[str, dict[str, str]] = {}
        self.cpu: int | None = None
        """The CPU that the probe stayed on in the last run, if it could."""
        self.add_model(SENTINEL, SENTINEL_ARCHITECTURE, SENTINEL_WORKLOAD)

    @property
    def recipe(self) -> str:
        """How a module becomes what runs."""
        return self._runtime.recipe

    @property
    def names(self) -> tuple[str, ...]:
        """The graphs, the sentinel left out."""
        return tuple(name for name in self._graphs if name != SENTINEL)

    def add_sub_block(self, sub_block: SubBlock, workload: Workload) -> None:
        """Export a sub-block under its key."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            module = build_sub_block(sub_block)
        self._add(sub_block.key, module, example_input(sub_block, workload))

    def add_model(self, name: str, architecture: Architecture, workload: Workload) -> None:
        """Export a whole model under a name."""
        tokens = example_input(sub_blocks(architecture)[0], workload)
        self._add(name, build_model(architecture, seed=0), tokens)

    def _add(self, name: str, module: nn.Module, example: Tensor) -> None:
        stem = f"{len(self._graphs):05d}"
        files = {"model": stem + self._runtime.suffix, "input": f"{stem}.in.npy", "expected": f"{stem}.out.npy"}
        self._runtime.export(module, example, self._directory / files["model"])
        with torch.inference_mode():
            expected = module.eval()(example)
        numpy.save(self._directory / files["input"], example.numpy())
        numpy.save(self._directory / files["expected"], expected.numpy())
        self._graphs[name] = files

    def launch(self, passes: Sequence[Sequence[str]], on_launch: Callable[[], None]) -> tuple[list[Launch], list[int]]:
        """Launch the graphs of each pass, in the order given, with the sentinel between them.

        Returns the launches and the sentinel's readings in nanoseconds. Raises `MeasurementFailed` if the
        probe fails, prints what can't be read, or runs another version of the runtime than the device has.
        """
        order = _with_sentinels([name for names in passes for name in names])
        plan = {
            "threads": self._device.threads,
            "session": dict(self._runtime.session_options),
            "graphs": self._graphs,
            "sentinel": SENTINEL,
            "launches": order,
            "warm_up_iterations": WARM_UP_ITERATIONS,
            "least_iterations": LEAST_ITERATIONS,
            "launch_ms": LAUNCH_MS,
        }
        (self._directory / "plan.json").write_text(json.dumps(plan))
        start: dict[str, Any] = {}
        records: list[dict[str, Any]] = []
        end: dict[str, Any] = {}

        def on_line(line: str) -> None:
            try:
                ((kind, record),) = json.loads(line).items()
            except (ValueError, AttributeError) as error:
                raise MeasurementFailed(f"The probe printed what can't be read: {line[:80]!r}") from error
            if kind == "launch":
                records.append(record)
                if record["graph"] != SENTINEL:
                    on_launch()
            else:
                {"start": start, "end": end}[kind].update(record)

        self._transport.run(self._runtime.probe, self._directory, on_line, TIMEOUT_S)
        if end.get("launches") != len(records) or [x["graph"] for x in records] != order:
            raise MeasurementFailed(f"The probe reported {len(records)} of {len(order)} launches.")
        if start.get("runtime_version") != self._device.runtime_version:
            raise MeasurementFailed(
                f"The probe ran {self._device.runtime} {start.get('runtime_version')}, "
                f"the device has {self._device.runtime_version}."
            )
        self.cpu = start.get("cpu")
        return _launches(records), [x["latency_ns"] for x in records if x["graph"] == SENTINEL]


def shuffled(names: Sequence[str], rng: random.Random) -> list[str]:
    """Return the names in random order."""
    return rng.sample(names, len(names))


def _with_sentinels(names: Sequence[str]) -> list[str]:
    """Put the sentinel first, last, and after every few launches."""
    result = [SENTINEL]
    for index, name in enumerate(names, start=1):
        result.append(name)
        if index % SENTINEL_EVERY == 0 or index == len(names):
            result.append(SENTINEL)
    return result


def _launches(records: Sequence[dict[str, Any]]) -> list[Launch]:
    readings = [(i, x["latency_ns"]) for i, x in enumerate(records) if x["graph"] == SENTINEL]
    result, later = [], 0
    for index, record in enumerate(records):
        if record["graph"] == SENTINEL:
            later += 1
            continue
        before, after = readings[later - 1], readings[later]
        assert before[0] < index < after[0]
        result.append(
            Launch(
                graph=record["graph"],
                latency_ns=record["latency_ns"],
                iterations=record["iterations"],
                interrupted=record["interrupted"],
                late_early_ratio=record["late_early_ratio"],
                difference=record["difference"],
                sentinel_ns=min(before[1], after[1]),
            )
        )
    return result
