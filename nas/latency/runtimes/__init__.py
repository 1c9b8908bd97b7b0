"""The runtimes that a model can be measured in: one file each, and one line here.

Such a file has two sides. The class named below exports modules, here, where torch is. `Session` and `version` run
on the device: the very file is copied there and loaded beside `nas/latency/probe.py`, so that nothing of ours and no
torch (unless the runtime itself needs it) is imported at its top. Contract of both: `docs/latency.md`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from nas.errors import InvalidInput, PocketformerError

if TYPE_CHECKING:
    from torch import Tensor, nn

Precision = Literal["fp32", "int8-dynamic"]
"""`int8-dynamic`: weights of matrix products as int8, what they are multiplied with quantised as it comes."""

RUNTIMES: dict[str, str] = {
    "onnxruntime": "nas.latency.runtimes.onnxruntime:OnnxRuntime",
    "executorch": "nas.latency.runtimes.executorch:ExecuTorch",
    "torch": "nas.latency.runtimes.torch:Torch",
}
"""name -> `package.module:Class`, imported only when it is asked for."""


class Runtime(Protocol):
    """What a runtime offers where models are exported."""

    precisions: tuple[Precision, ...]
    suffix: str
    """The ending of the files that `export` writes, the dot included."""

    def recipe(self, precision: Precision) -> str:
        """Return how a module becomes what runs: exporter, what is switched off. Part of every table."""
        ...

    def options(self, precision: Precision) -> Mapping[str, Any]:
        """Return JSON values that `Session` is given: how it must load a file to follow the recipe."""
        ...

    def tolerance(self, precision: Precision) -> float:
        """Return how far an output may be from torch's, in units of its greatest absolute value."""
        ...

    def version(self) -> str:
        """Return the version of the runtime installed here; raise `InvalidInput` saying how to install it."""
        ...

    def export(self, module: nn.Module, inputs: tuple[Tensor, ...], path: Path, precision: Precision) -> None:
        """Write `module`, which returns a flat tuple of tensors, for inputs of exactly these shapes to `path`."""
        ...


def runtime(name: str) -> Runtime:
    """Return the runtime of that name; raise `InvalidInput` naming the known ones."""
    if name not in RUNTIMES:
        raise InvalidInput.of("device.runtime", name, ", ".join(RUNTIMES), "name one of these runtimes")
    module, _, class_name = RUNTIMES[name].partition(":")
    result: Runtime = getattr(import_module(module), class_name)()
    return result


class NotTaken(PocketformerError):
    """A runtime does not take a module: its exporter knows no translation of an operator."""


def export(
    chosen: Runtime, module: nn.Module, inputs: tuple[Tensor, ...], path: Path, precision: Precision, what: str
) -> None:
    """Write a module for a runtime; raise `NotTaken`, in the exporter's words, saying what of `what` it can't take."""
    try:
        chosen.export(module, inputs, path, precision)
    except PocketformerError:
        raise
    except Exception as error:  # exporters raise whatever they like
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise NotTaken(f"{what} can't be written in {precision}: the exporter says: {reason}") from error


def device_side(chosen: Runtime) -> Path:
    """Return the file that a device needs of a runtime."""
    path = sys.modules[type(chosen).__module__].__file__
    assert path is not None
    return Path(path)
