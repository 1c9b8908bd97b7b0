"""Measurement: the launches of one graph, and the figure that they come to.

On a shared machine a disturbance only ever adds time, and it comes in bursts from milliseconds to many seconds. So
the figure is that of the *K-best* scheme (Bryant and O'Hallaron, Computer Systems: A Programmer's Perspective, first
edition, chapter 9): of launches in random order, spread over the whole run, the three fastest count, if they agree with
each other. On a calm machine that is close to the median of all launches, which stands beside it.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, model_validator

from nas.documents import StrictModel
from nas.errors import InvalidInput

BEST = 3
"""How many launches, the fastest ones, count."""
LEAST_LAUNCHES = 5
SETTLED_SPREAD = 0.02
MOST_SPREAD = 0.10
MOST_LATE_EARLY = 1.05
WRONG_OUTPUT = "its output differs from torch's"
CALM_SENTINEL = 1.10
"""A launch counts as taken in calm if the sentinel beside it was no further above its calm level …"""
LEAST_UNINTERRUPTED = 3
"""… and so many iterations passed without another process on the CPU: only those count in its figure."""


@dataclass(frozen=True)
class Launch:
    """One launch as the probe reported it, with what the sentinel beside it said."""

    graph: str
    latency_ns: int
    """Lower quartile of the iterations that were not interrupted."""
    iterations: int
    interrupted: int
    """Iterations during which another process had the CPU; they count for nothing."""
    stolen: float
    """Share of the time that other processes had the CPU, 0 to 1; 0 where several threads work."""
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
    """The latency of each launch: the lower quartile of its iterations."""
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
    median_ns: Nanoseconds
    """The figure: the median of the three fastest launches."""
    spread: Annotated[float, Field(ge=0)]
    """How far the slowest of these three lies above the fastest, as a fraction."""
    low_ns: Nanoseconds
    """The fastest launch."""
    high_ns: Nanoseconds
    """The median of all launches: what one sees who measures in the same minutes and picks nothing."""
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
    def settled(self) -> bool:
        """Whether further launches are not needed."""
        return self.valid and len(self.launches_ns) >= LEAST_LAUNCHES and self.spread <= SETTLED_SPREAD


def _calm(columns: dict[str, Any]) -> list[int]:
    """Return the indices of the launches that were taken in calm."""
    launches = zip(columns["sentinel_ratios"], columns["iterations"], columns["interrupted"], strict=True)
    return [
        index
        for index, (ratio, iterations, interrupted) in enumerate(launches)
        if ratio <= CALM_SENTINEL and iterations - interrupted >= LEAST_UNINTERRUPTED
    ]


def _kept(columns: dict[str, Any], calm: Sequence[int]) -> list[int]:
    """Return the indices of the launches that count, fastest first: taken in calm, if enough were."""
    launches_ns = columns["launches_ns"]
    among = calm if len(calm) >= BEST else range(len(launches_ns))
    return sorted(among, key=launches_ns.__getitem__)[:BEST]


def _figures(columns: dict[str, Any]) -> dict[str, Any]:
    """Return everything about a measurement that follows from its launches."""
    launches = columns["launches_ns"]
    calm = _calm(columns)
    kept = _kept(columns, calm)
    fastest, slowest = launches[kept[0]], launches[kept[-1]]
    spread = round((slowest - fastest) / fastest, 4)
    late_early = min(columns["late_early_ratios"][i] for i in kept)
    reason = None
    if columns["difference"] > columns["tolerance"]:
        reason = f"{WRONG_OUTPUT} by {columns['difference']:.2g} of the greatest value"
    elif len(launches) < BEST:
        reason = f"{len(launches)} launches, at least {BEST} are needed"
    elif len(calm) < BEST:
        reason = f"{len(calm)} of its launches were taken in calm, at least {BEST} are needed"
    elif spread > MOST_SPREAD:
        reason = f"the {BEST} fastest launches lie {spread:.0%} apart, at most {MOST_SPREAD:.0%} is taken"
    elif late_early > MOST_LATE_EARLY:
        reason = f"it slowed down by {late_early - 1:.0%} within each of its fastest launches, the device gets hot"
    return {
        "median_ns": round(statistics.median(launches[i] for i in kept)),
        "spread": spread,
        "low_ns": fastest,
        "high_ns": round(statistics.median(launches)),
        "valid": reason is None,
        "reason": reason,
    }
