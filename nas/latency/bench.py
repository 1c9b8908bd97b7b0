"""Bench: exported graphs on a device, and the probe's runs over them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nas.architecture import Architecture, Head, Layer, Stack
from nas.errors import MeasurementFailed
from nas.latency.device import Device
from nas.latency.graphs import Source, WholePass, export_graphs
from nas.latency.journal import SENTINEL, Journal
from nas.latency.measurement import Launch
from nas.latency.runtimes import device_side, runtime
from nas.latency.transports import Transport
from nas.workload import Workload

WARM_UP_ITERATIONS = 2
LEAST_ITERATIONS = 5
LAUNCH_MS = 8.0
"""At least so long is one launch."""
WHOLE_ITERATIONS = 16
MOST_MS = 40.0
"""So many iterations of a whole model, if that takes no longer: its weights have to find their place in the caches."""
WHOLE_A_PASS = 2
"""Launches of a whole model in one pass: the correction, and what is said of its error, rest on few of them."""
SENTINEL_EVERY = 2
TIMEOUT_S = 900.0
PROBE = Path(__file__).with_name("probe.py")
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

    def __init__(
        self,
        device: Device,
        transport: Transport,
        sources: Mapping[str, Source],
        directory: Path,
        *,
        journal: Journal | None = None,
        progress: Callable[[str, int, int], None],
    ) -> None:
        """Export the sources and the sentinel into `directory` and copy them to the device.

        What is there already, in the directory or on the device, is neither exported nor sent again. `progress` is
        called with (phase, done, total), the phases being "export" and "send".
        """
        self._device = device
        self._transport = transport
        self._runtime = runtime(device.runtime)
        self._directory = directory
        self._sources = sources
        self.journal = journal or Journal()
        self.tolerance = self._runtime.tolerance(device.precision)
        """The greatest difference from torch's output, in units of its greatest absolute value."""
        sentinel = WholePass(SENTINEL_ARCHITECTURE, SENTINEL_WORKLOAD, "prefill")
        self._graphs = export_graphs(
            {SENTINEL: sentinel, **sources},
            device.runtime,
            device.precision,
            directory,
            lambda done, total: progress("export", done, total),
        )
        self.names = tuple(sources)
        """The graphs, the sentinel left out."""
        files = [self._directory / name for graph in self._graphs.values() for name in graph.files]
        self._files = [PROBE, device_side(self._runtime), *files]
        progress("send", 0, len(self._files))
        self.send()
        progress("send", len(self._files), len(self._files))

    def send(self) -> None:
        """Copy to the device what is not there."""
        self._transport.push(self._files)

    def launches_a_pass(self, name: str) -> int:
        """Return how often a graph is launched in one pass over all."""
        return WHOLE_A_PASS if isinstance(self._sources[name], WholePass) else 1

    @property
    def launches(self) -> dict[str, list[Launch]]:
        """Every launch so far, those of earlier processes included, by graph."""
        return self.journal.launches(self.names)

    def launch(self, order: Sequence[str], on_launch: Callable[[], None]) -> None:
        """Launch graphs in this order with the sentinel between them; the journal keeps each as it arrives.

        Raises `DeviceLost` if the device vanishes, `MeasurementFailed` if the probe fails, prints what can't be
        read, or runs another version of the runtime than the device has. What had arrived by then is kept.
        """
        with_sentinels = _with_sentinels(order)
        wanted = set(with_sentinels)
        plan = {
            "runtime": device_side(self._runtime).name,
            "threads": self._device.threads,
            "options": dict(self._runtime.options(self._device.precision)),
            "graphs": {
                name: {"model": g.model, "inputs": g.inputs, "expected": g.expected, "iterations": self._wanted(name)}
                for name, g in self._graphs.items()
                if name in wanted
            },
            "sentinel": SENTINEL,
            "launches": with_sentinels,
            "warm_up_iterations": WARM_UP_ITERATIONS,
            "least_iterations": LEAST_ITERATIONS,
            "launch_ms": LAUNCH_MS,
            "most_ms": MOST_MS,
        }
        (self._directory / "plan.json").write_text(json.dumps(plan))
        self._transport.push([self._directory / "plan.json"])
        taken = 0
        end: dict[str, Any] = {}

        def on_line(text: str) -> None:
            nonlocal taken
            kind, record = _read(text)
            if kind == "start":
                self._refuse_other_version(record)
            elif kind == "end":
                end.update(record)
                return
            elif record["graph"] != with_sentinels[taken]:
                raise MeasurementFailed(f"The probe launched {record['graph']} in place of {with_sentinels[taken]}.")
            self.journal.write({kind: record})
            if kind == "launch":
                taken += 1
                if record["graph"] != SENTINEL:
                    on_launch()

        argv = [*self._transport.python, PROBE.name, "."]
        self._transport.run(argv, on_line, TIMEOUT_S)
        if end.get("launches") != taken or taken != len(with_sentinels):
            raise MeasurementFailed(f"The probe reported {taken} of {len(with_sentinels)} launches.")

    def _wanted(self, name: str) -> int:
        whole = name != SENTINEL and isinstance(self._sources[name], WholePass)
        return WHOLE_ITERATIONS if whole else 0

    def _refuse_other_version(self, start: dict[str, Any]) -> None:
        if start.get("runtime_version") != self._device.runtime_version:
            raise MeasurementFailed(
                f"The probe ran {self._device.runtime} {start.get('runtime_version')}, "
                f"the device has {self._device.runtime_version}."
            )


def runtime_version_at(transport: Transport, runtime_name: str) -> str:
    """Return the version of a runtime on a device; raise `MeasurementFailed` with the device's words without it."""
    side = device_side(runtime(runtime_name))
    transport.push([PROBE, side])
    found: list[dict[str, Any]] = []
    try:
        transport.run([*transport.python, PROBE.name, ".", side.name], lambda line: found.append(_read(line)[1]), 120)
    except MeasurementFailed as error:
        raise MeasurementFailed(
            f"{error} (its Python, {transport.python[0]}, needs numpy and {runtime_name}: `pip install numpy "
            f"{runtime_name}` there, or name another Python with ?python=… in the address)"
        ) from error
    return str(found[0]["runtime_version"])


def shuffled(names: Sequence[str], rng: random.Random) -> list[str]:
    """Return the names in random order."""
    return rng.sample(names, len(names))


def _read(text: str) -> tuple[str, dict[str, Any]]:
    try:
        ((kind, record),) = json.loads(text).items()
    except (ValueError, AttributeError) as error:
        raise MeasurementFailed(f"The probe printed what can't be read: {text[:80]!r}") from error
    if kind not in ("start", "launch", "end") or not isinstance(record, dict):
        raise MeasurementFailed(f"The probe printed what can't be read: {text[:80]!r}")
    return kind, record


def _with_sentinels(names: Sequence[str]) -> list[str]:
    """Put the sentinel first, last, and after every few launches."""
    result = [SENTINEL]
    for index, name in enumerate(names, start=1):
        result.append(name)
        if index % SENTINEL_EVERY == 0 or index == len(names):
            result.append(SENTINEL)
    return result
