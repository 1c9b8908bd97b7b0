"""Description: what a device says of itself before and after a campaign, read by a shell script over any transport."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from nas.documents import StrictModel
from nas.errors import MeasurementFailed
from nas.latency.transports import Transport

_SCRIPT = Path(__file__).with_name("describe.sh")
_TIMEOUT_S = 60.0
_Text = Annotated[str, Field(min_length=1, max_length=300)]
_KiloHertz = Annotated[int, Field(ge=0)]


class ThermalZone(StrictModel):
    """A temperature sensor of the system."""

    name: _Text
    millidegrees: int
    """10⁻³ °C; some drivers say other units, or 0 for a sensor that is asleep."""


class CpuFrequency(StrictModel):
    """The clock of one CPU, as far as its system tells it."""

    cpu: Annotated[int, Field(ge=0)]
    current_khz: _KiloHertz | None = None
    maximum_khz: _KiloHertz | None = None
    """What the hardware can do."""
    limit_khz: _KiloHertz | None = None
    """What the system allows it now: below the maximum when a person or the heat holds it back."""


class Description(StrictModel):
    """What a device says of itself; None, or an empty tuple, where it doesn't say."""

    system: _Text | None = None
    """Name and release of the kernel, as `uname -sr` says."""
    architecture: _Text | None = None
    product: _Text | None = None
    """What Android calls the device: its maker and model."""
    soc: _Text | None = None
    """What Android calls the chip."""
    cpu_model: _Text | None = None
    arm_cores: tuple[_Text, ...] = ()
    """ARM's implementer and part number of each kind of core, as `0x41/0xd0b`, in the order of the CPUs."""
    cores: Annotated[int, Field(ge=1)] | None = None
    """CPUs that are there, asleep or not."""
    usable_cores: Annotated[int, Field(ge=1)] | None = None
    """CPUs that a program started there may run on."""
    memory_mb: Annotated[int, Field(ge=1)] | None = None
    """10^6 bytes."""
    governor: _Text | None = None
    """The CPU frequency governor; where CPUs differ, all that there are, as `powersave/performance`."""
    frequencies: tuple[CpuFrequency, ...] = ()
    thermal_zones: tuple[ThermalZone, ...] = ()
    load_average: tuple[float, float, float] | None = None
    """Processes that run or wait to, over 1, 5 and 15 minutes."""


def describe(transport: Transport) -> Description:
    """Return what the device at the other end says of itself; raise `MeasurementFailed` if it can't be asked."""
    lines: list[str] = []
    transport.push([_SCRIPT])
    transport.run(["sh", _SCRIPT.name], lines.append, _TIMEOUT_S)
    return read_description(lines)


def read_description(lines: Sequence[str]) -> Description:
    """Read what describe.sh prints; what can't be understood counts as not said.

    Raises `MeasurementFailed` if the last line is missing.
    """
    if not lines or lines[-1] != "end":
        raise MeasurementFailed("The device did not describe itself to the end.")
    said: dict[str, list[str]] = defaultdict(list)
    for line in lines[:-1]:
        name, _, value = line.partition(" ")
        if value.strip():
            said[name].append(value.strip()[:300])

    def first(name: str) -> str | None:
        return said[name][0] if said[name] else None

    return Description(
        system=first("system"),
        architecture=first("architecture"),
        product=" ".join(said["maker"][:1] + said["product"][:1])[:300] or None,
        soc=first("soc"),
        cpu_model=first("cpu_model"),
        arm_cores=_distinct(said["arm_core"]),
        cores=_length(first("present_list")) or _number(first("cores")) or None,
        usable_cores=_length(first("usable_list")) or _number(first("usable")) or None,
        memory_mb=_memory_mb(first("memory_kib"), first("memory_bytes")),
        governor="/".join(_distinct(said["governor"]))[:300] or None,
        frequencies=_frequencies(said),
        thermal_zones=_thermal_zones(said["thermal"]),
        load_average=_load_average(first("load") or (first("load_braces") or "").strip("{} ")),
    )


def _distinct(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None


def _length(ranges: str | None) -> int | None:
    """Return how many numbers a list of the kernel names: 6 for `0-3,8,10`."""
    count = 0
    for part in (ranges or "").split(","):
        low, _, high = part.partition("-")
        start, stop = _number(low), _number(high or low)
        if start is None or stop is None or stop < start:
            return None
        count += stop - start + 1
    return count


def _memory_mb(kib: str | None, of_bytes: str | None) -> int | None:
    size = (_number(kib) or 0) * 1024 or _number(of_bytes) or 0
    return size // 1_000_000 or None


def _frequencies(said: dict[str, list[str]]) -> tuple[CpuFrequency, ...]:
    by_cpu: dict[int, dict[str, int]] = defaultdict(dict)
    for name in ("current_khz", "maximum_khz", "limit_khz"):
        for line in said[name]:
            cpu, _, value = line.partition(" ")
            number, khz = _number(cpu), _number(value)
            if number is not None and khz is not None:
                by_cpu[number][name] = khz
    return tuple(CpuFrequency(cpu=cpu, **by_cpu[cpu]) for cpu in sorted(by_cpu))


def _thermal_zones(lines: Sequence[str]) -> tuple[ThermalZone, ...]:
    zones = []
    for line in lines:
        value, _, name = line.partition(" ")
        digits = _number(value.removeprefix("-"))
        if digits is not None and name:
            zones.append(ThermalZone(name=name, millidegrees=-digits if value.startswith("-") else digits))
    return tuple(zones)


def _load_average(text: str) -> tuple[float, float, float] | None:
    try:
        one, five, fifteen = (float(word) for word in text.split()[:3])
        return Description(load_average=(one, five, fifteen)).load_average
    except ValueError:  # too few, no numbers, or not finite
        return None
