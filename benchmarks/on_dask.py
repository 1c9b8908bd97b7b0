"""How much more two workers of a Dask cluster train than one, and two processes of this machine than one.

    python benchmarks/on_dask.py

Evaluations of equal size: one architecture, so many steps, each under a seed of its own. Rounds of all four are
interleaved and medians are printed. Keep the machine idle, and have two cores.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace

import dask
from distributed import LocalCluster

from nas.jobs.compute import Compute, ThisMachine
from nas.jobs.dask import DaskCluster
from nas.jobs.evaluation import Assignment, evaluate
from nas.quality.datasets import dataset_info
from nas.quality.plan import TrainingPlan
from nas.space import SearchSpace
from nas.workload import Workload

DATASET = "language-identification"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--evaluations", type=int, default=12, help="in a round of each")
    parser.add_argument("--steps", type=int, default=300, help="that each is trained for")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        compare(arguments.rounds, arguments.evaluations, assignment(arguments.steps))


def assignment(steps: int) -> Assignment:
    """Return what is trained."""
    info = dataset_info(DATASET)
    architecture = SearchSpace.bundled("tiny-encoder").sample(random.Random(0))
    return Assignment(
        architecture.to_dict(),
        DATASET,
        info.sha256,
        TrainingPlan(steps=steps).model_dump(mode="json"),
        Workload(input_length=32).model_dump(mode="json"),
        seed=0,
        first_rung=steps,
        steps=steps,
    )


def compare(rounds: int, evaluations: int, trained: Assignment) -> None:
    """Print evaluations a second of each, and the ratios."""
    computes: dict[str, Callable[[], AbstractContextManager[Compute]]] = {
        "1 process": lambda: nullcontext(ThisMachine(1)),
        "2 processes": lambda: nullcontext(ThisMachine(2)),
        "1 Dask worker": lambda: dask_cluster(1),
        "2 Dask workers": lambda: dask_cluster(2),
    }
    rates: dict[str, list[float]] = {name: [] for name in computes}
    for _ in range(rounds):
        for name, started in computes.items():
            # Only who has its turn is there: three idle Dask workers take a tenth of a core
            with started() as compute, compute.executor() as executor:
                rate(executor, 4, replace(trained, steps=20, first_rung=20))  # imports, and reads the data
                rates[name].append(rate(executor, evaluations, trained))
    middle = {name: statistics.median(each) for name, each in rates.items()}
    for name, each in rates.items():
        print(f"{name:15} {middle[name]:6.3f} evaluations/s   ({min(each):.3f} to {max(each):.3f})")
    print(f"two processes over one     {middle['2 processes'] / middle['1 process']:.2f}")
    print(f"two Dask workers over one  {middle['2 Dask workers'] / middle['1 Dask worker']:.2f}")


@contextmanager
def dask_cluster(workers: int) -> Iterator[DaskCluster]:
    """Start a cluster here, set up as in `docker-compose.yml`, and connect to it as `nas worker --dask` does."""
    with (
        dask.config.set({"distributed.worker.profile.enabled": False, "distributed.admin.tick.interval": "1s"}),
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None, memory_limit=0) as cluster,
        DaskCluster(cluster.scheduler_address) as connected,
    ):
        yield connected


def rate(executor: Executor, evaluations: int, trained: Assignment) -> float:
    """Return evaluations a second."""
    started = time.perf_counter()
    futures = [executor.submit(evaluate, replace(trained, seed=seed)) for seed in range(evaluations)]
    errors = [error for future in futures if (error := future.result().error) is not None]
    if errors:
        raise SystemExit(errors[0])
    return evaluations / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
