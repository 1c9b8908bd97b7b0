"""A measuring campaign: passes over all graphs, then over those still in doubt, until none is or time is up."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nas.errors import DeviceLost, MeasurementFailed
from nas.latency.bench import Bench, shuffled
from nas.latency.measurement import Measurement, calm_level

LEAST_PASSES = 12
MOST_LAUNCHES = 60
"""Of one graph: what is not settled by then would not be by more."""
AT_ONCE = 4
"""Passes in one run of the probe, before anything is in doubt."""
OVERTIME = 1.6
"""How many times its patience, or what the first passes took, is spent at most on what is not even valid: no job takes
a table with a gap in its space."""
STRETCH = 1.5
"""Patience, if there is any, is at least so many times what the first passes took: where models are large these take
longer than the usual one, and nothing would be launched again in a calmer minute."""
CALM_MEDIAN = 1.05
"""A machine is calm if the median of the sentinel's readings is no further above their calm level."""
COMPARABLE = 1.01
"""Measuring goes on, while there is patience, as long as the sentinel is further above the level of a reference."""
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
    `LEAST_PASSES` only those are launched again whose measurement is not settled; all are while the machine is not
    calm, or slower than it was for a reference: the calmest moments of a longer time are the same from run to run.
    Ends when nothing is in doubt or, `LEAST_PASSES` done, when `patience_s` have passed, or `STRETCH` times what these
    took if that is longer; what is not valid by then is launched again in overtime. Raises `DeviceLost` if the device
    vanishes and does not come back.
    """
    started = time.monotonic()
    done = sum(map(len, bench.launches.values()))
    rng = random.Random(f"{seed} {done}")
    total = max(done, LEAST_PASSES * sum(map(bench.launches_a_pass, bench.names)))

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
    patience_s = max(patience_s, STRETCH * (time.monotonic() - started)) if patience_s else 0.0
    overtime_s = OVERTIME * max(patience_s, time.monotonic() - started)
    while True:
        began = time.monotonic()
        found = _measurements(bench)
        readings = bench.journal.readings_ns
        elapsed_s = began - started
        in_time, every = elapsed_s <= patience_s, _disturbed(readings, reference_sentinel_ns)
        pending = [
            name
            for name, measurement in found.items()
            if (in_time and (every or not measurement.settled)) or not measurement.valid
            if len(measurement.launches_ns) < MOST_LAUNCHES
        ]
        if not pending or elapsed_s > max(patience_s, overtime_s):
            return Campaign(found, tuple(readings), elapsed_s)
        launch(_pass_over(bench, pending, rng))
        time.sleep(max(0.0, SHORTEST_PASS_S - (time.monotonic() - began)))


def _first_passes(bench: Bench, rng: random.Random) -> list[str]:
    """Return the next passes over the graphs that have not been launched in `LEAST_PASSES` of them."""
    passes = {name: len(launches) // bench.launches_a_pass(name) for name, launches in bench.launches.items()}
    order: list[str] = []
    for ahead in range(AT_ONCE):
        order += _pass_over(bench, [name for name in bench.names if passes[name] + ahead < LEAST_PASSES], rng)
    return order


def _pass_over(bench: Bench, names: Sequence[str], rng: random.Random) -> list[str]:
    """Return calls, then whole models, each in random order.

    What ran before a launch is told by the caches: a whole model must find them as where only such are measured.
    """
    order: list[str] = []
    for times in sorted(set(map(bench.launches_a_pass, names))):
        alike = [name for name in names if bench.launches_a_pass(name) == times]
        order += shuffled([name for name in alike for _ in range(times)], rng)
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


def _disturbed(readings_ns: Sequence[int], reference_ns: int | None) -> bool:
    """Return whether the machine is not calm, or slower than a reference."""
    level_ns = calm_level(readings_ns)
    slower = reference_ns is not None and level_ns > COMPARABLE * reference_ns
    return slower or statistics.median(readings_ns) > CALM_MEDIAN * level_ns


def off_level(sentinel_ns: int, reference_ns: int) -> bool:
    """Return whether the sentinel's level differs from a reference by more than what is taken."""
    return abs(sentinel_ns / reference_ns - 1) > REFERENCE_TOLERANCE
