"""Transports: ways to a device, one file each, with one working directory there to run programs in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self

from nas.latency.transports.adb import Adb
from nas.latency.transports.address import Address, check_key, parse_address
from nas.latency.transports.ssh import Ssh
from nas.latency.transports.this_machine import ThisMachine


class Transport(Protocol):
    """What a way to a device offers.

    Every method raises `DeviceLost` if the device can't be reached or vanishes meanwhile; the same transport may be
    used again once the device is back. Leaving the context closes connections and leaves the working directory, so
    that a later transport of the same key goes on with its files. One program at a time: `run` first stops what an
    earlier run, cut off from us, may have left running in that directory.
    """

    address: str
    python: tuple[str, ...]
    """What to put before the name of a Python program there: the interpreter and its options."""

    def push(self, files: Sequence[Path]) -> None:
        """Put files into the working directory under their own names; what is there already is not sent again.

        What it has pushed itself a transport takes to be there still, so programs should leave those files alone.
        Raises `InvalidInput` for a name that can't be had there, `MeasurementFailed` if it doesn't fit.
        """
        ...

    def run(self, argv: Sequence[str], on_line: Callable[[str], None], timeout_s: float) -> None:
        """Run a program in the working directory, its standard input empty.

        Calls `on_line` with each line of standard output as it comes, without its line end. Raises
        `MeasurementFailed` with the program's own last words if it ends with an error or isn't done in time;
        whatever ends the run, the program there and its children are killed.
        """
        ...

    def pull(self, name: str, path: Path) -> None:
        """Copy one file of the working directory to `path`; raise `MeasurementFailed` if it isn't there."""
        ...

    def clean_up(self) -> None:
        """Kill what still runs in the working directory, then remove it."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


TRANSPORTS: Mapping[str, Callable[[Address, str], Transport]] = {
    "local": ThisMachine,
    "ssh": Ssh,
    "adb": Adb,
}
"""By the scheme of the address. A new transport is one file, one line here and its form in `address`."""


def transport_at(address: str, key: str) -> Transport:
    """Return the transport to the device at `address`, its working directory there named by `key`.

    Reaches out only when it is used. Raises `InvalidInput` on `device.address` for what is no address, and on
    `device.key` for a key that is not made of 1 to 80 of a–z, 0–9 and `-`.
    """
    parsed = parse_address(address)
    return TRANSPORTS[parsed.scheme](parsed, check_key(key))
