"""How well latency tables keep their promise: profile this machine, then measure architectures no table saw.

    python benchmarks/latency.py                                       # text-encoder in ONNX Runtime, fp32
    python benchmarks/latency.py --space causal-decoder --seed 2
    python benchmarks/latency.py --precision int8-dynamic --plot docs/images/latency.png
    python benchmarks/latency.py --all                                 # the five rows of docs/latency.md
    python benchmarks/latency.py --disturbed                           # with a busy process on the same core

Prints how long profiling takes, the error of the prediction on fresh models, and beside it that of simpler ones: the
sum of the sub-blocks as they were measured alone, and multiply-adds times the best constant (fitted on the same whole
models as the correction). At last how long a million predictions take. Keep the machine idle meanwhile.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from drawing import write_png

from nas.cli.measuring import at_workload, workload_for
from nas.errors import MeasurementFailed
from nas.latency.device import this_machine
from nas.latency.predict import LatencyPredictor
from nas.latency.profile import profile
from nas.latency.table import LatencyTable
from nas.latency.vectorised import VectorisedLatency
from nas.latency.verify import Accuracy, Verification, fresh_models, verify
from nas.space import SearchSpace

ALL = (
    ("text-encoder", "onnxruntime", "fp32"),
    ("text-encoder", "onnxruntime", "int8-dynamic"),
    ("text-encoder", "executorch", "fp32"),
    ("causal-decoder", "onnxruntime", "fp32"),
    ("seq2seq", "onnxruntime", "fp32"),
)
MANY = 1_000_000


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--space", default="text-encoder")
    parser.add_argument("--runtime", default="onnxruntime")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--input-length", type=int, help="tokens (the longest of the space unless given)")
    parser.add_argument("--output-length", type=int)
    parser.add_argument("--models", type=int, default=40, help="fresh architectures to verify on")
    parser.add_argument("--seed", type=int, default=1, help="draws the models, of profiling and of verifying")
    parser.add_argument("--patience", type=float, default=120.0, help="seconds of measuring for the verification")
    parser.add_argument("--table", type=Path, help="a latency table to verify instead of profiling anew")
    parser.add_argument("--save", type=Path, help="where to write the latency table")
    parser.add_argument("--plot", type=Path, help="where to draw predicted against measured, as PNG (needs chromium)")
    parser.add_argument("--all", action="store_true", help="every space, runtime and precision of docs/latency.md")
    parser.add_argument("--disturbed", action="store_true", help="profile beside a busy process on the same core")
    arguments = parser.parse_args()
    rows = ALL if arguments.all else ((arguments.space, arguments.runtime, arguments.precision),)
    for row in rows:
        print(f"== {' · '.join(row)}, seed {arguments.seed}", flush=True)
        run(*row, arguments)


def run(name: str, runtime: str, precision: str, arguments: argparse.Namespace) -> None:
    """Profile and verify once."""
    space = SearchSpace.bundled(name)
    workload = workload_for(space, 1, arguments.input_length, arguments.output_length)
    space = at_workload(space, workload)
    if arguments.table:
        table = LatencyTable.from_dict(json.loads(arguments.table.read_text()))
    else:
        device = this_machine(1, runtime, precision)  # type: ignore[arg-type]
        began = time.monotonic()
        try:
            with busy_core(arguments.disturbed):
                table = profile(space, workload, device=device, seed=arguments.seed, afresh=True, progress=show)
        except MeasurementFailed as error:
            print(f"profiling ended after {time.monotonic() - began:.0f} s: {error}")
            return
        print(f"profiled in {time.monotonic() - began:.0f} s, load average {os.getloadavg()[0]:.1f}")
    if arguments.save:
        arguments.save.write_text(json.dumps(table.to_dict()))
    device = table.device
    print(f"{device.hardware}, {device.runtime} {device.runtime_version}, {table.recipe}, {workload.key}")
    predictor = LatencyPredictor(table)
    fitted = predictor.errors()
    print(
        f"{len(table.entries)} entries ({len(table.invalid_entries)} invalid), "
        f"{fitted['whole_models']:.0f} whole models; left out one at a time: "
        f"mean absolute error {fitted['mean_absolute_percent']:.1f} %, interval ±{fitted['interval_percent']:.1f} %"
    )
    began = time.monotonic()
    fresh = fresh_models(table, space, arguments.models, arguments.seed)
    found = verify(table, fresh, device, seed=arguments.seed, patience_s=arguments.patience, progress=show)
    print(
        f"measured {len(fresh)} fresh models in {time.monotonic() - began:.0f} s, "
        f"sentinel ratio {found.rows[0].measured.sentinel_ratio:.3f}, {len(fresh) - len(found.valid)} disturbed "
        f"(left out below), load average {os.getloadavg()[0]:.1f}"
    )
    if not found.valid:
        print(f"nothing can be said: {found.rows[0].measured.reason}")
        return
    report("prediction", found.prediction)
    report("sum of sub-blocks", found.naive_sum)
    report("MACs × best constant", found.scaled_macs)
    inside = sum(row.inside for row in found.valid)
    print(f"inside the 90 % interval: {inside} of {len(found.valid)} ({inside / len(found.valid):.1%})")
    time_many(predictor, space)
    if arguments.plot:
        draw(found, f"{name}, {device.runtime} {precision}", arguments.plot)


def report(name: str, found: Accuracy) -> None:
    """Print one row of figures."""
    print(
        f"{name:22s} mean absolute error {found.mean_absolute_percent:5.1f} %   "
        f"largest {found.largest_percent:5.1f} %   within ±7 % {100 * found.within_7_percent:5.1f} %   "
        f"bias {found.bias_percent:+5.1f} %   Kendall τ {found.kendall_tau:.3f}"
    )


def time_many(predictor: LatencyPredictor, space: SearchSpace) -> None:
    """Print how long a million predictions take, intervals included."""
    encoded = space.sample_encoded(MANY, np.random.default_rng(0))
    began = time.monotonic()
    vectorised = VectorisedLatency(predictor, space)
    ready = time.monotonic()
    found = vectorised.of(encoded)
    took = time.monotonic() - ready
    assert len(found.upper_ms) == MANY
    print(
        f"{MANY:,} predictions with intervals in {took:.2f} s, after {ready - began:.2f} s of getting ready", flush=True
    )


@contextmanager
def busy_core(wanted: bool) -> Iterator[None]:
    """Keep the core that is measured on busy meanwhile, if wanted."""
    if not wanted:
        yield
        return
    process = multiprocessing.get_context("spawn").Process(target=_spin, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _spin() -> None:
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cpus[-1:])
    numbers = np.ones(1 << 20)
    while True:
        numbers.sum()


def draw(found: Verification, title: str, path: Path) -> None:
    """Draw predicted against measured with the intervals, by plotly in chromium."""
    measured = [row.measured.latency_ms for row in found.valid]
    predicted = [row.prediction.latency_ms for row in found.valid]
    half = [row.prediction.upper_ms - row.prediction.latency_ms for row in found.valid]
    ends = [min(measured) * 0.9, max(measured) * 1.1]
    figure = go.Figure(
        [
            go.Scatter(x=ends, y=ends, mode="lines", line={"color": "#999"}, name="equal"),
            go.Scatter(
                x=measured,
                y=[row.sum_ms for row in found.valid],
                mode="markers",
                marker={"color": "#c9a227", "symbol": "x", "size": 7},
                name="sum of sub-blocks",
            ),
            go.Scatter(
                x=measured,
                y=predicted,
                mode="markers",
                marker={"color": "#1f6f8b", "size": 8},
                error_y={"type": "data", "array": half, "thickness": 1},
                name="prediction, 90 % interval",
            ),
        ]
    )
    figure.update_layout(
        title=f"{title}: {len(measured)} models that the table never saw",
        xaxis={"title": "measured [ms]", "type": "log"},
        yaxis={"title": "predicted [ms]", "type": "log"},
        template="plotly_white",
        width=760,
        height=560,
        legend={"x": 0.02, "y": 0.98},
    )
    write_png(figure, path)


_shown = [0.0]


def show(phase: str, done: int, total: int) -> None:
    """Draw the progress: a line that moves on a terminal, now and then one elsewhere."""
    if sys.stderr.isatty():
        print(f"\r{phase} {done}/{total} ", end="\n" if done == total else "", file=sys.stderr, flush=True)
    elif time.monotonic() - _shown[0] > 20:
        _shown[0] = time.monotonic()
        print(f"{phase} {done}/{total}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
