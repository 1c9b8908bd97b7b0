"""Device: the hardware and the settings under which a latency holds."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from nas.documents import StrictModel, validate
from nas.errors import InvalidInput
from nas.latency.runtimes import Precision, runtime

Text = Annotated[str, Field(min_length=1, max_length=300)]
NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"
_CHANGES_THE_NUMBER = ("hardware", "runtime", "runtime_version", "threads", "precision", "clock")


def check_name(name: str) -> str:
    """Return the name of a device; raise `InvalidInput` if none can have it."""
    if re.fullmatch(NAME, name) is None:
        raise InvalidInput.of(
            "device.name", name, "a–z, 0–9 and -, beginning with a letter or digit, at most 63", "give it another name"
        )
    return name


class Device(StrictModel):
    """Hardware, runtime, threads, precision and clock: change one, and every latency must be measured anew."""

    name: Annotated[str, Field(pattern=NAME)]
    hardware: Text
    """CPU model and instruction set."""
    cores: Annotated[int, Field(ge=1, le=4096)]
    memory_mb: Annotated[int, Field(ge=1)] | None = None
    """10^6 bytes; None where the system doesn't say."""
    runtime: Text
    """A name in `nas.latency.runtimes.RUNTIMES`."""
    runtime_version: Text
    threads: Annotated[int, Field(ge=1, le=1024)]
    """Threads of one inference."""
    precision: Precision = "fp32"
    clock: Text = "unmanaged"
    """The CPU frequency governor, or `unmanaged` where none can be read."""
    system: Text
    address: Text = "local"
    """How to reach it from where it was described, see `nas.latency.transports`; no part of the fingerprint."""

    @classmethod
    def from_dict(cls, value: Any, field: str = "device") -> Device:
        """Build from plain values, `fingerprint` left aside; raise `InvalidInput` naming each wrong field."""
        if isinstance(value, dict):
            value = {name: inner for name, inner in value.items() if name != "fingerprint"}
        return validate(cls, value, field)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, the fingerprint included."""
        return {**self.model_dump(mode="json"), "fingerprint": self.fingerprint}

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 (hexadecimal) of the fields that change a latency; the name is not among them."""
        value = {name: getattr(self, name) for name in _CHANGES_THE_NUMBER}
        return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def this_machine(threads: int = 1, runtime_name: str = "onnxruntime", precision: Precision = "fp32") -> Device:
    """Return the machine that this process runs on, with a runtime on its CPU."""
    return Device(
        name="this-machine",
        hardware=f"{_cpu_model()} ({platform.machine()})"[:300],
        cores=os.cpu_count() or 1,
        memory_mb=_memory_mb(),
        runtime=runtime_name,
        runtime_version=runtime(runtime_name).version(),
        threads=threads,
        precision=precision,
        clock=_clock(),
        system=f"{platform.system()} {platform.release()}"[:300],
    )


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "Model", "Hardware") and value.strip():
                return value.strip()
    except OSError:
        pass  # no Linux: the next source knows
    if platform.system() == "Darwin":
        asked = subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False
        )
        if asked.returncode == 0 and asked.stdout.strip():
            return asked.stdout.strip()
    return platform.processor() or "unknown CPU"


def _memory_mb() -> int | None:
    try:
        return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1_000_000)
    except (AttributeError, ValueError, OSError):
        return None


def _clock() -> str:
    try:
        return Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").read_text().strip() or "unmanaged"
    except OSError:
        return "unmanaged"
