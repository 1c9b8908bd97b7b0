"""Far shell: a transport over any client program that hands a POSIX shell on the device its command and streams.

`sh` on this machine, `ssh` and `adb shell` are such clients. Four rules make them alike:

- The end is explicit. The shell's last line on standard error is a random mark with the program's exit code, so that
  a client which ends without it has lost the device, whatever the client's own exit code.
- The far shell is heard of every few seconds, if only by a beat on standard error: a device that falls silent is
  lost, whether the client notices or not (adb does not).
- Standard input is the lifeline. The program runs in a process group of its own, and a watcher there kills that
  group as soon as the shell's standard input ends: when we close it, when we die, when the connection breaks. Where
  nobody tells the device that the connection broke, a clock there does the same a while after the time-out, and
  the next run in the same directory kills what an earlier one left.
- Every command makes and enters the working directory itself: nothing needs to be remembered between two.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import secrets
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Self

from nas.errors import DeviceLost, InvalidInput, MeasurementFailed
from nas.latency.transports.address import Address
from nas.latency.transports.client import SILENCE_S, run_client

COMMAND_TIMEOUT_S = 60.0
SLOWEST_BYTES_PER_S = 200_000
"""Transfers get the time they need at this speed, besides the time of a command."""
_BEAT_S = 5
"""Often enough to notice a loss soon; a beat costs the device a `sleep`, about a millisecond."""

_ENTER = """
mkdir -p "$d" && chmod 700 "$d" && [ -O "$d" ] && [ ! -h "$d" ] && cd "$d" || {
    echo "the working directory $d can't be made or isn't ours" >&2
    exit 1
}
"""

# .running names the program by its pid and the time it began: a pid alone may since have gone to another process.
_STOP_LEFTOVER = """
began() {
    if [ -d /proc/self ]; then
        s=$(cat "/proc/$1/stat") && s=${s##*) } && set -- $s && echo "${20}"
    else
        ps -o lstart= -p "$1"
    fi 2>/dev/null
}
if [ -f .running ]; then
    { read -r pid; read -r since; } <.running
    if [ -n "$since" ] && [ "$(began "$pid")" = "$since" ]; then kill -9 "-$pid" "$pid"; fi 2>/dev/null
    rm -f .running
fi
"""

# $1: what to say at each beat; $2: seconds between two; $3: after how many the program is killed though nobody says
# so; the rest: the program. A beat that can't be said has nobody left to hear it.
_RUN = """
beat=$1 pause=$2 count=$3; shift 3
exec 3<&0 </dev/null
if command -v setsid >/dev/null 2>&1; then group=setsid; else group=; set -m; fi
exec $group "$@" 3<&- &
pid=$!
trap "" PIPE  # nobody may be left to hear a word of ours
{ echo "$pid"; began "$pid"; } >.running
exec $group sh -c 'cat >/dev/null; kill -9 "-$1" "$1"' sh "$pid" <&3 >/dev/null 2>&1 3<&- &
lifeline=$!
exec $group sh -c '
while [ "$4" -gt 0 ] && sleep "$3" && echo "$2" >&2; do set -- "$1" "$2" "$3" "$(($4 - 1))"; done
kill -9 "-$1" "$1"' sh "$pid" "$beat" "$pause" "$count" >/dev/null 3<&- &
clock=$!
exec 3<&-
wait "$pid"
code=$?
kill -9 "-$pid" "-$lifeline" "$lifeline" "-$clock" "$clock" 2>/dev/null
rm -f .running
exit "$code"
"""

# Names come on standard input, one a line; a line goes out for each: its SHA-256, or - where it isn't there.
_SUMS = """
if command -v sha256sum >/dev/null 2>&1; then sum() { sha256sum; }
elif command -v shasum >/dev/null 2>&1; then sum() { shasum -a 256; }
else sum() { echo -; }; fi
while IFS= read -r name; do
    if [ -f "./$name" ]; then sum <"./$name"; else echo -; fi
done
"""


class FarShell(ABC):
    """A transport by the client program that `_client` names; see the module and `Transport`."""

    def __init__(self, address: Address, key: str) -> None:
        self.address = str(address)
        self.python: tuple[str, ...] = (address.python, "-I")
        self._key = key
        self._there: dict[str, str] = {}
        """SHA-256 by name of what this transport has put or found there: it is hashed there once, not every time."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:  # noqa: B027  (most keep nothing open)
        """Close what is kept open between two commands; the next one opens it again."""

    def push(self, files: Sequence[Path]) -> None:
        """Put files there; see `Transport.push`."""
        by_name = {plain_name(file.name): file for file in files}
        wanted = {name: _sha256(file) for name, file in by_name.items()}
        unknown = [name for name in wanted if name not in self._there]
        if unknown:
            size = sum(by_name[name].stat().st_size for name in unknown)
            text = self._command(_SUMS, stdin=_lines(unknown), timeout_s=_transfer_s(size)).decode()
            self._there.update(zip(unknown, (line.split(" ")[0] for line in text.splitlines()), strict=True))
        missing = [by_name[name] for name, sha256 in wanted.items() if self._there[name] != sha256]
        if missing:
            for file in missing:
                self._there.pop(file.name)  # an interrupted transfer leaves we don't know what
            self._send(missing, _transfer_s(sum(file.stat().st_size for file in missing)))
            self._there.update((file.name, wanted[file.name]) for file in missing)

    def run(self, argv: Sequence[str], on_line: Callable[[str], None], timeout_s: float) -> None:
        """Run a program there; see `Transport.run`."""
        beat = secrets.token_hex(8)
        beats = math.ceil((timeout_s + SILENCE_S) / _BEAT_S)
        args = [beat, str(_BEAT_S), str(beats), *argv]
        code, words, late = self._call(_STOP_LEFTOVER + _RUN, args, on_line, timeout_s, beat=beat)
        if late:
            raise MeasurementFailed(
                f"The program on {self.address} was not done after {timeout_s:g} s and was stopped."
            )
        if code:
            raise MeasurementFailed(
                f"The program on {self.address} ended with code {code}: {words or 'without a word'}"
            )

    def pull(self, name: str, path: Path) -> None:
        """Copy a file from there; see `Transport.pull`."""
        size = int(self._command('wc -c <"./$1"', [plain_name(name)]))
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            try:
                self._command('cat "./$1"', [name], timeout_s=_transfer_s(size), stdout=file)
                os.replace(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise

    def clean_up(self) -> None:
        """Remove the working directory; see `Transport.clean_up`."""
        self._there.clear()
        self._command(_STOP_LEFTOVER + 'cd / && rm -rf "$d"')

    @abstractmethod
    def _client(self, argv: Sequence[str]) -> list[str]:
        """Return the command here that runs `argv` there, connected first if need be."""

    @abstractmethod
    def _place(self) -> str:
        """Return shell text that sets `d` to the working directory, which need not exist."""

    @abstractmethod
    def _send(self, files: Sequence[Path], timeout_s: float) -> None:
        """Put files into the working directory, whatever is there by their names."""

    def _lost(self, words: str) -> DeviceLost:
        """Return the error for a client that ended without the far shell's mark."""
        self._there.clear()  # the device that comes back may have lost its files
        return DeviceLost(f"{self.address} can't be reached any more: {words or 'the connection ended'}")

    def _command(
        self,
        script: str,
        args: Sequence[str] = (),
        stdin: Callable[[IO[bytes]], object] | None = None,
        stdout: IO[bytes] | None = None,
        timeout_s: float = COMMAND_TIMEOUT_S,
    ) -> bytes:
        """Run a short script there and return what it prints, unless that goes to `stdout`."""
        with tempfile.TemporaryFile() as kept:
            output = stdout or kept
            code, words, late = self._call(script, args, None, timeout_s, stdin or (lambda _: None), output)
            if late:
                raise self._lost(f"no answer in {timeout_s:.0f} s")
            if code:
                raise MeasurementFailed(f"{self.address}: {words or f'the command ended with code {code}'}")
            output.seek(0)
            return b"" if stdout else output.read()

    def _call(
        self,
        script: str,
        args: Sequence[str],
        on_line: Callable[[str], None] | None,
        timeout_s: float,
        stdin: Callable[[IO[bytes]], object] | None = None,
        stdout: IO[bytes] | None = None,
        beat: str = "",
    ) -> tuple[int, str, bool]:
        """Run a script in the working directory; return its exit code, its last words and if it was late.

        Raises `DeviceLost` if the far shell didn't say that it ended.
        """
        mark = secrets.token_hex(8)
        whole = f'({self._place()}{_ENTER}{script})\necho {mark} "$?" >&2'
        argv = self._client(["sh", "-c", whole, "sh", *args])
        ended = run_client(argv, on_line, timeout_s, stdin=stdin, stdout=stdout, beat=beat)
        if end := re.search(f"{mark} ([0-9]+)\n", ended.errors):
            return int(end[1]), _last_line(ended.errors[: end.start()]), ended.stopped == "late"
        if ended.stopped:
            raise self._lost(f"nothing was heard for {SILENCE_S if ended.stopped == 'silent' else timeout_s:.0f} s")
        raise self._lost(_last_line(ended.errors))


def plain_name(name: str) -> str:
    """Return the name of a file in the working directory; raise `InvalidInput` for one that isn't plain."""
    if re.fullmatch(r"[^./\n\0][^/\n\0]*", name) is None or len(os.fsencode(name)) > 255:
        raise InvalidInput.of("file", name, "a name without /, line ends and a dot in front", "rename the file")
    return name


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")[-500:]


def _lines(names: Sequence[str]) -> Callable[[IO[bytes]], object]:
    return lambda pipe: pipe.write(b"".join(os.fsencode(name) + b"\n" for name in names))


def _transfer_s(size: int) -> float:
    return COMMAND_TIMEOUT_S + size / SLOWEST_BYTES_PER_S


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
