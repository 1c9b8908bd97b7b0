"""What the usual training costs and reaches, over architectures of different size.

    python benchmarks/quality.py --models 10
    python benchmarks/quality.py --models 8 --long-steps 1500    # and does it rank as a longer training does?

Prints CPU seconds, validation error rate and loss of architectures spread evenly over the logarithm of their
parameters, beside the error rate of always answering the most frequent class. With --long-steps each is trained
again for so many steps, and Kendall's tau says how well the usual training ranks; beside it stand the same figure
for ranking by parameters and by width alone, which any training has to beat to be worth its seconds.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
from dataclasses import dataclass

import torch
from scipy.stats import kendalltau

from nas.architecture import Architecture, TaskShape
from nas.costs import Costs, costs_of
from nas.quality.datasets import dataset_names, load_dataset
from nas.quality.training import TrainingPlan, TrainingResult, train
from nas.space import SearchSpace
from nas.workload import Workload

DRAWS = 2000


@dataclass(frozen=True)
class Row:
    """What one architecture cost and reached, over some seeds."""

    architecture: Architecture
    costs: Costs
    results: list[TrainingResult]
    long_error: float | None

    def mean(self, metric: str) -> float:
        """Return the mean of a metric over the seeds."""
        return statistics.fmean(result.metrics[metric] for result in self.results)

    def print(self) -> None:
        """Print one line of the table."""
        stack = self.architecture.encoder
        errors = [result.metrics["error_rate"] for result in self.results]
        cpu_s = statistics.fmean(result.cpu_s for result in self.results)
        attention = "".join(layer.attention[0] for layer in stack.layers)
        print(
            f"{self.costs.parameters:10,} {stack.hidden_size:6} {len(stack.layers):6} {attention:9} "
            f"{stack.positions:10} {stack.norm_position:4} {stack.activation:5} {cpu_s:6.1f} "
            f"{self.mean('error_rate'):11.3f} {(max(errors) - min(errors)) / 2:6.3f} {self.mean('loss'):6.3f}"
            + (f" {self.long_error:6.3f}" if self.long_error is not None else ""),
            flush=True,
        )


def main() -> None:
    """Run the benchmark."""
    usual = TrainingPlan()
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dataset", default=dataset_names()[0], choices=dataset_names())
    parser.add_argument("--space", default="text-encoder")
    parser.add_argument("--input-length", type=int, default=64)
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--max-parameters", type=float, default=1e6)
    parser.add_argument("--steps", type=int, default=usual.steps)
    parser.add_argument("--batch-size", type=int, default=usual.batch_size)
    parser.add_argument("--learning-rate", type=float, default=usual.learning_rate)
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each model, for the noise between them")
    parser.add_argument("--long-steps", type=int, help="train each again for so many steps and compare the ranking")
    given = parser.parse_args()
    torch.set_num_threads(1)

    dataset = load_dataset(given.dataset)
    info = dataset.info
    plan = TrainingPlan(steps=given.steps, batch_size=given.batch_size, learning_rate=given.learning_rate)
    workload = Workload(input_length=given.input_length)
    shape = TaskShape(info.vocabulary_size, info.outputs, given.input_length)
    space = SearchSpace.bundled(given.space).for_task(shape)
    print(f"{info.title}, {info.version}, sha256 {info.sha256[:12]}…")
    print(f"examples {info.examples}, tokens by percentile {info.length_percentiles}")
    print(f"{plan}, input length {workload.input_length}, torch {torch.__version__}, 1 thread")
    print(f"always the most frequent class: error rate {info.majority_error_rate:.3f}")
    print(f"even guess: loss {math.log(info.outputs):.3f}\n")

    print("parameters  width layers attention positions  norm act.   CPU s  error rate     ±   loss   long")
    rows = []
    for architecture in stratified(space, workload, given.models, int(given.max_parameters)):

        def trained(plan: TrainingPlan, seed: int, architecture: Architecture = architecture) -> TrainingResult:
            return train(architecture, dataset, plan, input_length=workload.input_length, seed=seed)

        long_error = None
        if given.long_steps:
            long_plan = plan.model_copy(update={"steps": given.long_steps})
            long_error = trained(long_plan, 0).metrics["error_rate"]
        results = [trained(plan, seed) for seed in range(given.seeds)]
        rows.append(Row(architecture, costs_of(architecture, workload), results, long_error))
        rows[-1].print()
    if given.long_steps:
        print_ranking(rows, given.long_steps)


def print_ranking(rows: list[Row], long_steps: int) -> None:
    """Print how well the usual training, and simpler figures, rank as the long training does."""
    print(f"\nKendall's tau to the error rate after {long_steps} steps:")
    final = [row.long_error for row in rows]
    for name, ranking in {
        "error rate": [row.mean("error_rate") for row in rows],
        "loss": [row.mean("loss") for row in rows],
        "parameters without embeddings alone": [-row.costs.parameters_without_embeddings for row in rows],
        "width alone": [-row.architecture.encoder.hidden_size for row in rows],
    }.items():
        print(f"  {name:36} {kendalltau(ranking, final).statistic:+.2f}")


MANY = 256
"""As many options are drawn for a model's layers as it can have: the layers are independent."""


def stratified(space: SearchSpace, workload: Workload, count: int, most: int) -> list[Architecture]:
    """Return `count` random architectures, depth drawn evenly, spread over the logarithm of their parameters."""
    rng = random.Random(0)
    found: dict[int, Architecture] = {}
    for _ in range(DRAWS):
        architecture = space.architecture(space.spread(rng, kinds=MANY))
        parameters = costs_of(architecture, workload).parameters
        if parameters <= most:
            found[parameters] = architecture
    least, largest = math.log(min(found)), math.log(max(found))
    targets = [math.exp(least + (largest - least) * i / max(1, count - 1)) for i in range(count)]
    chosen = {min((abs(parameters - target), parameters) for parameters in found)[1] for target in targets}
    return [found[parameters] for parameters in sorted(chosen)]


if __name__ == "__main__":
    main()
