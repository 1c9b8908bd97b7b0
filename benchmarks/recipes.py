"""What each part of the recipes of export is worth: the same graphs exported with and without it, timed in turns.

    python benchmarks/recipes.py
    python benchmarks/recipes.py --runtime onnxruntime --space causal-decoder

Sub-blocks with attention and the whole passes of a model, fp32, one thread. Printed are ratios of medians to the first
column, a recipe as it is, so that a busy machine, which slows all alike, changes them little. "Not exported" is
ExecuTorch's own failure: fused attention whose output it takes for another memory layout.
"""

from __future__ import annotations

import argparse
import logging
import random
import statistics
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from nas.latency.graphs import Source, WholePass, module_of
from nas.latency.runtimes import executorch, onnxruntime, runtime
from nas.space import SearchSpace
from nas.sub_blocks.calls import calls, phases
from nas.workload import Workload

VARIANTS: dict[str, tuple[str, frozenset[str]]] = {
    "ExecuTorch": ("executorch", executorch.REWRITES),
    "fused": ("executorch", executorch.REWRITES - {"attention"}),
    "splits": ("executorch", executorch.REWRITES - {"slices"}),
    "linear": ("executorch", executorch.REWRITES - {"linear attention"}),
    "means": ("executorch", executorch.REWRITES - {"means"}),
    "unfolded": ("executorch", executorch.REWRITES - {"fold"}),
    "none of them": ("executorch", frozenset()),
    "ONNX Runtime": ("onnxruntime", onnxruntime.REWRITES),
    "as torch has it": ("onnxruntime", onnxruntime.REWRITES - {"attention"}),
}
"""By name, the runtime and what its export rewrites."""
ROUNDS = 25
LEAST_S = 0.01
"""Of one recipe in one round."""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--space", action="append", choices=("text-encoder", "causal-decoder", "seq2seq"))
    parser.add_argument("--passes", action="store_true", help="whole passes of a small model too: minutes of export")
    parser.add_argument("--runtime", action="append", choices=("executorch", "onnxruntime"))
    arguments = parser.parse_args()
    names = [name for name, (made_for, _) in VARIANTS.items() if made_for in (arguments.runtime or [made_for])]
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    for space in arguments.space or ("text-encoder", "causal-decoder"):
        print(f"\n{space:32} {'µs':>8} " + " ".join(f"{name:>15}" for name in names), flush=True)
        for label, source in chosen(space, whole=arguments.passes).items():
            with tempfile.TemporaryDirectory(prefix="pocketformer-") as directory:
                compare(label, source, names, Path(directory))


def chosen(name: str, *, whole: bool) -> dict[str, Source]:
    """Return a call of each type of attention and of a feed-forward network in each phase, and perhaps whole passes."""
    space, rng = SearchSpace.bundled(name), random.Random(0)
    workload = Workload(input_length=32 if name == "seq2seq" else 64, output_length=32)
    models = [space.sample(rng) for _ in range(30)]
    result: dict[str, Source] = {}
    for model in models:
        for phase in phases(space.family):
            for call in calls(model, workload, phase):
                kind = dict(call.sub_block.settings).get("attention", call.sub_block.kind)
                if call.sub_block.kind in {"attention", "feed_forward", "cross_attention"}:
                    result.setdefault(f"{kind} {phase}", call)
    if whole:
        smallest = min(models, key=lambda model: sum(len(stack.layers) * stack.repeats for _, stack in model.stacks))
        for phase in phases(space.family):
            result[f"whole {phase}"] = WholePass(smallest, workload, phase)
    return result


def compare(label: str, source: Source, names: Sequence[str], directory: Path) -> None:
    """Print the ratios of one graph. All are exported before the first is loaded."""
    module, inputs = module_of(source)
    programs: dict[str, Path] = {}
    seconds = 0.0
    for name in names:
        made_for, rewrites = VARIANTS[name]
        path = directory / f"{len(programs)}{runtime(made_for).suffix}"
        started = time.process_time()
        try:
            if made_for == "onnxruntime":
                onnxruntime.write(module, inputs, path, rewrites)
            else:
                path.write_bytes(executorch.lowered(module, inputs, rewrites))
        except Exception:  # whatever an exporter raises; it is said in the table
            continue
        seconds = seconds or time.process_time() - started
        programs[name] = path
    arrays = [tensor.numpy() for tensor in inputs]
    sessions = {name: opened(path, arrays) for name, path in programs.items()}
    medians = timed(sessions)
    with torch.inference_mode():
        expected = [tensor.numpy() for tensor in module(*inputs)]
    for name, session in sessions.items():
        worst = max(
            abs(x - y).max() / max(abs(y).max(), 1e-6) for x, y in zip(session.outputs(), expected, strict=True)
        )
        assert worst < 1e-3, f"{label}, {name}: off by {worst}"
    cells = [
        f"{medians[name] / medians[names[0]]:15.2f}" if name in medians else f"{'not exported':>15}" for name in names
    ]
    print(f"{label:32} {medians[names[0]] * 1e6:8.0f} {' '.join(cells)}   ({seconds:.1f} s to export)", flush=True)


def opened(path: Path, arrays: list[Any]) -> Any:
    """Return a session of one thread."""
    if path.suffix == ".pte":
        return executorch.Session(str(path), arrays, 1, {})
    return onnxruntime.Session(str(path), arrays, 1, runtime("onnxruntime").options("fp32"))


def timed(sessions: dict[str, Any]) -> dict[str, float]:
    """Return the median seconds of an inference of each, in turns."""
    samples: dict[str, list[float]] = {name: [] for name in sessions}
    for turn in range(ROUNDS + 2):
        for name, session in sessions.items():
            count, started = 0, time.perf_counter()
            while count < 3 or time.perf_counter() - started < LEAST_S:
                session.run()
                count += 1
            if turn >= 2:
                samples[name].append((time.perf_counter() - started) / count)
    return {name: statistics.median(found) for name, found in samples.items()}


if __name__ == "__main__":
    main()
