"""The program that measures: runs exported graphs from its directory and prints what it timed, one JSON line a launch.

It stands alone (standard library and numpy) beside a runtime's file, so that a transport can put both next to the
graphs on any machine with Python: `python probe.py DIRECTORY`. It judges nothing; what a launch is worth is decided
where the lines arrive. `python probe.py DIRECTORY runtime.py` without a plan only says which version the runtime has.

A *launch* is a fresh session, a warm-up, and iterations until the least count and the least time are reached, and
then until those wanted are or the most time is. The sentinel's session stays open: it is the yardstick, not the thing
measured. `DIRECTORY/plan.json`:

    runtime             the runtime's file
    threads             of one inference
    options             what the runtime's Session is given
    graphs              name -> {"model": file, "inputs": file.npz, "expected": file.npz, "iterations": wanted}
    sentinel            the name of the sentinel among the graphs
    launches            names in the order they are to be launched, the sentinel between them
    warm_up_iterations, least_iterations, launch_ms, most_ms

Lines on standard output, and in `DIRECTORY/launches.jsonl`: {"start": {cpu, scheduled, runtime_version}},
{"launch": {...}} for each, {"end": {"launches": n}}.
"""

import importlib.util
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import numpy

INTERRUPTED = 1.05
"""An iteration that took this many times the CPU time it got was interrupted: another process had the CPU."""
SENTINEL_ITERATIONS = 4
MOST_SAMPLES = 64
"""Iterations of a launch that are sent one by one; of more every second, third, … is."""


def main(directory: Path, runtime_file: str | None = None) -> None:
    """Do the launches of the plan in the directory."""
    if runtime_file is not None:
        version = load(directory / runtime_file).version()
        say("start", {"cpu": None, "scheduled": None, "runtime_version": version}, None)
        return
    plan = json.loads((directory / "plan.json").read_text())
    runtime = load(directory / plan["runtime"])
    with (directory / "launches.jsonl").open("w") as record:
        start = {"cpu": pin(plan["threads"]), "scheduled": put_first(), "runtime_version": runtime.version()}
        say("start", start, record)
        sentinel = Loaded(runtime, directory, plan, plan["sentinel"])
        for name in plan["launches"]:
            if name == plan["sentinel"]:
                found = sentinel.launch(SENTINEL_ITERATIONS, 0.0)
            else:
                found = Loaded(runtime, directory, plan, name).launch(plan["least_iterations"], plan["launch_ms"])
            say("launch", {"graph": name, **found}, record)
        say("end", {"launches": len(plan["launches"])}, record)


def say(kind: str, found: dict[str, Any], record: TextIO | None) -> None:
    """Print one line, and keep it in case that it does not arrive."""
    line = json.dumps({kind: found})
    if record is not None:
        print(line, file=record, flush=True)
    print(line, flush=True)


def load(path: Path) -> Any:
    """Return the runtime's file as a module."""
    spec = importlib.util.spec_from_file_location("pocketformer_runtime", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pin(threads: int) -> int | None:
    """Stay on the last CPU allowed (the first takes most interrupts); return it, or None where that can't be."""
    try:
        cpus = sorted(os.sched_getaffinity(0))[-threads:]
        os.sched_setaffinity(0, cpus)
    except (AttributeError, OSError):
        return None
    return cpus[-1]


def put_first() -> str | None:
    """Ask to run before all usual processes; return "real-time" or, where that isn't allowed, "usual".

    Only root is allowed to on most systems. A low niceness would not do: it counts among the processes of one session.
    The kernel leaves a twentieth of the time to others (`/proc/sys/kernel/sched_rt_runtime_us`). None where there are
    no such classes.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        return "usual"  # as everybody; what that came to is told by `stolen`
    except (AttributeError, OSError):
        return None
    return "real-time"


class Loaded:
    """A graph in a session of its own, warm."""

    def __init__(self, runtime: Any, directory: Path, plan: dict[str, Any], name: str) -> None:
        graph = plan["graphs"][name]
        self.threads = plan["threads"]
        self.wanted = graph["iterations"]
        self.most_ms = plan["most_ms"]
        self.expected = arrays(directory / graph["expected"])
        inputs = arrays(directory / graph["inputs"])
        self.session = runtime.Session(str(directory / graph["model"]), inputs, self.threads, plan["options"])
        for _ in range(plan["warm_up_iterations"]):
            self.session.run()

    def launch(self, least_iterations: int, least_ms: float) -> dict[str, Any]:
        """Time iterations and compare the last outputs."""
        waited = waited_ns()
        samples = iterate(self.session.run, least_iterations, least_ms, self.wanted, self.most_ms)
        wall = sum(wall for wall, _ in samples)
        longest = max((now - waited[thread] for thread, now in waited_ns().items() if thread in waited), default=0)
        # CPU time tells who had the CPU only while one thread does all the work
        kept = [wall for wall, cpu in samples if self.threads > 1 or wall <= cpu * INTERRUPTED]
        interrupted = len(samples) - len(kept)
        if len(kept) < 3:
            kept = [wall for wall, _ in samples]
        third = len(kept) // 3
        return {
            # The fastest tenth: disturbances shorter than a launch only ever add time, too
            "latency_ns": sorted(kept)[len(kept) // 10],
            "iterations": len(samples),
            "interrupted": interrupted,
            "stolen": round(stolen(samples) if self.threads == 1 else min(1.0, longest / wall), 4),
            # Of fewer than nine a trend can't be told from noise
            "late_early_ratio": round(statistics.median(kept[-third:]) / statistics.median(kept[:third]), 4)
            if len(kept) >= 9
            else 1.0,
            "difference": max(map(difference, self.session.outputs(), self.expected)),
            "samples_ns": [wall for wall, _ in samples[:: 1 + (len(samples) - 1) // MOST_SAMPLES]],
        }


def arrays(path: Path) -> list[Any]:
    """Return the arrays of a file, named 0, 1, … in it, in this order."""
    with numpy.load(path, allow_pickle=False) as file:
        return [file[str(index)] for index in range(len(file.files))]


def iterate(
    run: Callable[[], None], least_iterations: int, least_ms: float, wanted: int, most_ms: float
) -> list[tuple[int, int]]:
    """Return (wall ns, CPU ns of this thread) of every iteration."""
    clock, cpu_clock = time.perf_counter_ns, time.thread_time_ns
    samples: list[tuple[int, int]] = []
    least, most = (clock() + int(ms * 1e6) for ms in (least_ms, most_ms))
    while True:
        cpu = cpu_clock()
        start = clock()
        run()
        end = clock()
        samples.append((end - start, cpu_clock() - cpu))
        if end > least and len(samples) >= least_iterations and (len(samples) >= wanted or end > most):
            return samples


def waited_ns() -> dict[str, int]:
    """Return how long each thread of this process has waited for a CPU, where Linux tells that."""
    found = {}
    try:
        for thread in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{thread}/schedstat") as file:
                found[thread] = int(file.read().split()[1])
    except (OSError, IndexError, ValueError):
        return {}
    return found


def stolen(samples: list[tuple[int, int]]) -> float:
    """Return the share of the time that others had the CPU, 0 to 1."""
    wall = sum(wall for wall, _ in samples)
    return max(0.0, 1 - sum(cpu for _, cpu in samples) / wall)


def difference(output: Any, expected: Any) -> float:
    """Return the greatest difference from the expected output, in units of its greatest absolute value."""
    if output.shape != expected.shape or not numpy.isfinite(output).all():
        return 1e9
    return float(numpy.abs(output - expected).max() / max(float(numpy.abs(expected).max()), 1e-6))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
