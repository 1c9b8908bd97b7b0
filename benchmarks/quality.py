"""How far the quality score can be trusted, and what it costs.

    python benchmarks/quality.py ranking                               # does short training rank as long training does?
    python benchmarks/quality.py ranking --dataset cmudict --models 12
    python benchmarks/quality.py rates --dataset python-docs           # does one base rate suit every width?
    python benchmarks/quality.py loop                                  # what the loop around the model costs

`ranking` trains architectures spread evenly over the logarithm of their parameters, once as a job does and once eight
times as long; Kendall's tau says how well the first ranks as the second. Beside it stands the same figure for ranking
by parameters and by width alone, which any training has to beat to be worth its seconds. `rates` trains models that
differ in width alone at five base learning rates. `loop` compares the steps a second of a training with those of the
bare sum of its parts. One thread; keep the machine idle meanwhile.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from nas.architecture import Architecture
from nas.costs import costs_of
from nas.models import build_model
from nas.quality.datasets import Dataset, dataset_names, load_dataset
from nas.quality.fidelity import agreement, cost_strata
from nas.quality.optimizer import optimizer_for
from nas.quality.tasks import TASKS
from nas.quality.training import CLIP_NORM, TrainingPlan, schedule, train
from nas.space import SearchSpace
from nas.workload import Workload

DRAWS = 2000
MANY = 256
"""As many options are drawn for a model's layers as it can have: the layers are independent."""
LONGER = 8
STRATA = 3
RATES = (3e-4, 1e-3, 3e-3, 9e-3, 2.7e-2)
WIDTHS = (32, 64, 128, 256)
console = Console(width=130)


@dataclass(frozen=True)
class Subject:
    """A dataset with the space, lengths and training that it is measured at."""

    space: str
    workload: Workload
    plan: TrainingPlan
    most_parameters: float


SUBJECTS = {
    "language-identification": Subject("text-encoder", Workload(input_length=64), TrainingPlan(), 1e6),
    "python-docs": Subject(
        "causal-decoder", Workload(input_length=96, output_length=16), TrainingPlan(steps=150, batch_size=8), 1e6
    ),
    "cmudict": Subject(
        "seq2seq", Workload(input_length=16, output_length=16), TrainingPlan(steps=300, batch_size=32), 1e6
    ),
}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("ranking", "rates", "loop"))
    parser.add_argument("--dataset", default=dataset_names()[0], choices=tuple(SUBJECTS))
    parser.add_argument("--models", type=int, default=12)
    parser.add_argument("--steps", type=int, help="of a training, in place of the usual ones")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each model, for the noise between them")
    given = parser.parse_args()
    torch.set_num_threads(1)
    subject, dataset = SUBJECTS[given.dataset], load_dataset(given.dataset)
    changes = {name: getattr(given, name) for name in ("steps", "batch_size", "learning_rate")}
    plan = subject.plan.model_copy(update={name: value for name, value in changes.items() if value is not None})
    console.print(f"{dataset.info.title}, {dataset.info.version}, sha256 {dataset.info.sha256[:12]}…")
    console.print(f"{plan}, {subject.workload.key}, torch {torch.__version__}, 1 thread")
    console.print(f"chance level: {dataset.info.chance}\n")
    {"ranking": ranking, "rates": rates, "loop": loop}[given.what](dataset, subject, plan, given)


def space_of(dataset: Dataset, subject: Subject) -> SearchSpace:
    """Return the subject's space for the dataset's vocabulary."""
    shape = TASKS[dataset.info.task].shape(dataset.info, subject.workload)
    return SearchSpace.bundled(subject.space).for_task(shape)


# Ranking -----------------------------------------------------------------------------------------------------


def ranking(dataset: Dataset, subject: Subject, plan: TrainingPlan, given: argparse.Namespace) -> None:
    """Print short and long scores of each architecture, and how well the first rank as the second."""
    metric, long_plan = dataset.info.metrics[0], plan.model_copy(update={"steps": LONGER * plan.steps})
    table = Table(
        "parameters", "without embeddings", "width", "layers", "CPU s", metric, "±", "loss", f"{LONGER} × as long"
    )
    short, final, costs, widths = [], [], [], []
    for architecture in stratified(space_of(dataset, subject), subject.workload, given.models, subject.most_parameters):
        results = [
            train(architecture, dataset, plan, workload=subject.workload, seed=seed) for seed in range(given.seeds)
        ]
        longer = train(architecture, dataset, long_plan, workload=subject.workload, seed=0)
        found = [result.metrics[metric] for result in results]
        cost, stacks = costs_of(architecture, subject.workload), [stack for _, stack in architecture.stacks]
        short.append(statistics.fmean(found))
        final.append(longer.metrics[metric])
        costs.append(cost.parameters_without_embeddings)
        widths.append(sum(stack.hidden_size for stack in stacks))
        table.add_row(
            f"{cost.parameters:,}",
            f"{cost.parameters_without_embeddings:,}",
            "+".join(str(stack.hidden_size) for stack in stacks),
            "+".join(str(stack.depth) for stack in stacks),
            f"{statistics.fmean(result.cpu_s for result in results):.1f}",
            f"{short[-1]:.4f}",
            f"{(max(found) - min(found)) / 2:.4f}",
            f"{statistics.fmean(result.metrics['loss'] for result in results):.3f}",
            f"{final[-1]:.4f} ({longer.cpu_s:.0f} s)",
        )
        print(".", end="", flush=True)
    print()
    console.print(table)
    console.print(f"Kendall's tau to {metric} after {long_plan.steps} steps, with 90 % of bootstraps over the models:")
    for name, figures in (
        (f"{metric} after {plan.steps} steps", short),
        ("parameters without embeddings alone", [-cost for cost in costs]),
        ("width alone", [-width for width in widths]),
    ):
        overall, within = agreement(figures, final), agreement(figures, final, cost_strata(costs, STRATA))
        console.print(
            f"  {name:40} {overall.tau:+.2f} ({overall.tau_low:+.2f} to {overall.tau_high:+.2f}), "
            f"within {STRATA} strata of cost {within.tau:+.2f}"
        )


def stratified(space: SearchSpace, workload: Workload, count: int, most: float) -> list[Architecture]:
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


# Rates -------------------------------------------------------------------------------------------------------


def rates(dataset: Dataset, subject: Subject, plan: TrainingPlan, given: argparse.Namespace) -> None:
    """Print the score of models that differ in width alone, at each base rate."""
    table = Table("width", *(f"{rate:g}" for rate in RATES), "best")
    metric = dataset.info.metrics[0]
    for width in WIDTHS:
        architecture = of_width(space_of(dataset, subject), width)
        found = []
        for rate in RATES:
            at_rate = plan.model_copy(update={"learning_rate": rate})
            scores = [
                train(architecture, dataset, at_rate, workload=subject.workload, seed=seed).metrics["loss"]
                for seed in range(given.seeds)
            ]
            found.append(statistics.fmean(scores))
        best = RATES[min(range(len(RATES)), key=found.__getitem__)]
        table.add_row(str(width), *(f"{score:.4f}" for score in found), f"{best:g}")
        print(".", end="", flush=True)
    print()
    console.print(f"loss (of {metric}'s model), mean of {given.seeds} seeds:")
    console.print(table)


def of_width(space: SearchSpace, width: int) -> Architecture:
    """Return one architecture of the space in that width: two layers a stack, softmax attention, feed-forward of 2."""
    document = space.to_document()
    for name in ("encoder", "decoder"):
        if name in document:
            document[name] |= {"hidden_size": [width], "depth": [2]}
            document[name]["layer"] |= {"attention": {"softmax": {"heads": [2]}}, "feed_forward_ratio": [2]}
    return SearchSpace.from_document(document).for_task(space.task_shape).sample(random.Random(0))


# Loop --------------------------------------------------------------------------------------------------------


def loop(dataset: Dataset, subject: Subject, plan: TrainingPlan, given: argparse.Namespace) -> None:
    """Print the steps a second of a training over those of a bare loop, alternating, for small and large models."""
    table = Table("parameters", "training [steps/s]", "bare loop [steps/s]", "ratio (median of 7)")
    task = TASKS[dataset.info.task]
    every = stratified(space_of(dataset, subject), subject.workload, given.models, subject.most_parameters)
    batches = list(task.training_batches(dataset.split("train"), subject.workload, plan.batch_size, plan.steps, 0))
    for architecture in (every[0], every[len(every) // 2], every[-1]):
        ratios, speeds = [], []
        for _ in range(7):
            marks: list[float] = []
            train(
                architecture,
                dataset,
                plan,
                workload=subject.workload,
                seed=0,
                on_step=lambda *_, marks=marks: marks.append(time.process_time()),
            )
            ours = (len(marks) - 1) / (marks[-1] - marks[0])
            bare = bare_speed(architecture, batches, plan)
            ratios.append(ours / bare)
            speeds.append((ours, bare))
        parameters = costs_of(architecture, subject.workload).parameters
        ours, bare = (statistics.median(column) for column in zip(*speeds, strict=True))
        table.add_row(f"{parameters:,}", f"{ours:.1f}", f"{bare:.1f}", f"{statistics.median(ratios):.3f}")
    console.print(table)


def bare_speed(architecture: Architecture, batches: list[tuple[torch.Tensor, ...]], plan: TrainingPlan) -> float:
    """Return the steps a CPU second of a loop with the batches at hand that only trains."""
    model = build_model(architecture, seed=0).train()
    task = next(task for task in TASKS.values() if task.family == architecture.family)
    optimizer = optimizer_for(model, plan.learning_rate)
    rates = [group["lr"] for group in optimizer.param_groups]
    marks = []
    for step, batch in enumerate(batches):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * schedule(step, plan.steps)
        loss = task.loss(model, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimizer.step()
        marks.append(time.process_time())
    return (len(marks) - 1) / (marks[-1] - marks[0])


if __name__ == "__main__":
    main()
