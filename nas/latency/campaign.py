"""A measuring campaign: passes over all graphs, then over those still in doubt, until none is or time is up."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nas.errors import DeviceLost, MeasurementFailed
from nas.latency.bench import Bench, shuffled
from nas.latency.measurement import Measurement

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
WAITS_S = (1.0, 4.0, 15.0, 40.0)
"""Before a lost device is tried again; it counts as gone when it made no launch after the last one. A probe that
ended with an error is tried again once."""


@dataclass(frozen=True)
class Campaign:
    """What a campaign found."""

    measurements: dict[str, Measurement]
    sentinel_readings_ns: tuple[int, ...]
    duration_s: float
    """Of this process; one that was interrupted before has its own."""

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

    Goes on from the launches that the bench's journal holds. Each pass takes the graphs in a new random order. After
    `LEAST_PASSES` only those are launched again whose measurement is not settled; with a reference, all are while the
    sentinel is more than 5 % off its level there. Ends when nothing is in doubt or, `LEAST_PASSES` done, when
    `patience_s` have passed, or `OVERTIME` times that if some measurements are not valid by then. Raises
    `DeviceLost` if the device vanishes and does not come back.
    """
    started = time.monotonic()
    done = sum(map(len, bench.launches.values()))
    rng = random.Random(f"{seed} {done}")
    total = max(done, LEAST_PASSES * len(bench.names))

    def launch(order: Sequence[str]) -> None:
        nonlocal total
        total = max(total, done + len(order))
        _persistently(bench, order, count)

    def count() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    progress(done, total)
    while order := _first_passes(bench, rng):
        launch(order)
    while True:
        began = time.monotonic()
        found = _measurements(bench)
        pending = [
            name
            for name, measurement in found.items()
            if not measurement.settled and len(measurement.launches_ns) < MOST_LAUNCHES
        ]
        readings = bench.journal.readings_ns
        if reference_sentinel_ns and off_level(calm_level(readings), reference_sentinel_ns):
            pending = list(bench.names)
        elapsed_s = time.monotonic() - started
        invalid = sum(not measurement.valid for measurement in found.values())
        if not pending or elapsed_s > patience_s * (OVERTIME if invalid else 1):
            return Campaign(found, tuple(readings), elapsed_s)
        launch(shuffled(pending, rng))
        time.sleep(max(0.0, SHORTEST_PASS_S - (time.monotonic() - began)))


def _first_passes(bench: Bench, rng: random.Random) -> list[str]:
    """Return the next passes over the graphs that have fewer than `LEAST_PASSES` launches."""
    taken = {name: len(launches) for name, launches in bench.launches.items()}
    order: list[str] = []
    for _ in range(AT_ONCE):
        names = [name for name in bench.names if taken[name] < LEAST_PASSES]
        order += shuffled(names, rng)
        taken = {name: count + 1 for name, count in taken.items()}
    return order


def _persistently(bench: Bench, order: Sequence[str], count: Callable[[], None]) -> None:
    """Launch; when the device vanishes come back to what it had not done, after a pause."""
    tries, left = 0, list(order)
    while left:
        before = len(left)

        def on_launch() -> None:
            left.pop(0)
            count()

        try:
            if tries:
                bench.send()  # a device that was started anew may have lost its files
            bench.launch(list(left), on_launch)
        except MeasurementFailed as error:  # the device vanished, or the probe there was killed
            tries = 1 if len(left) < before else tries + 1
            if tries > (len(WAITS_S) if isinstance(error, DeviceLost) else 1):
                kept = sum(map(len, bench.launches.values()))
                raise type(error)(f"{str(error).rstrip('.')}. {kept} launches had been made by then.") from error
            time.sleep(WAITS_S[tries - 1])


def _measurements(bench: Bench) -> dict[str, Measurement]:
    calm_ns = calm_level(bench.journal.readings_ns)
    return {name: Measurement.of(taken, calm_ns, bench.tolerance) for name, taken in bench.launches.items()}


def off_level(sentinel_ns: int, reference_ns: int) -> bool:
    """Return whether the sentinel's level differs from a reference by more than what is taken."""
    return abs(sentinel_ns / reference_ns - 1) > REFERENCE_TOLERANCE
