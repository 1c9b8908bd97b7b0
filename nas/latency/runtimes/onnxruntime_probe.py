"""The program that measures: runs ONNX graphs from a directory and prints what it timed, one JSON line a launch.

It stands alone (standard library, numpy, onnxruntime), so that a transport can put it next to the graphs on any
machine with Python and run it there: `python probe.py DIRECTORY`. It judges nothing; what a launch is worth is
decided where the lines arrive.

A *launch* is a fresh session, a warm-up, and iterations until both the least count and the least time are
reached. The sentinel's session stays open: it is the yardstick, not the thing measured. `DIRECTORY/plan.json`:

    threads             of one inference
    session             {"disabled_optimizers": [...]}
    graphs              name -> {"model": file, "input": file.npy, "expected": file.npy}
    sentinel            the name of the sentinel among the graphs
    launches            names in the order they are to be launched, the sentinel between them
    warm_up_iterations, least_iterations, launch_ms

Lines on standard output: {"start": {cpu, runtime_version}}, {"launch": {...}} for each, {"end": {"launches": n}}.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import onnxruntime

INTERRUPTED = 1.05
"""An iteration that took this many times the CPU time it got was interrupted: another process had the CPU."""
SENTINEL_ITERATIONS = 4


def main(directory: Path) -> None:
    """Do the launches of the plan in the directory."""
    plan = json.loads((directory / "plan.json").read_text())
    say("start", {"cpu": pin(plan["threads"]), "runtime_version": onnxruntime.__version__})
    sentinel = Session(directory, plan, plan["sentinel"])
    for name in plan["launches"]:
        if name == plan["sentinel"]:
            record = sentinel.launch(0, SENTINEL_ITERATIONS)
        else:
            record = Session(directory, plan, name).launch(plan["launch_ms"], plan["least_iterations"])
        say("launch", {"graph": name, **record})
    say("end", {"launches": len(plan["launches"])})


def say(kind: str, record: dict[str, Any]) -> None:
    """Print one line."""
    print(json.dumps({kind: record}), flush=True)


def pin(threads: int) -> int | None:
    """Stay on the last CPU allowed (the first takes most interrupts); return it, or None where that can't be."""
    try:
        cpus = sorted(os.sched_getaffinity(0))[-threads:]
        os.sched_setaffinity(0, cpus)
    except (AttributeError, OSError):
        return None
    return cpus[-1]


class Session:
    """A graph loaded with its input in place."""

    def __init__(self, directory: Path, plan: dict[str, Any], name: str) -> None:
        graph = plan["graphs"][name]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = plan["threads"]
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            str(directory / graph["model"]), options, providers=["CPUExecutionProvider"], **plan["session"]
        )
        self.threads = plan["threads"]
        self.expected = numpy.load(directory / graph["expected"])
        self.binding = self.session.io_binding()  # copying the input is no part of the model
        self.binding.bind_cpu_input(self.session.get_inputs()[0].name, numpy.load(directory / graph["input"]))
        self.binding.bind_output(self.session.get_outputs()[0].name)
        for _ in range(plan["warm_up_iterations"]):
            self.run()

    def run(self) -> None:
        """Do one inference."""
        self.session.run_with_iobinding(self.binding)

    def launch(self, launch_ms: float, least_iterations: int) -> dict[str, Any]:
        """Time iterations and compare the last output."""
        samples = iterate(self.run, launch_ms, least_iterations)
        # CPU time tells who had the CPU only while one thread does all the work
        kept = [wall for wall, cpu in samples if self.threads > 1 or wall <= cpu * INTERRUPTED]
        interrupted = len(samples) - len(kept)
        if len(kept) < 3:
            kept = [wall for wall, _ in samples]
        third = len(kept) // 3
        return {
            # The lower quartile: disturbances shorter than a launch only ever add time, too
            "latency_ns": sorted(kept)[len(kept) // 4],
            "iterations": len(samples),
            "interrupted": interrupted,
            # Of fewer than nine a trend can't be told from noise
            "late_early_ratio": round(statistics.median(kept[-third:]) / statistics.median(kept[:third]), 4)
            if len(kept) >= 9
            else 1.0,
            "difference": difference(self.binding.copy_outputs_to_cpu()[0], self.expected),
        }


def iterate(run: Callable[[], None], launch_ms: float, least_iterations: int) -> list[tuple[int, int]]:
    """Return (wall ns, CPU ns of this thread) of every iteration."""
    clock, cpu_clock = time.perf_counter_ns, time.thread_time_ns
    samples: list[tuple[int, int]] = []
    until = clock() + int(launch_ms * 1e6)
    while True:
        cpu = cpu_clock()
        start = clock()
        run()
        end = clock()
        samples.append((end - start, cpu_clock() - cpu))
        if end > until and len(samples) >= least_iterations:
            return samples


def difference(output: Any, expected: Any) -> float:
    """Return the greatest difference from the expected output, in units of its greatest absolute value."""
    if output.shape != expected.shape or not numpy.isfinite(output).all():
        return 1e9
    return float(numpy.abs(output - expected).max() / max(float(numpy.abs(expected).max()), 1e-6))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
