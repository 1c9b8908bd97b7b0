"""The runtimes that a model can be measured in: one file each, and one line here.

A runtime exports a module to a file and brings a probe, a program of its own that runs such files where the
device is. Contract of both: `docs/latency.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from nas.errors import InvalidInput

RUNTIMES: dict[str, str] = {
    "onnxruntime": "nas.latency.runtimes.onnxruntime:OnnxRuntime",
}
"""name -> `package.module:Class`, imported only when it is asked for."""


class Runtime(Protocol):
    """What a runtime offers."""

    recipe: str
    """How a module becomes what runs: exporter, its version, what is switched off. Part of every table."""
    probe: Path
    """The program that measures, see `nas/latency/runtimes/onnxruntime_probe.py` for what it reads and prints."""
    suffix: str
    """The ending of the files that `export` writes, the dot included."""
    session_options: Mapping[str, Any]
    """JSON values handed to the probe in its plan as `session`: how it must load a file to follow the recipe."""

    def version(self) -> str:
        """Return the version of the runtime installed here."""
        ...

    def export(self, module: nn.Module, example: Tensor, path: Path) -> None:
        """Write `module` for inputs of exactly the example's shape to `path`."""
        ...


def runtime(name: str) -> Runtime:
    """Return the runtime of that name; raise `InvalidInput` naming the known ones."""
    if name not in RUNTIMES:
        raise InvalidInput.of("device.runtime", name, ", ".join(RUNTIMES), "name one of these runtimes")
    module, _, class_name = RUNTIMES[name].partition(":")
    result: Runtime = getattr(import_module(module), class_name)()
    return result
