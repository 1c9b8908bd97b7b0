"""Ways to a device: one file each. A transport runs a probe next to its files and hands its lines back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from nas.errors import InvalidInput
from nas.latency.device import Device
from nas.latency.device import this_machine as describe_this_machine
from nas.latency.transports.this_machine import ThisMachine


class Transport(Protocol):
    """What a way to a device offers."""

    def run(self, program: Path, directory: Path, on_line: Callable[[str], None], timeout_s: float) -> None:
        """Run a Python program on the device with the path that `directory` has there as its argument.

        Calls `on_line` with each line of standard output as it comes. Raises `MeasurementFailed` with the
        program's own words if it ends with an error or not in time.
        """
        ...


def transport_to(device: Device) -> Transport:
    """Return the way to a device; raise `InvalidInput` if there is none from here.

    Today that is this machine alone, and only as long as it still is what the device says.
    """
    here = describe_this_machine(device.threads)
    for name in ("hardware", "runtime", "runtime_version", "clock"):
        if getattr(here, name) != getattr(device, name):
            raise InvalidInput.of(
                f"device.{name}",
                getattr(device, name),
                f"{getattr(here, name)!r}, the {name} of this machine",
                "measure on the device itself, or, if this is it and it has changed, profile it anew",
            )
    return ThisMachine()
