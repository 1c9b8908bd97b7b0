"""Journal: every launch as it arrived, on disk, so that an interrupted profile goes on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from nas.errors import MeasurementFailed
from nas.latency.measurement import Launch

SENTINEL = "sentinel"
"""The name of the sentinel's graph."""
Scheduled = Literal["real-time", "usual"]
"""Whether a probe runs before all usual processes, or has to share the CPU with them."""


class Journal:
    """The lines of all runs of the probe, in order; without a path they are kept in memory alone."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._runs: list[list[dict[str, Any]]] = []
        self.cpu: int | None = None
        """The CPU that the probe stayed on in the last run, if it could."""
        self.scheduled: Scheduled | None = None
        """How the probe was scheduled in the last run: "real-time" before other processes, or "usual"."""
        if path is not None and path.exists():
            self._read(path)

    def _read(self, path: Path) -> None:
        """Take what is there; a last line that was cut short, by a process killed meanwhile, is cut off."""
        with path.open("rb+") as file:
            while line := file.readline():
                try:
                    if not line.endswith(b"\n"):
                        raise ValueError("cut short")
                    self._take(json.loads(line))
                except (ValueError, KeyError, AttributeError, IndexError):
                    file.seek(-len(line), os.SEEK_CUR)
                    file.truncate()
                    return

    def _take(self, line: dict[str, Any]) -> None:
        ((kind, record),) = line.items()
        if kind == "start":
            self._runs.append([])
            self.cpu, self.scheduled = record["cpu"], record["scheduled"]
        elif kind == "launch":
            self._runs[-1].append(record)

    def write(self, line: dict[str, Any]) -> None:
        """Keep one line of the probe: {"start": …} of a run, {"launch": …}."""
        self._take(line)
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(json.dumps(line) + "\n")

    def runs(self) -> Iterator[list[dict[str, Any]]]:
        """Yield the launches of each run, the sentinel's among them."""
        yield from self._runs

    @property
    def readings_ns(self) -> list[int]:
        """The sentinel's readings in the order they were taken."""
        return [x["latency_ns"] for run in self._runs for x in run if x["graph"] == SENTINEL]

    def launches(self, names: Sequence[str]) -> dict[str, list[Launch]]:
        """Return the launches of each graph in the order they were taken."""
        found: dict[str, list[Launch]] = {name: [] for name in names}
        for run in self._runs:
            for launch in _beside_the_sentinel(run):
                found[launch.graph].append(launch)
        return found


def _beside_the_sentinel(run: Sequence[dict[str, Any]]) -> Iterator[Launch]:
    """Yield the launches of one run, each with the sentinel's reading before and after it (if there was one)."""
    readings = [x["latency_ns"] for x in run if x["graph"] == SENTINEL]
    if run and run[0]["graph"] != SENTINEL:
        raise MeasurementFailed("The probe did not begin with the sentinel.")
    taken = 0
    for record in run:
        if record["graph"] == SENTINEL:
            taken += 1
            continue
        yield Launch(
            graph=record["graph"],
            latency_ns=record["latency_ns"],
            iterations=record["iterations"],
            interrupted=record["interrupted"],
            stolen=record["stolen"],
            late_early_ratio=record["late_early_ratio"],
            difference=record["difference"],
            sentinel_ns=min(readings[taken - 1 : taken + 1]),
        )
