"""A space of which every architecture has been trained: what a search of it should find is known.

    python benchmarks/trained_space.py        # makes benchmarks/tables/languages.csv anew, in a quarter of an hour

168 encoders that tell 35 languages apart: one or two layers of six types of attention, four widths. Each is trained
once, as a job trains it, under one seed; its score on validation is a row. `search.py languages` searches this table.
Scores are to the bit those of the machine and the torch that made them; others are a little different.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track

from nas.architecture import Architecture
from nas.costs import costs_of
from nas.quality.datasets import load_dataset
from nas.quality.plan import TrainingPlan
from nas.quality.task_shapes import task_shape
from nas.quality.training import train
from nas.space import SearchSpace
from nas.workload import Workload

TABLE = Path(__file__).parent / "tables" / "languages.csv"
DATASET = "language-identification-subwords"
WORKLOAD = Workload(input_length=32)
PLAN = TrainingPlan(steps=400, batch_size=64)
SPACE: dict[str, Any] = {
    "schema": "pocketformer/search-space/1",
    "name": "trained-languages",
    "description": "Encoders of one or two layers, few enough to train each of them.",
    "family": "encoder",
    "task_shape": {"vocabulary_size": 1000, "outputs": 35, "max_length": 32},
    "encoder": {
        "depth": [1, 2],
        "hidden_size": [16, 32, 64, 96],
        "positions": ["learned"],
        "norm_position": ["pre"],
        "activation": ["gelu"],
        "layer": {
            "attention": {
                "softmax": {"heads": [4]},
                "linear": {"heads": [4]},
                "local": {"heads": [4], "window": [8]},
                "long-short": {"heads": [4], "kernel_size": [5]},
                "gated-convolution": {},
                "low-rank": {"heads": [4], "rank": [16]},
            },
            "feed_forward_ratio": [2],
        },
    },
}


def space() -> SearchSpace:
    """Return the space; the task's shape is in it, so that no data is needed to search the table."""
    return SearchSpace.from_document(SPACE)


def rows() -> dict[str, dict[str, float]]:
    """Return error rate, loss and CPU seconds of every architecture by its id."""
    with TABLE.open(newline="") as file:
        return {row["id"]: {k: float(v) for k, v in row.items() if k != "id"} for row in csv.DictReader(file)}


def main() -> None:
    """Train every architecture and write the table."""
    torch.set_num_threads(1)
    dataset = load_dataset(DATASET)
    assert task_shape(dataset.info, WORKLOAD) == space().task_shape
    every = sorted(space().enumerate(), key=lambda a: costs_of(a, WORKLOAD).macs)

    def trained() -> Iterator[dict[str, Any]]:
        for architecture in track(every, "trainings", console=Console(stderr=True)):
            result = train(architecture, dataset, PLAN, workload=WORKLOAD, seed=0)
            yield row_of(architecture, result.metrics, result.cpu_s)

    found = list(trained())
    TABLE.parent.mkdir(exist_ok=True)
    with TABLE.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(found[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
    print(f"{len(found)} architectures, {sum(row['cpu_s'] for row in found):.0f} CPU s, in {TABLE}")


def row_of(architecture: Architecture, metrics: dict[str, float], cpu_s: float) -> dict[str, Any]:
    """Return one line of the table; what an architecture is follows from its id, since the space can be listed."""
    stack = architecture.encoder
    assert stack is not None
    return {
        "id": architecture.id,
        "macs": costs_of(architecture, WORKLOAD).macs,
        "error_rate": f"{metrics['error_rate']:.6f}",
        "loss": f"{metrics['loss']:.6f}",
        "cpu_s": round(cpu_s, 2),
    }


if __name__ == "__main__":
    main()
