"""Graphs: sub-blocks and whole models exported for a runtime, each with inputs and torch's outputs beside it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor, nn

from nas.architecture import Architecture
from nas.latency.runtimes import Precision, export, runtime
from nas.models.called import call_with_inputs
from nas.models.passes import pass_of
from nas.processes import process_pool
from nas.sub_blocks.calls import Call, Phase
from nas.workload import Workload

WORTH_PROCESSES = 24
"""From so many graphs on, exporting in several processes pays for starting them."""


@dataclass(frozen=True)
class WholePass:
    """A phase of a whole model at a workload."""

    architecture: Architecture
    workload: Workload
    phase: Phase

    @property
    def key(self) -> str:
        """The name of its graph."""
        return f"{self.architecture.id}.{self.phase}"


Source = Call | WholePass
"""What a graph is made from."""


@dataclass(frozen=True)
class Graph:
    """The files of one graph, all in one directory."""

    model: str
    inputs: str
    """An .npz of the inputs 0, 1, … ."""
    expected: str
    """An .npz of what torch computes from them, flat: 0, 1, … ."""

    @classmethod
    def named(cls, name: str, suffix: str) -> Graph:
        """Return the files of a graph by its name."""
        stem = hashlib.sha256(name.encode()).hexdigest()[:20]
        return cls(stem + suffix, f"{stem}.in.npz", f"{stem}.out.npz")

    @property
    def files(self) -> tuple[str, str, str]:
        """Their names."""
        return self.model, self.inputs, self.expected


class Flat(nn.Module):
    """A module whose nested outputs come as one flat tuple."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run the module."""
        return tuple(_flattened(self.module(*inputs)))


def _flattened(value: Any) -> Iterable[Tensor]:
    if isinstance(value, Tensor):
        yield value
    else:
        for part in value:
            yield from _flattened(part)


def module_of(source: Source) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """Return the module to export, its weights always the same, and inputs for it.

    It reads texts shorter than the workload, as what is deployed does, and is given ones that are as long.
    """
    if isinstance(source, WholePass):
        whole = pass_of(source.architecture, source.workload, source.phase, seed=0, lengths=True)
        return whole, whole.example
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module, inputs = call_with_inputs(source, masked=True)
    return Flat(module).eval(), tuple(tensor.clone() for tensor in inputs)


def export_graphs(
    sources: Mapping[str, Source],
    runtime_name: str,
    precision: Precision,
    directory: Path,
    progress: Callable[[int, int], None],
) -> dict[str, Graph]:
    """Export every source that the directory does not hold yet; `progress(done, total)` counts them all.

    Runs in several processes where there is enough to do.
    """
    suffix = runtime(runtime_name).suffix
    graphs = {name: Graph.named(name, suffix) for name in sources}
    missing = [name for name, graph in graphs.items() if not (directory / graph.expected).exists()]
    done = len(graphs) - len(missing)
    progress(done, len(graphs))
    jobs = [(sources[name], graphs[name], runtime_name, precision, directory) for name in missing]
    processes = min(os.cpu_count() or 1, 4)
    if len(missing) < WORTH_PROCESSES or processes == 1:
        for job in jobs:
            _export(*job)
            done += 1
            progress(done, len(graphs))
        return graphs
    with process_pool(processes) as pool:
        futures = [pool.submit(_export, *job) for job in jobs]
        try:
            for future in as_completed(futures):
                future.result()
                done += 1
                progress(done, len(graphs))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return graphs


def _export(source: Source, graph: Graph, runtime_name: str, precision: Precision, directory: Path) -> None:
    module, inputs = module_of(source)
    with torch.inference_mode():
        expected = module(*inputs)
    what = f"{source.key}, for {runtime_name},"
    export(runtime(runtime_name), module, inputs, directory / graph.model, precision, what)
    _save(directory / graph.inputs, inputs)
    _save(directory / graph.expected, expected)  # last: says that the graph is whole


def _save(path: Path, tensors: Iterable[Tensor]) -> None:
    unfinished = path.with_suffix(".tmp.npz")
    arrays: dict[str, Any] = {str(index): tensor.numpy() for index, tensor in enumerate(tensors)}
    numpy.savez(unfinished, **arrays)
    unfinished.replace(path)
