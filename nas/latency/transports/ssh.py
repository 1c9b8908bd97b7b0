"""SSH: the system's own OpenSSH client, with the user's configuration, keys and known hosts."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from nas.errors import MeasurementFailed
from nas.latency.transports.address import Address
from nas.latency.transports.far_shell import FarShell

CONFIGURATION = "POCKETFORMER_SSH_CONFIG"
"""An environment variable: a file to read in place of ~/.ssh/config and the system's."""
_CONNECT_TIMEOUT_S = 10
_OPTIONS = {
    "BatchMode": "yes",  # nobody is there to type a password
    "ConnectTimeout": str(_CONNECT_TIMEOUT_S),
    # a peer that vanished without a word is given up after 10 to 15 s
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "2",
    "LogLevel": "ERROR",
    # what a person's configuration may ask of a session in a terminal
    "RequestTTY": "no",
    "RemoteCommand": "none",
    "PermitLocalCommand": "no",
    "ClearAllForwardings": "yes",
    "ForwardAgent": "no",
    "ForwardX11": "no",
}


class Ssh(FarShell):
    """A device that runs an SSH server and a POSIX shell with tar; one connection carries all commands."""

    def __init__(self, address: Address, key: str) -> None:
        super().__init__(address, key)
        self._sockets: tempfile.TemporaryDirectory[str] | None = None
        ssh = shutil.which("ssh")
        if ssh is None:
            raise MeasurementFailed("There is no `ssh` here: install the OpenSSH client.")
        self._ssh = [ssh]
        if configuration := os.environ.get(CONFIGURATION):
            self._ssh += ["-F", configuration]
        for name, value in _OPTIONS.items():
            self._ssh += ["-o", f"{name}={value}"]
        if address.user:
            self._ssh += ["-l", address.user]
        if address.port is not None:
            self._ssh += ["-p", str(address.port)]
        self._host = ["--", address.host]

    def close(self) -> None:
        """Close the connection."""
        if self._sockets is not None:
            if self._socket().exists():
                with suppress(subprocess.TimeoutExpired):
                    subprocess.run(
                        [*self._command_here(), "-O", "exit", *self._host],
                        stdin=subprocess.DEVNULL,
                        capture_output=True,
                        timeout=_CONNECT_TIMEOUT_S,
                        check=False,
                    )
            self._sockets.cleanup()
            self._sockets = None

    def _socket(self) -> Path:
        if self._sockets is None:
            # a socket's path has about 100 characters at most: the key stays out of it
            self._sockets = tempfile.TemporaryDirectory(prefix="pf-ssh-", ignore_cleanup_errors=True)
        return Path(self._sockets.name) / "s"

    def _command_here(self) -> list[str]:
        return [*self._ssh, "-o", f"ControlPath={self._socket()}"]

    def _connect(self) -> None:
        """Open the connection that the commands share; without it each would open its own."""
        if self._socket().exists():
            return
        with tempfile.TemporaryFile() as words:  # no pipe: the connection stays behind and would hold it open
            try:
                # It ends by itself after five idle minutes, should we not live to close it.
                code = subprocess.run(
                    [*self._command_here(), "-M", "-N", "-f", "-o", "ControlPersist=300", *self._host],
                    stdin=subprocess.DEVNULL,
                    stdout=words,
                    stderr=words,
                    timeout=3 * _CONNECT_TIMEOUT_S,
                    start_new_session=True,
                    check=False,
                ).returncode
            except subprocess.TimeoutExpired:
                code = -1
            if code:
                words.seek(0)
                raise self._lost((words.read().decode("utf-8", "replace").strip().splitlines() or ["no answer"])[-1])

    def _client(self, argv: Sequence[str]) -> list[str]:
        self._connect()
        return [*self._command_here(), *self._host, shlex.join(argv)]

    def _place(self) -> str:
        return f'd="${{XDG_CACHE_HOME:-$HOME/.cache}}/pocketformer/devices/{self._key}"'

    def _send(self, files: Sequence[Path], timeout_s: float) -> None:
        def write(pipe: IO[bytes]) -> None:
            with tarfile.open(fileobj=pipe, mode="w|", format=tarfile.GNU_FORMAT, dereference=True) as archive:
                for file in files:
                    archive.add(file, arcname=f"./{file.name}", recursive=False)

        # the first thing that tar says is the reason, the last one only that there was one
        self._command(
            'said=$(tar -xf - 2>&1) || { echo "$said" | head -n 1 >&2; exit 1; }', stdin=write, timeout_s=timeout_s
        )
