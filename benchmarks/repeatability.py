"""How far two campaigns on this machine differ, by what is made of the launches: why the figure is what it is.

    python benchmarks/repeatability.py                      # some minutes; leave the machine alone
    python benchmarks/repeatability.py --space causal-decoder --passes 60

Launches calls and whole models of a space for a long time, cuts that time into campaigns of equal length, and prints
for several figures how far a graph's figure differs between two of them, on average: of calls, of the smaller and of
the larger half of the whole models. "tog." is the part by which all graphs of a kind differ alike: the machine's drift.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.cli.measuring import at_workload, workload_for
from nas.latency.bench import Bench
from nas.latency.campaign import AT_ONCE
from nas.latency.device import this_machine
from nas.latency.graphs import Source, WholePass
from nas.latency.journal import Journal
from nas.latency.measurement import Launch, Measurement, calm_level
from nas.latency.plan import phase_runs, whole_models_of
from nas.latency.transports import transport_at
from nas.space import SearchSpace
from nas.sub_blocks.space_calls import calls_of_space

Vector = NDArray[np.float64]
Figure = Callable[[list[Launch], int], float]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--space", default="text-encoder")
    parser.add_argument("--calls", type=int, default=60, help="so many of the space's, at random")
    parser.add_argument("--models", type=int, default=40)
    parser.add_argument("--passes", type=int, default=60)
    parser.add_argument("--campaign", type=int, default=12, help="passes in one campaign")
    parser.add_argument("--raw", type=Path, help="keep the launches here, or read them if the file exists")
    given = parser.parse_args()
    sources = sources_of(given.space, given.calls, given.models)
    with tempfile.TemporaryDirectory() as directory:
        raw = given.raw or Path(directory) / "raw.jsonl"
        if not raw.exists():
            collect(sources, raw, given.passes)
        report(sources, raw, max(1, given.campaign // AT_ONCE))


def sources_of(name: str, calls: int, models: int) -> dict[str, Source]:
    """Return what is launched, by name."""
    space = SearchSpace.bundled(name)
    workload = workload_for(space, 1, None, None)
    space = at_workload(space, workload)
    every = calls_of_space(space, workload)
    sources: dict[str, Source] = {c.key: c for c in random.Random(0).sample(every, min(calls, len(every)))}
    for model in whole_models_of(space, workload, models, seed=0):
        for phase in phase_runs(space.family, workload):
            whole = WholePass(model, workload, phase)
            sources[whole.key] = whole
    return sources


def collect(sources: dict[str, Source], raw: Path, passes: int) -> None:
    """Launch everything so often, in random order, a new process every few passes."""
    with tempfile.TemporaryDirectory() as directory, transport_at("local", "repeatability") as transport:
        bench = Bench(
            this_machine(), transport, sources, Path(directory), journal=Journal(raw), progress=lambda *_: None
        )
        rng, began = random.Random(0), time.monotonic()
        for done in range(0, passes, AT_ONCE):
            order = [name for _ in range(AT_ONCE) for name in rng.sample(bench.names, len(bench.names))]
            bench.launch(order, lambda: None)
            print(f"{done + AT_ONCE} of {passes} passes, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        transport.clean_up()


def report(sources: dict[str, Source], raw: Path, runs_a_campaign: int) -> None:
    """Print the table."""
    lines = [json.loads(line) for line in raw.read_text().splitlines()]
    starts = [index for index, line in enumerate(lines) if "start" in line]
    bounds = [*starts[::runs_a_campaign], len(lines)]
    campaigns: list[tuple[dict[str, list[Launch]], int]] = []
    for begin, end in pairwise(bounds):
        journal = Journal()
        for line in lines[begin:end]:
            if "end" not in line:
                journal.write(line)
        if len(list(journal.runs())) == runs_a_campaign:
            campaigns.append((journal.launches(list(sources)), calm_level(journal.readings_ns)))
    levels = ", ".join(f"{level / 1e6:.3f}" for _, level in campaigns)
    print(f"{len(campaigns)} campaigns; the calm level of the sentinel in each: {levels} ms")
    size = {name: float(np.median([x.latency_ns for x in campaigns[0][0][name]])) for name in sources}
    models = sorted((name for name, source in sources.items() if isinstance(source, WholePass)), key=size.__getitem__)
    kinds = {
        "calls": [name for name in sources if name not in models],
        "smaller models": models[: len(models) // 2],
        "larger models": models[len(models) // 2 :],
    }
    print(f"{'':34}" + "".join(f"{kind:>22}" for kind in kinds))
    for label, figure in FIGURES.items():
        cells = []
        for names in kinds.values():
            found = np.log([[figure(launches[name], level) for name in names] for launches, level in campaigns])
            apart = [found[a] - found[b] for a, b in combinations(range(len(found)), 2)]
            mean = 100 * np.mean([np.abs(one).mean() for one in apart])
            together = 100 * np.mean([abs(np.median(one)) for one in apart])
            cells.append(f"{mean:9.2f} % (tog. {together:4.2f})")
        print(f"{label:34}" + "".join(f"{cell:>22}" for cell in cells))


def _quantile(share: float, sentinel: float) -> Figure:
    def figure(launches: list[Launch], level: int) -> float:
        calm = [x.latency_ns for x in launches if x.sentinel_ns <= sentinel * level]
        return float(np.quantile(calm if len(calm) >= 3 else [x.latency_ns for x in launches], share))

    return figure


def _three_fastest(launches: list[Launch], level: int) -> float:
    calm = sorted(x.latency_ns for x in launches if x.sentinel_ns <= 1.1 * level)
    return float(np.median(calm[:3] if len(calm) >= 3 else sorted(x.latency_ns for x in launches)[:3]))


ANY = float("inf")
FIGURES: dict[str, Figure] = {
    "what a table takes": lambda launches, level: Measurement.of(launches, level).latency_ns,
    "fastest": _quantile(0.0, ANY),
    "median of the three fastest, calm": _three_fastest,
    "lower decile, calm to 10 %": _quantile(0.1, 1.1),
    "lower quartile, calm to 10 %": _quantile(0.25, 1.1),
    "lower quartile, calm to 20 %": _quantile(0.25, 1.2),
    "median, calm to 10 %": _quantile(0.5, 1.1),
    "lower quartile of all": _quantile(0.25, ANY),
    "median of all": _quantile(0.5, ANY),
}


if __name__ == "__main__":
    main()
