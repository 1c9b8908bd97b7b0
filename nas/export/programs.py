"""Programs: a model as files that a runtime takes, one for each of its phases, each held against torch.

They are exported by the recipes that latency tables are measured with, at the workload's fixed lengths, and read
shorter texts too: `lengths` says how many tokens of each are real. In ONNX Runtime the promised latency is that of a
session with `disabled_optimizers=["SkipLayerNormFusion"]` (docs/decisions/0003).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from nas.architecture import Architecture
from nas.errors import PocketformerError
from nas.export.weights import load_weights
from nas.latency.runtimes import Precision, Runtime, executorch, export, runtime
from nas.latency.runtimes.onnxruntime import OnnxRuntime
from nas.models.build import Model, build_model
from nas.models.passes import Pass
from nas.sub_blocks import phases
from nas.sub_blocks.calls import Phase
from nas.workload import Workload

Arrays = Mapping[str, NDArray[Any]]

FILE_OF: dict[str, dict[Phase, str]] = {
    "encoder": {"prefill": ""},
    "decoder": {"prefill": ".prefill", "step": ".step"},
    "encoder-decoder": {"prefill": ".encode", "step": ".step"},
}
"""What stands behind the name of a file, by family and phase."""


@dataclass(frozen=True)
class Program:
    """One phase of a model as a file."""

    path: Path
    phase: Phase
    inputs: dict[str, tuple[str, tuple[int, ...]]]
    """By name, in their order: the type and the shape."""
    outputs: tuple[str, ...]
    size_bytes: int
    difference: float
    """Between its outputs and torch's, at most, over the greatest of torch's."""


class Running(Protocol):
    """A program that can be called."""

    def __call__(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Return the outputs by name."""
        ...


def write_programs(
    architecture: Architecture,
    weights: bytes | None,
    path: Path,
    workload: Workload,
    *,
    runtime_name: str = "onnxruntime",
    precision: Precision = "fp32",
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[Program, ...]:
    """Write every phase of a model, with these weights or untrained ones, and hold it against torch.

    An encoder is one file, `path`; of a model that writes there are two, `model.onnx` being `model.prefill.onnx` (of an
    encoder–decoder `model.encode.onnx`) and `model.step.onnx`. Raises `PocketformerError` where a program does not
    compute what torch computes, and writes none of them then; `InvalidInput` where the runtime is not installed.
    """
    chosen, tell = runtime(runtime_name), progress or (lambda *_: None)
    chosen.version()
    model = build_model(architecture, seed=0).eval()
    if weights is not None:
        load_weights(model, weights)
    files = {phase: file_of(path, architecture.family, phase) for phase in phases(architecture.family)}
    parts = {phase: file.with_name(f".{file.name}.part") for phase, file in files.items()}
    done: list[Program] = []
    try:
        for phase, file in files.items():
            tell(file.name, len(done), len(files))
            whole = Pass(model, workload, phase, lengths=True).eval()
            done.append(_written(chosen, whole, file, parts[phase], precision))
        for phase, file in files.items():
            parts[phase].replace(file)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
    return tuple(done)


def file_of(path: Path, family: str, phase: Phase) -> Path:
    """Return the file of a phase, of those that are called `path` together."""
    return path.with_name(f"{path.stem}{FILE_OF[family][phase]}{path.suffix}")


def _written(chosen: Runtime, whole: Pass, file: Path, part: Path, precision: Precision) -> Program:
    """Write what is to become `file` to `part`; raise `PocketformerError` unless it computes what torch computes."""
    names, outputs = whole.names()
    export(chosen, whole, whole.example, part, precision, file.name)
    if isinstance(chosen, OnnxRuntime):
        _name(part, names, outputs)
    difference = _difference(running(part, chosen, names, outputs), whole)
    allowed = chosen.tolerance(precision)
    if not difference <= allowed:  # NaN is no agreement
        raise PocketformerError(
            f"{file.name} does not compute what torch computes: its outputs differ by {difference:.2g} of the "
            f"greatest of torch's, at most {allowed:g} is allowed; nothing was written"
        )
    inputs = {
        name: (str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
        for name, tensor in zip(names, whole.example, strict=True)
    }
    return Program(file, whole.phase, inputs, outputs, part.stat().st_size, difference)


def _name(path: Path, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
    """Give the inputs and outputs of an ONNX file the names that an application calls them by."""
    model = onnx.load(path)
    graph = model.graph
    called = {value.name: inputs[int(value.name.partition("_")[2] or 0)] for value in graph.input}
    called |= {value.name: name for value, name in zip(graph.output, outputs, strict=True)}
    for value in (*graph.input, *graph.output):
        value.name = called[value.name]
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                names[place] = called.get(name, name)
    onnx.save(model, path)


# Running -------------------------------------------------------------------------------------------------------


def running(path: Path, chosen: Runtime, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Running:
    """Return a program loaded with one thread; its inputs and outputs have these names, in this order."""
    if isinstance(chosen, OnnxRuntime):
        return _Onnx(path)
    return _ExecuTorch(path, inputs, outputs)


class _Onnx:
    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3  # errors
        settings: dict[str, Any] = dict(OnnxRuntime().options("fp32"))
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"], **settings)
        self._read = {value.name for value in self._session.get_inputs()}  # nobody reads positions where there are none
        self._outputs = [value.name for value in self._session.get_outputs()]

    def __call__(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        given = {name: array for name, array in inputs.items() if name in self._read}
        return dict(zip(self._outputs, self._session.run(None, given), strict=True))


class _ExecuTorch:
    def __init__(self, path: Path, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        self._path, self._inputs, self._outputs = path, inputs, outputs
        self._session: executorch.Session | None = None

    def __call__(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        given = [inputs[name] for name in self._inputs]
        if self._session is None:
            self._session = executorch.Session(str(self._path), [array.copy() for array in given], 1, {})
        else:
            self._session.give(given)
        self._session.run()
        found = [output.copy() for output in self._session.outputs()]
        return dict(zip(self._outputs, found, strict=True))


def check_program(model: Model, program: Program, workload: Workload, runtime_name: str) -> float:
    """Return how far a program's outputs are from those of a model, over the greatest of those: as when it was written.

    Of random texts of several lengths. Raises `InvalidInput` where the runtime is not installed.
    """
    whole = Pass(model, workload, program.phase, lengths=True).eval()
    names, outputs = whole.names()
    return _difference(running(program.path, runtime(runtime_name), names, outputs), whole)


def _difference(program: Running, whole: Pass) -> float:
    """Return how far a program's outputs are from torch's, over the greatest of those, on texts of several lengths."""
    names, outputs = whole.names()
    worst = np.float64(0.0)
    for length in sorted({1, (whole.workload.input_length + 1) // 2, whole.workload.input_length}):
        given = tuple(
            torch.full_like(tensor, length) if name == "lengths" else tensor
            for name, tensor in zip(names, whole.example, strict=True)
        )
        with torch.inference_mode():
            expected = whole(*given)
        found = program({name: tensor.numpy() for name, tensor in zip(names, given, strict=True)})
        for name, tensor in zip(outputs, expected, strict=True):
            scale = max(float(tensor.abs().max()), 1e-6)
            worst = np.maximum(worst, np.abs(found[name] - tensor.numpy()).max() / scale)  # NaN stays
    return float(worst)
