"""ADB: an Android device, by cable or network, through the system's own `adb` client."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from nas.errors import DeviceLost, MeasurementFailed
from nas.latency.transports.address import Address
from nas.latency.transports.client import run_client
from nas.latency.transports.far_shell import FarShell

_ADB_TIMEOUT_S = 30.0
_FILES_A_CALL = 200


class Adb(FarShell):
    """A device with Android's debug bridge switched on: Android 7 or later, whose shell tells exit codes."""

    def __init__(self, address: Address, key: str) -> None:
        super().__init__(address, key)
        adb = shutil.which("adb")
        if adb is None:
            raise MeasurementFailed("There is no `adb` here: install Android's platform tools.")
        self._adb = adb
        self._serial = address.host
        self._by_network = ":" in address.host
        self._connected = False
        self._was_lost = False

    def _connect(self) -> None:
        """Start adb's server, which commands share, and connect to a device of the network."""
        if self._connected:
            return
        try:
            self._ask("start-server")
            if self._by_network:
                if self._was_lost:  # the server may hold on to a connection that is dead
                    self._ask("disconnect", self._serial)
                words = self._ask("connect", self._serial)
                if "connected to" not in words:  # adb's exit code says nothing here
                    raise self._lost(words)
        except subprocess.TimeoutExpired as error:
            raise self._lost(f"adb was not done after {_ADB_TIMEOUT_S:.0f} s") from error
        self._connected, self._was_lost = True, False

    def _ask(self, *argv: str) -> str:
        """Return what adb says, last line."""
        asked = subprocess.run(
            [self._adb, *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_ADB_TIMEOUT_S,
            check=False,
        )
        return (asked.stdout.decode("utf-8", "replace").strip().splitlines() or [""])[-1]

    def _lost(self, words: str) -> DeviceLost:
        self._connected, self._was_lost = False, True
        return super()._lost(words.removeprefix("error: "))

    def _client(self, argv: Sequence[str]) -> list[str]:
        self._connect()
        return [self._adb, "-s", self._serial, "shell", shlex.join(argv)]

    def _place(self) -> str:
        # /data/local/tmp is where Android lets adb's shell run programs; a Linux with adbd has /tmp
        return f"if [ -d /data/local/tmp ]; then d=/data/local/tmp; else d=/tmp; fi; d=$d/pocketformer-{self._key}"

    def _send(self, files: Sequence[Path], timeout_s: float) -> None:
        directory = self._command('echo "$d"').decode().removesuffix("\n")
        for start in range(0, len(files), _FILES_A_CALL):
            paths = [str(file.absolute()) for file in files[start : start + _FILES_A_CALL]]
            said: list[str] = []  # adb tells of its troubles now on standard output, now on standard error
            argv = [self._adb, "-s", self._serial, "push", *paths, f"{directory}/"]
            ended = run_client(argv, said.append, timeout_s, lambda _: None)
            if ended.stopped:
                raise self._lost(f"a transfer was not done after {timeout_s:.0f} s")
            if ended.code:
                self._command(":")  # raises if it is the device that is gone
                words = [line for line in (ended.errors.splitlines() + said) if "error" in line or "failed" in line]
                raise MeasurementFailed(f"{self.address}: {words[0] if words else 'adb push failed'}")
