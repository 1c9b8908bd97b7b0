"""torch itself on the CPU, for development: what every machine that develops with Pocketformer has installed.

It shows how a device is measured where nothing else is installed; its figures are no phone's.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    from nas.latency.runtimes import Precision


class Torch:
    """Exports to TorchScript with a static batch and length."""

    precisions: tuple[Precision, ...] = ("fp32",)
    suffix = ".torchscript"

    def recipe(self, precision: Precision) -> str:  # noqa: ARG002
        """Return the recipe.

        TorchScript, because a program of torch.export is run by Python, node by node, on the device.
        """
        return "torchscript-traced"

    def options(self, precision: Precision) -> Mapping[str, Any]:  # noqa: ARG002
        """Return nothing."""
        return {}

    def tolerance(self, precision: Precision) -> float:  # noqa: ARG002
        """Return 10⁻³."""
        return 1e-3

    def version(self) -> str:
        """Return the version of torch."""
        return version()

    def export(self, module: nn.Module, inputs: tuple[Tensor, ...], path: Path, precision: Precision) -> None:  # noqa: ARG002
        """Write the traced function: weights are constants of it."""
        import torch

        frozen = copy.deepcopy(module).eval().requires_grad_(False)

        def run(*given: Tensor) -> Any:  # a function, since of a module every property would be read too
            return frozen(*given)

        with warnings.catch_warnings():
            _ignore_deprecation()
            # The check would trace a second time; the probe compares what comes out anyway
            traced = torch.jit.trace(run, inputs, check_trace=False)  # type: ignore[no-untyped-call]
            torch.jit.save(traced, str(path))


def _ignore_deprecation() -> None:
    # There is no other form yet that runs without Python
    warnings.filterwarnings("ignore", r"`torch\.jit", DeprecationWarning)


# What runs on the device ---------------------------------------------------------------------------------------


def version() -> str:
    """Return the version of the runtime on the device, without the build's name (`+cpu`)."""
    return metadata.version("torch").partition("+")[0]


class Session:
    """A traced module loaded with its inputs in place. TorchScript has a reader of its own: no Python is unpickled."""

    def __init__(self, path: str, inputs: list[Any], threads: int, options: Mapping[str, Any]) -> None:  # noqa: ARG002
        import torch

        torch.set_num_threads(threads)
        self._inputs = [torch.from_numpy(array) for array in inputs]
        with warnings.catch_warnings():
            _ignore_deprecation()
            self._module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
        self._inference_mode = torch.inference_mode
        self._outputs: Any = ()

    def run(self) -> None:
        """Do one inference."""
        with self._inference_mode():
            self._outputs = self._module(*self._inputs)

    def outputs(self) -> list[Any]:
        """Return the outputs of the last inference, as arrays."""
        given = self._outputs if isinstance(self._outputs, tuple) else (self._outputs,)
        return [output.numpy() for output in given]
