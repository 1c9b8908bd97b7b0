"""How well a latency table predicts: profile this machine, then measure architectures that the table never saw.

    python benchmarks/latency.py --space text-encoder --models 40 --seed 1

Prints the error of the prediction, and beside it that of simpler ones: the sum of the sub-blocks as they were
measured alone, and multiply-adds times the best constant (fitted on the same whole models as the correction).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from scipy.stats import kendalltau

from nas.architecture import Architecture
from nas.costs import costs_of
from nas.latency.measure import measure
from nas.latency.predict import LatencyPredictor
from nas.latency.profile import profile
from nas.latency.table import LatencyTable
from nas.models import sub_blocks
from nas.space import SearchSpace
from nas.workload import Workload


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--space", default="text-encoder")
    parser.add_argument("--input-length", type=int, default=64)
    parser.add_argument("--models", type=int, default=40, help="fresh architectures to verify on")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--patience", type=float, default=120.0, help="seconds of measuring for the verification")
    parser.add_argument("--table", type=Path, help="a latency table to verify instead of profiling anew")
    parser.add_argument("--save", type=Path, help="where to write the latency table")
    arguments = parser.parse_args()
    space, workload = SearchSpace.bundled(arguments.space), Workload(input_length=arguments.input_length)

    if arguments.table:
        table = LatencyTable.from_dict(json.loads(arguments.table.read_text()))
    else:
        began = time.monotonic()
        table = profile(space, workload, seed=arguments.seed, progress=show)
        print(f"profiled in {time.monotonic() - began:.0f} s, load average {os.getloadavg()[0]:.1f}")
    if arguments.save:
        arguments.save.write_text(json.dumps(table.to_dict()))
    print(f"{table.device.hardware}, {table.device.runtime} {table.device.runtime_version}, {table.recipe}")
    predictor = LatencyPredictor(table)
    fitted = predictor.errors()
    print(
        f"{len(table.entries)} sub-blocks ({len(table.invalid_entries)} invalid), "
        f"{fitted['whole_models']:.0f} whole models; left out one at a time: "
        f"mean absolute error {fitted['mean_absolute_percent']:.1f} %, interval ±{fitted['interval_percent']:.1f} %"
    )

    known = {model.architecture["id"] for model in table.whole_models}
    fresh = draw(space, arguments.models, random.Random(arguments.seed + 1_000_003), known)
    began = time.monotonic()
    measured = measure(
        fresh,
        workload,
        table.device,
        reference=table,
        seed=arguments.seed,
        patience_s=arguments.patience,
        progress=show,
    )
    print(
        f"measured {len(fresh)} fresh models in {time.monotonic() - began:.0f} s, sentinel ratio "
        f"{measured[0].sentinel_ratio:.3f}, {sum(not m.valid for m in measured)} invalid, "
        f"load average {os.getloadavg()[0]:.1f}"
    )
    pairs = [(a, m.latency_ms) for a, m in zip(fresh, measured, strict=True)]
    truth = [ms for _, ms in pairs]
    per_mac = statistics.median(ns / 1e6 / costs_of(model, workload).macs for model, ns in table.valid_models)
    predictions = [predictor.predict(a) for a, _ in pairs]
    report("prediction", [p.latency_ms for p in predictions], truth)
    report(
        "sum of sub-blocks",
        [sum(table.entries[b.key].median_ns for b in sub_blocks(a)) / 1e6 for a, _ in pairs],
        truth,
    )
    report("MACs × best constant", [costs_of(a, workload).macs * per_mac for a, _ in pairs], truth)
    inside = sum(p.lower_ms <= ms <= p.upper_ms for p, ms in zip(predictions, truth, strict=True))
    print(f"inside the 90 % interval: {inside} of {len(truth)}")


MANY = 256
"""As many options are drawn for a model's layers as it can have: the layers are independent."""


def draw(space: SearchSpace, count: int, rng: random.Random, known: set[str]) -> list[Architecture]:
    """Return different architectures, every width and depth equally likely, none of them known."""
    result: dict[str, Architecture] = {}
    while len(result) < count:
        architecture = space.architecture(space.spread(rng, kinds=MANY))
        if architecture.id not in known:
            result[architecture.id] = architecture
    return list(result.values())


def report(name: str, predicted: Sequence[float], truth: Sequence[float]) -> None:
    """Print one row of figures."""
    errors = [p / t - 1 for p, t in zip(predicted, truth, strict=True)]
    size = [abs(error) for error in errors]
    print(
        f"{name:22s} mean absolute error {100 * statistics.mean(size):5.1f} %   largest {100 * max(size):5.1f} %   "
        f"within ±7 % {100 * sum(e <= 0.07 for e in size) / len(size):5.1f} %   "
        f"within ±15 % {100 * sum(e <= 0.15 for e in size) / len(size):5.1f} %   "
        f"bias {100 * statistics.mean(errors):+5.1f} %   Kendall τ {kendalltau(predicted, truth).statistic:.3f}"
    )


def show(phase: str, done: int, total: int) -> None:
    """Draw the progress on a terminal."""
    if sys.stderr.isatty():
        print(f"\r{phase} {done}/{total} ", end="\n" if done == total else "", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
