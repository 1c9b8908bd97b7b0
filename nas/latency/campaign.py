"""A measuring campaign: passes over all graphs, then over those still in doubt, until none is or time is up."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nas.latency.bench import Bench, shuffled
from nas.latency.measurement import Launch, Measurement

LEAST_PASSES = 10
MOST_LAUNCHES = 30
"""Of one graph: what is not settled by then would not be by more."""
AT_ONCE = 5
"""Passes in one run of the probe, before anything is in doubt."""
OVERTIME = 3
"""How many times their patience is spent at most, as long as anything is not even valid: no job takes a table with a
gap in its space."""
MOST_INVALID = 0.02
"""Share of the graphs that may stay invalid when patience ends."""
SHORTEST_PASS_S = 1.0
"""A burst of disturbance lasts about this long: passes over a few graphs wait for it to be over."""
REFERENCE_TOLERANCE = 0.05


@dataclass(frozen=True)
class Campaign:
    """What a campaign found."""

    measurements: dict[str, Measurement]
    sentinel_readings_ns: tuple[int, ...]
    duration_s: float

    @property
    def calm_sentinel_ns(self) -> int:
        """The sentinel's level when the machine is calm."""
        return calm_level(self.sentinel_readings_ns)


def calm_level(readings_ns: Sequence[int]) -> int:
    """Return the tenth percentile: the level of calm moments as long as a tenth of the time is calm."""
    if len(readings_ns) < 2:
        return readings_ns[0]
    return round(statistics.quantiles(readings_ns, n=10, method="inclusive")[0])


def run_campaign(
    bench: Bench,
    *,
    seed: int,
    patience_s: float,
    reference_sentinel_ns: int | None = None,
    progress: Callable[[int, int], None],
) -> Campaign:
    """Measure every graph of the bench; `progress(done, total)` counts launches, and total may grow.

    Each pass takes the graphs in a new random order. After `LEAST_PASSES` only those are launched again whose
    measurement is not settled; with a reference, all are while the sentinel is more than 5 % off its level there.
    Ends when nothing is in doubt or, `LEAST_PASSES` done, when `patience_s` have passed, or `OVERTIME` times that
    if some measurements are not valid by then.
    """
    rng = random.Random(seed)
    started = time.monotonic()
    launches: dict[str, list[Launch]] = {name: [] for name in bench.names}
    readings: list[int] = []
    pending, passes, done, total = list(bench.names), 0, 0, LEAST_PASSES * len(bench.names)

    def count() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    def measurements() -> dict[str, Measurement]:
        calm_ns = calm_level(readings)
        return {name: Measurement.of(taken, calm_ns) for name, taken in launches.items()}

    while True:
        began = time.monotonic()
        at_once = min(AT_ONCE, LEAST_PASSES - passes) if passes < LEAST_PASSES else 1
        total = max(total, done + at_once * len(pending))
        taken, read = bench.launch([shuffled(pending, rng) for _ in range(at_once)], count)
        readings += read
        for launch in taken:
            launches[launch.graph].append(launch)
        passes += at_once
        if passes >= LEAST_PASSES:
            found = measurements()
            pending = [
                name
                for name, measurement in found.items()
                if not measurement.settled and len(launches[name]) < MOST_LAUNCHES
            ]
            if reference_sentinel_ns and off_level(calm_level(readings), reference_sentinel_ns):
                pending = list(bench.names)
            elapsed_s = time.monotonic() - started
            invalid = sum(not measurement.valid for measurement in found.values())
            limit_s = patience_s * (OVERTIME if invalid else 1)
            if not pending or elapsed_s > limit_s:
                return Campaign(found, tuple(readings), elapsed_s)
        time.sleep(max(0.0, SHORTEST_PASS_S - (time.monotonic() - began)))


def off_level(sentinel_ns: int, reference_ns: int) -> bool:
    """Return whether the sentinel's level differs from a reference by more than what is taken."""
    return abs(sentinel_ns / reference_ns - 1) > REFERENCE_TOLERANCE
