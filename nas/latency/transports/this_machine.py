"""This machine: programs run in a fresh process, away from torch's threads, with the files linked into the cache."""

from __future__ import annotations

import filecmp
import os
import secrets
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from nas.cache import cache_directory
from nas.errors import MeasurementFailed
from nas.latency.transports.address import Address
from nas.latency.transports.far_shell import FarShell, plain_name


class ThisMachine(FarShell):
    """The machine that this process runs on."""

    def __init__(self, address: Address, key: str) -> None:
        super().__init__(address, key)
        self.python = (address.python or sys.executable, "-I")  # -I: nothing of ours is on the probe's path
        self._directory = cache_directory() / "devices" / key

    def push(self, files: Sequence[Path]) -> None:
        """Link or copy files there; see `Transport.push`."""
        by_name = {plain_name(file.name): file for file in files}
        missing = [file for name, file in by_name.items() if not self._has(file, self._directory / name)]
        if missing:
            self._send(missing, 0.0)

    @staticmethod
    def _has(file: Path, there: Path) -> bool:
        return there.is_file() and (there.samefile(file) or filecmp.cmp(file, there, shallow=False))

    def _send(self, files: Sequence[Path], timeout_s: float) -> None:  # noqa: ARG002  (others need it)
        self._command(":")  # makes the directory
        for file in files:
            fresh = self._directory / f".{secrets.token_hex(8)}"
            try:
                _link(file.resolve(strict=True), fresh)
                os.replace(fresh, self._directory / file.name)
            except OSError as error:
                fresh.unlink(missing_ok=True)
                raise MeasurementFailed(f"{file.name} can't be put into {self._directory}: {error.strerror}") from error

    def _client(self, argv: Sequence[str]) -> list[str]:
        return list(argv)

    def _place(self) -> str:
        return f"d={shlex.quote(str(self._directory))}"


def _link(file: Path, there: Path) -> None:
    try:
        os.link(file, there)
    except OSError:  # another file system, or one without links
        shutil.copy(file, there)
