"""Measurement: the launches of one graph, and the figure that they come to.

On a shared machine a disturbance only ever adds time, and it comes in bursts from milliseconds to many seconds. So
of launches in random order, spread over the whole run, those count that were taken in calm, and the figure is their
lower decile, if its confidence interval is narrow enough: a disturbance that the sentinel missed only makes it slower.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, model_validator

from nas.documents import StrictModel
from nas.errors import InvalidInput

PROTOCOL = 4
"""Raised with every change to how launches are taken or what they come to: tables compare only within one."""
QUANTILE = 0.1
LEAST_CALM = 3
LEAST_LAUNCHES = 5
SETTLED_SPREAD = 0.02
MOST_SPREAD = 0.10
_TAIL = 0.05
MOST_LATE_EARLY = 1.05
WRONG_OUTPUT = "its output differs from torch's"
CALM_SENTINEL = 1.10
"""A launch counts as taken in calm if the sentinel beside it was no further above its calm level …"""
LEAST_UNINTERRUPTED = 3
"""… so many iterations passed without another process on the CPU: only those count in its figure …"""
MOST_STOLEN = 0.2
"""… and others had no larger share of its time: what they leave in the caches slows down the rest, too."""


@dataclass(frozen=True)
class Launch:
    """One launch as the probe reported it, with what the sentinel beside it said."""

    graph: str
    latency_ns: int
    """Fastest tenth of the iterations that were not interrupted: of ten or fewer the fastest."""
    iterations: int
    interrupted: int
    """Iterations during which another process had the CPU; they count for nothing."""
    stolen: float
    """Share of the time that other processes had the CPU, 0 to 1; of several threads, of the one that waited longest
    (0 on a system that doesn't tell)."""
    late_early_ratio: float
    """Last third of the iterations against the first: above 1 the device slows down while it works."""
    difference: float
    """Greatest difference from torch's output, in units of its greatest absolute value."""
    sentinel_ns: int
    """The lower one of the sentinel's readings before and after."""


Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
Nanoseconds = Annotated[int, Field(ge=1, le=10**15)]
Ratio = Annotated[float, Field(gt=0, le=1e6)]
Share = Annotated[float, Field(ge=0, le=1)]
_COLUMNS = ("launches_ns", "iterations", "interrupted", "stolen", "late_early_ratios", "sentinel_ratios")


class Measurement(StrictModel):
    """What was measured of one graph: every launch, and what follows from them (checked when it is read)."""

    launches_ns: Annotated[tuple[Nanoseconds, ...], Field(min_length=1, max_length=1000)]
    """The latency of each launch: the fastest tenth of its iterations."""
    iterations: tuple[Count, ...]
    interrupted: tuple[Count, ...]
    stolen: tuple[Share, ...]
    late_early_ratios: tuple[Ratio, ...]
    sentinel_ratios: tuple[Ratio, ...]
    """The sentinel beside each launch, against its calm level in the same run."""
    difference: Annotated[float, Field(ge=0)]
    """Greatest difference from torch's output over all launches, in units of its greatest absolute value."""
    tolerance: Annotated[float, Field(gt=0, le=1)] = 1e-3
    """The greatest difference that the runtime may have at this precision."""
    latency_ns: Nanoseconds
    """The figure: the lower decile of the launches that were taken in calm."""
    spread: Annotated[float, Field(ge=0)]
    """Half the width of the figure's confidence interval, as a fraction of it."""
    low_ns: Nanoseconds
    high_ns: Nanoseconds
    """The 90 % confidence interval of the figure, over launches: what other launches of that time would have told."""
    valid: bool
    reason: str | None
    """Why it is not valid."""

    @classmethod
    def of(cls, launches: Sequence[Launch], calm_sentinel_ns: int, tolerance: float = 1e-3) -> Measurement:
        """Build from launches of one graph, in the order they were taken."""
        columns: dict[str, Any] = {
            "launches_ns": tuple(x.latency_ns for x in launches),
            "iterations": tuple(x.iterations for x in launches),
            "interrupted": tuple(x.interrupted for x in launches),
            "stolen": tuple(x.stolen for x in launches),
            "late_early_ratios": tuple(x.late_early_ratio for x in launches),
            "sentinel_ratios": tuple(round(x.sentinel_ns / calm_sentinel_ns, 4) for x in launches),
            "difference": max(x.difference for x in launches),
            "tolerance": tolerance,
        }
        return cls(**columns, **_figures(columns))

    @model_validator(mode="after")
    def _agrees_with_its_launches(self) -> Measurement:
        for name in _COLUMNS[1:]:
            given = len(getattr(self, name))
            if given != len(self.launches_ns):
                raise InvalidInput.of(
                    name,
                    f"{given} values",
                    f"{len(self.launches_ns)} values, one a launch",
                    "send the record whole, as it was measured",
                )
        columns = {name: getattr(self, name) for name in (*_COLUMNS, "difference", "tolerance")}
        for name, derived in _figures(columns).items():
            if getattr(self, name) != derived:
                raise InvalidInput.of(
                    name,
                    getattr(self, name),
                    f"{derived!r}, which is what its launches come to",
                    "send the record as it was measured, unedited",
                )
        return self

    @property
    def calm(self) -> tuple[int, ...]:
        """The indices of the launches that were taken in calm."""
        return tuple(_calm({name: getattr(self, name) for name in _COLUMNS}))

    @property
    def settled(self) -> bool:
        """Whether further launches are not needed."""
        return self.valid and len(self.launches_ns) >= LEAST_LAUNCHES and self.spread <= SETTLED_SPREAD


def _calm(columns: dict[str, Any]) -> list[int]:
    """Return the indices of the launches that were taken in calm."""
    names = ("sentinel_ratios", "iterations", "interrupted", "stolen")
    return [
        index
        for index, (ratio, iterations, interrupted, stolen) in enumerate(
            zip(*(columns[name] for name in names), strict=True)
        )
        if ratio <= CALM_SENTINEL and iterations - interrupted >= LEAST_UNINTERRUPTED and stolen <= MOST_STOLEN
    ]


def _interval(count: int) -> tuple[int, int]:
    """Return the launches, fastest first, that the figure lies between with 90 % confidence.

    Order statistics about a quantile, of which as many are below as a binomial distribution says (David and Nagaraja,
    Order Statistics, section 7.1). Of few launches the fastest is the lower end, whatever that is worth.
    """
    below, chance = -1, 0.0
    ends = []
    for wanted in (_TAIL, 1 - _TAIL):
        while chance < wanted:
            below += 1
            chance += math.comb(count, below) * QUANTILE**below * (1 - QUANTILE) ** (count - below)
        ends.append(below)
    return max(0, ends[0] - 1), min(count - 1, ends[1])


def _figures(columns: dict[str, Any]) -> dict[str, Any]:
    """Return everything about a measurement that follows from its launches, from those taken in calm if enough were."""
    every = range(len(columns["launches_ns"]))
    calm = _calm(columns)
    kept = calm if len(calm) >= LEAST_CALM else every
    launches = sorted(columns["launches_ns"][i] for i in kept)
    place = QUANTILE * (len(launches) - 1)
    lower = math.floor(place)
    upper = min(lower + 1, len(launches) - 1)
    latency_ns = round(launches[lower] + (place - lower) * (launches[upper] - launches[lower]))
    low_ns, high_ns = (launches[i] for i in _interval(len(launches)))
    spread = round((high_ns - low_ns) / 2 / latency_ns, 4)
    ratios = sorted(columns["late_early_ratios"][i] for i in kept)
    late_early = ratios[lower]
    reason = None
    if columns["difference"] > columns["tolerance"]:
        reason = f"{WRONG_OUTPUT} by {columns['difference']:.2g} of the greatest value"
    elif len(every) < LEAST_CALM:
        reason = f"{len(every)} launches, at least {LEAST_CALM} are needed"
    elif len(calm) < LEAST_CALM:
        reason = f"{len(calm)} of its launches were taken in calm, at least {LEAST_CALM} are needed"
    elif spread > MOST_SPREAD:
        reason = f"its launches leave the figure uncertain by {spread:.0%}, at most {MOST_SPREAD:.0%} is taken"
    elif late_early > MOST_LATE_EARLY:
        reason = f"it slowed down by {late_early - 1:.0%} within most of its launches, the device gets hot"
    return {
        "latency_ns": latency_ns,
        "spread": spread,
        "low_ns": low_ns,
        "high_ns": high_ns,
        "valid": reason is None,
        "reason": reason,
    }


def calm_level(readings_ns: Sequence[int]) -> int:
    """Return the reading that a fiftieth of them is below, and at least one, which may be mere luck.

    It differs less from run to run than higher ones, which depend on how much of a run was disturbed.
    """
    below = max(len(readings_ns) // 50, 1 if len(readings_ns) > 2 else 0)
    return sorted(readings_ns)[below]
