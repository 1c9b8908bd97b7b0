"""Address: how to reach a device, as `local`, `ssh://[user@]host[:port]` or `adb://serial`, with `?python=…`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from nas.errors import InvalidInput

FIELD = "device.address"
_KEY = re.compile(r"[a-z0-9-]{1,80}")
# A name that begins with "-" would be read as an option by ssh and adb.
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}"
_HOST = rf"(?P<host>{_NAME}|\[[0-9A-Fa-f:.]+(?:%{_NAME})?\])(?::(?P<port>[0-9]{{1,5}}))?"
_SSH = re.compile(rf"(?:(?P<user>{_NAME}\$?)@)?{_HOST}/?")
_ADB_SERIAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")
_ADB_NETWORK = re.compile(_HOST)


@dataclass(frozen=True)
class Address:
    """An address in its parts; `parse_address` makes valid ones."""

    scheme: str
    host: str = ""
    """The host of `ssh`, without the brackets of an IPv6 address, or the serial of `adb`, port and all."""
    user: str = ""
    port: int | None = None
    python: str = "python3"
    """The Python that runs programs there; "" at `local`, where the one that runs us does unless another is named."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if self.scheme == "ssh" and ":" in self.host else self.host
        place = f"{self.user}@{host}" if self.user else host
        text = self.scheme if self.scheme == "local" else f"{self.scheme}://{place}"
        if self.port is not None:
            text += f":{self.port}"
        usual = "" if self.scheme == "local" else "python3"
        return text if self.python == usual else f"{text}?{urlencode({'python': self.python}, safe='/')}"


def parse_address(text: str) -> Address:
    """Return the address in its parts; raise `InvalidInput` on `device.address` for what is none."""
    place, mark, query = text.partition("?")
    scheme, separator, rest = place.partition("://")
    python = _python(text, query, "" if scheme == "local" else "python3") if mark else None
    if scheme == "local":
        if separator:
            raise _refused(text, "`local`", "leave out what follows `local`")
        return Address("local", python=python or "")
    if scheme == "ssh" and separator:
        match = _SSH.fullmatch(rest)
        if match is None:
            raise _refused(text, "ssh://[user@]host[:port]", "name the host, or an alias of your ssh configuration")
        host = match["host"].strip("[]")
        return Address("ssh", host, match["user"] or "", _port(text, match["port"]), python or "python3")
    if scheme == "adb" and separator:
        if _ADB_SERIAL.fullmatch(rest) is None:
            match = _ADB_NETWORK.fullmatch(rest)
            if match is None or match["port"] is None:
                raise _refused(text, "adb://SERIAL or adb://host:port", "take the serial from `adb devices`")
            _port(text, match["port"])
        return Address("adb", rest, python=python or "python3")
    raise _refused(text, "local, ssh://[user@]host[:port] or adb://SERIAL", "begin the address with one of these")


def check_key(key: str) -> str:
    """Return the name of a working directory; raise `InvalidInput` if it is more than a plain name."""
    if _KEY.fullmatch(key) is None:
        raise InvalidInput.of("device.key", key, "1 to 80 of a–z, 0–9 and -", "name the working directory so")
    return key


def _port(text: str, port: str | None) -> int | None:
    if port is None:
        return None
    if not 1 <= int(port) <= 65535:
        raise _refused(text, "a port from 1 to 65535", "correct the port")
    return int(port)


def _python(text: str, query: str, usual: str) -> str:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        pairs = []
    if len(pairs) != 1 or pairs[0][0] != "python":
        raise _refused(text, "?python=/path/to/python3 and nothing else", "leave the rest of the query out")
    python = pairs[0][1]
    if not python or python.startswith("-") or not python.isprintable():
        raise _refused(text, "the path of a Python after ?python=", "give its full path on the device")
    return python or usual


def _refused(text: str, allowed: str, next_step: str) -> InvalidInput:
    return InvalidInput.of(FIELD, text, allowed, next_step)
