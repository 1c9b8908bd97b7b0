"""How quickly architectures are costed: whole models built and counted by fvcore, against the vectorised costs.

    python benchmarks/costs.py
    python benchmarks/costs.py --space text-encoder

Both run on one thread and give the same multiply-adds, which is checked on the models that fvcore counts. Rounds of
the two are interleaved and the median is printed.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time

import numpy as np
import torch

from nas.costs import VectorisedCosts
from nas.costs.counting import whole_model_macs
from nas.space import Encoded, SearchSpace
from nas.sub_blocks import phases
from nas.workload import Workload

SPACES = ("text-encoder", "causal-decoder", "seq2seq", "lite-seq2seq", "hat-wmt")
ROUNDS = 5
COUNTED = 8
"""Whole models that fvcore counts in a round."""
COSTED = 200_000
"""Architectures that are costed in a round."""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--space", action="append", choices=SPACES, help="may be given more than once; default: all")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'space':15} {'fvcore':>10} {'vectorised':>12} {'ratio':>10} {'tables':>8} {'a million':>10}")
    print(f"{'':15} {'models/s':>10} {'models/s':>12} {'':>10} {'s':>8} {'s':>10}")
    for name in arguments.space or SPACES:
        compare(SearchSpace.bundled(name), arguments.seed)


def compare(space: SearchSpace, seed: int) -> None:
    """Print the speeds of both ways on one space."""
    workload = workload_of(space)
    started = time.perf_counter()
    vectorised = VectorisedCosts(space, workload)
    tables_s = time.perf_counter() - started
    rng, py_rng = np.random.default_rng(seed), random.Random(seed)
    counted_per_s, costed_per_s = [], []
    for _ in range(ROUNDS):
        counted_per_s.append(COUNTED / count(space, workload, vectorised, py_rng))
        costed_per_s.append(COSTED / seconds_to_cost(vectorised, space.sample_encoded(COSTED, rng)))
    slow, fast = statistics.median(counted_per_s), statistics.median(costed_per_s)
    million_s = seconds_to_cost(vectorised, space.sample_encoded(1_000_000, rng))
    # What a million costs someone who comes with nothing: the tables belong to it
    print(
        f"{space.name:15} {slow:10.1f} {fast:12,.0f} {fast / slow:10,.0f} {tables_s:8.2f} {tables_s + million_s:10.2f}"
    )


def workload_of(space: SearchSpace) -> Workload:
    """Return the longest workload of the space's models; of a decoder half is read and half is written."""
    shape = space.task_shape
    if space.family == "decoder":
        return Workload(input_length=shape.max_length // 2, output_length=shape.max_length // 2)
    return Workload(input_length=shape.max_length, output_length=shape.max_output_length)


def count(space: SearchSpace, workload: Workload, vectorised: VectorisedCosts, rng: random.Random) -> float:
    """Return the seconds that fvcore takes for whole models, and check that the vectorised figures are the same."""
    models = [space.sample(rng) for _ in range(COUNTED)]
    started = time.perf_counter()
    macs = [{phase: whole_model_macs(model, workload, phase) for phase in phases(space.family)} for model in models]
    duration_s = time.perf_counter() - started
    costs = vectorised.of(space.encode(models))
    for row, counted in enumerate(macs):
        total = counted["prefill"] + workload.output_length * counted.get("step", 0)
        if costs["macs"][row] != total:
            raise SystemExit(f"{models[row].id}: {costs['macs'][row]} vectorised, {total} counted")
    return duration_s


def seconds_to_cost(vectorised: VectorisedCosts, encoded: Encoded) -> float:
    """Return the seconds that all costs of the architectures take."""
    started = time.perf_counter()
    vectorised.of(encoded)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
