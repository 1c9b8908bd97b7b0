"""How far the quality score can be trusted, and what it costs.

    python benchmarks/quality.py ranking                               # does short training rank as long training does?
    python benchmarks/quality.py ranking --dataset cmudict --models 12
    python benchmarks/quality.py ranking --dataset languages --seeds 3 # in the space of trained_space.py
    python benchmarks/quality.py rates --dataset python-docs           # does one base rate suit every width?
    python benchmarks/quality.py loop                                  # what the loop around the model costs
    python benchmarks/quality.py promotion                             # steps saved by promotion, and what it loses
    python benchmarks/quality.py full --dataset cmudict                # ten CPU minutes of training, beside a baseline

`ranking` trains architectures spread evenly over the logarithm of their parameters, once as a job does and once eight
times as long; Kendall's tau says how well the first ranks as the second. Beside it stands the same figure for ranking
by parameters and by width alone, which any training has to beat to be worth its seconds. `rates` trains models that
differ in width alone at five base learning rates. `loop` compares the steps a second of a training with those of the
bare sum of its parts, step by step. `promotion` trains three cohorts up all rungs, then replays what promotion would
have stopped, in many orders of proposal. `full` trains one architecture of the bundled space for ten CPU minutes at
most, scores it on test once, and trains the baseline of benchmarks/baselines.py on the same data. One thread; keep the
machine idle.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import trained_space
from baselines import BASELINES
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn

from nas.architecture import Architecture
from nas.costs import costs_of
from nas.models import build_model
from nas.quality.datasets import Dataset, dataset_names, load_dataset
from nas.quality.fidelity import agreement, cost_strata
from nas.quality.optimizer import optimizer_for
from nas.quality.plan import TrainingPlan
from nas.quality.score import score_weights
from nas.quality.task_shapes import FAMILIES, task_shape
from nas.quality.tasks import TASKS
from nas.quality.training import CLIP_NORM, Trunk, decay_start, train
from nas.search.front import hypervolume
from nas.search.objectives import MetricInfo, cost_metrics
from nas.search.promotion import Cohorts, Ladder
from nas.space import SearchSpace
from nas.workload import Workload

DRAWS = 2000
KINDS = (1, 2, 3, 256)
"""As many options are drawn for the layers of a model: alike in all, as on most fronts, of few kinds, or each anew."""
LONGER = 8
STRATA = 3
RATES = (3e-4, 1e-3, 3e-3, 9e-3, 2.7e-2)
WIDTHS = (32, 64, 128, 256)
LADDER = Ladder.of(steps=300, rungs=3, cohort=12, reduction=3.0)
COHORTS = 3
ORDERS = 200
console = Console(width=150)


@dataclass(frozen=True)
class Subject:
    """A dataset with the space, lengths and training that it is measured at."""

    space: str | dict[str, Any]
    """Its name, or the space itself."""
    workload: Workload
    plan: TrainingPlan
    most_parameters: float
    dataset: str | None = None
    """Where it is not what the subject is called by."""


SUBJECTS = {
    "language-identification": Subject("text-encoder", Workload(input_length=64), TrainingPlan(), 4e5),
    "language-identification-subwords": Subject(
        "tiny-encoder", Workload(input_length=32), TrainingPlan(steps=600, batch_size=64), 1.6e5
    ),
    "languages": Subject(
        trained_space.SPACE, trained_space.WORKLOAD, trained_space.PLAN, math.inf, trained_space.DATASET
    ),
    "python-docs": Subject(
        "causal-decoder", Workload(input_length=96, output_length=16), TrainingPlan(steps=150, batch_size=4), 1e6
    ),
    "cmudict": Subject(
        "seq2seq", Workload(input_length=16, output_length=16), TrainingPlan(steps=300, batch_size=32), 1e6
    ),
}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("ranking", "rates", "loop", "promotion", "full"))
    parser.add_argument("--dataset", default=dataset_names()[0], choices=tuple(SUBJECTS))
    parser.add_argument("--models", type=int, default=12)
    parser.add_argument("--steps", type=int, help="of a training, in place of the usual ones")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each model, short and long")
    parser.add_argument("--first-seed", type=int, default=0, help="of the trainings")
    parser.add_argument("--draw", type=int, default=0, help="other numbers draw other architectures")
    given = parser.parse_args()
    if given.what == "full" and given.dataset not in FULL:
        parser.error(f"--dataset {given.dataset} is not trained in full: {', '.join(FULL)} are")
    torch.set_num_threads(1)
    subject, dataset = SUBJECTS[given.dataset], load_dataset(SUBJECTS[given.dataset].dataset or given.dataset)
    plan = subject.plan.model_copy(update=plan_changes(given))
    console.print(f"{dataset.info.title}, {dataset.info.version}, sha256 {dataset.info.sha256[:12]}…")
    console.print(f"{plan}, {subject.workload.key}, torch {torch.__version__}, 1 thread")
    console.print(f"chance level: {dataset.info.chance}\n")
    measures = {"ranking": ranking, "rates": rates, "loop": loop, "promotion": promotion, "full": full}
    measures[given.what](dataset, subject, plan, given)


def plan_changes(given: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of a training plan that are given on the command line."""
    fields = {name: getattr(given, name) for name in ("steps", "batch_size", "learning_rate")}
    return {name: value for name, value in fields.items() if value is not None}


def space_of(dataset: Dataset, subject: Subject) -> SearchSpace:
    """Return the subject's space for the dataset's vocabulary."""
    shape = task_shape(dataset.info, subject.workload)
    if isinstance(subject.space, str):
        return SearchSpace.bundled(subject.space).for_task(shape)
    return SearchSpace.from_document(subject.space).for_task(shape)


# Ranking -----------------------------------------------------------------------------------------------------


def ranking(dataset: Dataset, subject: Subject, plan: TrainingPlan, given: argparse.Namespace) -> None:
    """Print short and long scores of each architecture, and how well the first rank as the second.

    The short score is that of one training, as in a job; the long one is the mean over the seeds.
    """
    metric, long_plan = dataset.info.metrics[0], plan.model_copy(update={"steps": LONGER * plan.steps})
    table = Table("parameters", "without embeddings", "width", "layers", "CPU s", metric, "loss", f"{LONGER} × as long")
    names = list(dict.fromkeys((metric, "loss")))
    short: dict[str, list[list[float]]] = {name: [] for name in names}  # by architecture, then seed
    final: dict[str, list[list[float]]] = {name: [] for name in names}
    costs, widths, seconds = [], [], []
    chosen = stratified(
        space_of(dataset, subject), subject.workload, given.models, subject.most_parameters, draw=given.draw
    )
    for architecture in track(chosen, "architectures", console=console):
        results, longer = (
            [
                train(architecture, dataset, each, workload=subject.workload, seed=seed)
                for seed in range(given.first_seed, given.first_seed + given.seeds)
            ]
            for each in (plan, long_plan)
        )
        cost, stacks = costs_of(architecture, subject.workload), [stack for _, stack in architecture.stacks]
        for name in names:
            short[name].append([result.metrics[name] for result in results])
            final[name].append([result.metrics[name] for result in longer])
        costs.append(cost.parameters_without_embeddings)
        widths.append(sum(stack.hidden_size for stack in stacks))
        seconds.append(max(result.cpu_s for result in results))
        table.add_row(
            f"{cost.parameters:,}",
            f"{cost.parameters_without_embeddings:,}",
            "+".join(str(stack.hidden_size) for stack in stacks),
            "+".join(str(stack.depth) for stack in stacks),
            f"{statistics.fmean(result.cpu_s for result in results):.1f}",
            " ".join(f"{value:.4f}" for value in short[metric][-1]),
            f"{statistics.fmean(short['loss'][-1]):.3f}",
            f"{' '.join(f'{value:.4f}' for value in final[metric][-1])} ({longer[0].cpu_s:.0f} s)",
        )
    console.print(table)
    console.print(f"The dearest of these short trainings took {max(seconds):.1f} CPU seconds, scoring included.")
    for name in names:
        say_noise(name, (plan.steps, short[name]), (long_plan.steps, final[name]))
        say_agreement(name, (plan.steps, short[name]), (long_plan.steps, final[name]), costs, widths)


def say_noise(metric: str, *scores: tuple[int, list[list[float]]]) -> None:
    """Print how far scores of one architecture lie apart, and scores of different ones."""
    for steps, found in scores:
        between = statistics.stdev(statistics.fmean(values) for values in found)
        noise = ""
        if len(found[0]) > 1:
            pooled = math.sqrt(statistics.fmean(statistics.variance(values) for values in found))
            noise = f"between seeds {pooled:.4f}, "
        console.print(f"{metric} after {steps} steps, standard deviation: {noise}between architectures {between:.4f}")


def say_agreement(
    metric: str,
    short: tuple[int, list[list[float]]],
    final: tuple[int, list[list[float]]],
    costs: Sequence[float],
    widths: Sequence[float],
) -> None:
    """Print how well figures after (steps, figures) rank as those after more steps, beside what costs no training."""
    seeds = len(final[1][0])
    truth = [statistics.fmean(values) for values in final[1]]
    console.print(f"Kendall's tau to {metric} after {final[0]} steps, with 90 % of bootstraps over the models:")
    rankings = {
        f"{metric} after {short[0]} steps, training {seed + 1}": [values[seed] for values in short[1]]
        for seed in range(seeds)
    }
    if seeds > 1:
        rankings[f"mean of these {seeds}"] = [statistics.fmean(values) for values in short[1]]
    rankings["parameters without embeddings alone"] = [-cost for cost in costs]
    rankings["width alone"] = [-width for width in widths]
    taus = {}
    for name, figures in rankings.items():
        overall, within = agreement(figures, truth), agreement(figures, truth, cost_strata(costs, STRATA))
        console.print(
            f"  {name:40} {overall.tau:+.2f} ({overall.tau_low:+.2f} to {overall.tau_high:+.2f}), "
            f"within {STRATA} strata of cost {within.tau:+.2f}"
        )
        taus[name] = (overall.tau, within.tau)
    one_seed = [taus[name] for name in list(rankings)[:seeds]]
    ours, ours_within = (statistics.fmean(column) for column in zip(*one_seed, strict=True))
    parameters, parameters_within = taus["parameters without embeddings alone"]
    if seeds > 1:
        console.print(f"  One training ranks with a tau of {ours:+.2f} on average, {ours_within:+.2f} within strata.")
        again = statistics.fmean(agreement(*one_and_others(final[1], seed)).tau for seed in range(seeds))
        console.print(f"  One long training ranks as the mean of the other long ones do with {again:+.2f} on average.")
    if ours <= parameters:
        console.print("FLAG: this short training ranks no better than counting parameters does.")
    if ours_within <= parameters_within:
        console.print("FLAG: among candidates of like cost it ranks no better than counting parameters does.")


def one_and_others(scores: list[list[float]], seed: int) -> tuple[list[float], list[float]]:
    """Return the score of each model under one seed, and the mean of those under the others."""
    others = [statistics.fmean(value for i, value in enumerate(values) if i != seed) for values in scores]
    return [values[seed] for values in scores], others


def stratified(space: SearchSpace, workload: Workload, count: int, most: float, *, draw: int = 0) -> list[Architecture]:
    """Return `count` random architectures, spread over the logarithm of their parameters.

    Depths and numbers of kinds of layers are drawn evenly, as the models of a latency plan are.
    """
    rng = random.Random(draw)
    found: dict[int, Architecture] = {}
    for _ in range(DRAWS):
        architecture = space.architecture(space.spread(rng, kinds=rng.choice(KINDS)))
        parameters = costs_of(architecture, workload).parameters
        if parameters <= most:
            found[parameters] = architecture
    least, largest = math.log(min(found)), math.log(max(found))
    chosen: set[int] = set()
    for i in range(count):
        target = math.exp(least + (largest - least) * i / max(1, count - 1))
        chosen.add(min((abs(parameters - target), parameters) for parameters in found if parameters not in chosen)[1])
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
    layer = {"attention": {"softmax": {"heads": [2]}}, "feed_forward_ratio": [2]}
    stack = {"hidden_size": [width], "depth": [2], "layer": layer}
    return narrowed(space, {name: stack for name in ("encoder", "decoder") if name in space.to_document()})


def narrowed(space: SearchSpace, choices: dict[str, Any]) -> Architecture:
    """Return the first architecture drawn from a space whose document has these choices in place of its own."""
    document = merged(space.to_document(), choices)
    return SearchSpace.from_document(document).for_task(space.task_shape).sample(random.Random(0))


def merged(document: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return a document with the fields of `changes` in place of its own; the attention types are replaced whole."""
    return document | {
        name: merged(document[name], value) if isinstance(value, dict) and name != "attention" else value
        for name, value in changes.items()
    }


# Loop --------------------------------------------------------------------------------------------------------


def loop(dataset: Dataset, subject: Subject, plan: TrainingPlan, given: argparse.Namespace) -> None:
    """Print the steps a second of a training over those of a bare loop, for small and large models.

    After each step of the training the bare loop takes one on the same batch, with a model of its own: so close
    together both meet the same machine.
    """
    table = Table("parameters", "training [steps/s]", "bare loop [steps/s]", "ratio", "median ratio of a step")
    task = TASKS[dataset.info.task]
    every = stratified(space_of(dataset, subject), subject.workload, given.models, subject.most_parameters)
    batches = list(task.training_batches(dataset.split("train"), subject.workload, plan.batch_size, plan.steps, 0))
    for architecture in (every[0], every[len(every) // 2], every[-1]):
        beside = BareLoop(architecture, batches, plan)
        train(architecture, dataset, plan, workload=subject.workload, seed=0, on_step=beside.after)
        ours, bare = np.array(beside.ours_s), np.array(beside.bare_s)
        parameters = costs_of(architecture, subject.workload).parameters
        speeds = (f"{len(ours) / ours.sum():.1f}", f"{len(bare) / bare.sum():.1f}")
        ratios = (f"{bare.sum() / ours.sum():.3f}", f"{np.median(bare / ours):.3f}")
        table.add_row(f"{parameters:,}", *speeds, *ratios)
    console.print(table)


class BareLoop:
    """A loop that only trains, over batches at hand: one step after each step of the training beside it."""

    def __init__(self, architecture: Architecture, batches: list[tuple[torch.Tensor, ...]], plan: TrainingPlan) -> None:
        self.ours_s: list[float] = []
        """CPU seconds of the steps from the second on: before that nobody looked at the clock."""
        self.bare_s: list[float] = []
        self._model = build_model(architecture, seed=0).train()
        self._task = next(task for task in TASKS.values() if FAMILIES[task.name] == architecture.family)
        self._optimizer = optimizer_for(self._model, plan.learning_rate)
        self._batches = batches
        self._left_s: float | None = None

    def after(self, step: int, steps: int) -> None:  # noqa: ARG002  (as `train` calls it)
        """Note how long the step before took, take one, and note how long that took."""
        entered_s = time.process_time()
        # What makes our sums the same every time is our cost, not the bare loop's
        torch.use_deterministic_algorithms(False)
        started_s = time.process_time()
        loss = self._task.loss(self._model, self._batches[step - 1])
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self._model.parameters(), CLIP_NORM)
        self._optimizer.step()
        ended_s = time.process_time()
        if self._left_s is not None:
            self.ours_s.append(entered_s - self._left_s)
            self.bare_s.append(ended_s - started_s)
        torch.use_deterministic_algorithms(True)
        self._left_s = time.process_time()


# Promotion ---------------------------------------------------------------------------------------------------

Rungs = list[dict[str, float]]
"""All metrics of a candidate, quality and costs, on each rung."""


def promotion(dataset: Dataset, subject: Subject, plan: TrainingPlan, given: argparse.Namespace) -> None:
    """Print the share of steps that promotion takes, and of the front's hypervolume that it keeps."""
    ladder = LADDER if given.steps is None else Ladder.of(given.steps, len(LADDER.steps), LADDER.cohort, 3.0)
    quality = dataset.info.metrics[0]
    count, cost_infos = COHORTS * ladder.cohort, cost_metrics((), FAMILIES[dataset.info.task])
    pool = stratified(space_of(dataset, subject), subject.workload, count, subject.most_parameters)
    started_s = time.process_time()
    every: list[Rungs] = []
    for architecture in pool:
        trunk = Trunk(
            architecture,
            dataset,
            plan.model_copy(update={"steps": ladder.steps[-1]}),
            workload=subject.workload,
            seed=0,
            first_rung=ladder.steps[0],
        )
        costs = costs_of(architecture, subject.workload).named(architecture.family)
        every.append([costs | trunk.score_at(steps).metrics for steps in ladder.steps])
        print(".", end="", flush=True)
    print(
        f"\n{len(pool)} candidates on rungs of {ladder.steps} steps: {time.process_time() - started_s:.0f} CPU seconds"
    )
    final = [rungs[-1][quality] for rungs in every]
    for rung, steps in enumerate(ladder.steps[:-1]):
        tau = agreement([rungs[rung][quality] for rungs in every], final).tau
        console.print(f"Kendall's tau of {quality} after {steps} steps to that after {ladder.steps[-1]}: {tau:+.2f}")
    table = Table("objectives", "candidates trained in full", "steps taken", "hypervolume lost", "at most in 90 %")
    info = MetricInfo(quality, quality, "minimize", "", False, dataset.info.chance[quality])
    rng = random.Random(0)
    orders = [rng.sample(range(len(every)), len(every)) for _ in range(ORDERS)]
    for cost in ("parameters", "macs"):
        objectives = [info, cost_infos[cost]]
        replays = [replay([every[row] for row in order], ladder, objectives) for order in orders]
        full_share, steps_share, lost = np.array(replays).T
        table.add_row(
            f"{quality}, log {cost}",
            f"{np.median(full_share):.0%}",
            f"{np.median(steps_share):.0%} ({steps_share.min():.0%} to {steps_share.max():.0%})",
            f"{np.mean(lost):.2%} (median {np.median(lost):.2%})",
            f"{np.quantile(lost, 0.9):.2%}",
        )
    console.print(table)
    console.print(
        f"cohorts of {ladder.cohort}, {ORDERS} orders of proposal; without promotion all take {ladder.steps[-1]}"
    )


def replay(every: list[Rungs], ladder: Ladder, objectives: list[MetricInfo]) -> tuple[float, float, float]:
    """Return which shares of candidates get to the last rung, of steps are taken, of the hypervolume are lost.

    They are proposed in the order given. A trunk goes on from rung to rung, each score has a decay of its own.
    """
    cohorts = Cohorts(ladder, objectives, [])
    reached = [0] * len(every)
    for number in range(len(every)):
        cohorts.enter(number)
        cohorts.score(number, 0, every[number][0])
    while decisions := list(cohorts.decide(closed=True)):
        for decision in decisions:
            if decision.goes_on_to is not None:
                reached[decision.number] = decision.goes_on_to
                cohorts.score(decision.number, decision.goes_on_to, every[decision.number][decision.goes_on_to])
    values = np.array([[rungs[-1][o.name] for o in objectives] for rungs in every])
    values[:, 1:] = np.log(values[:, 1:])
    in_full = [number for number, rung in enumerate(reached) if rung == ladder.last]
    taken = sum(steps_to(ladder, rung) for rung in reached)
    kept = volume_of(values[in_full], values, objectives) / volume_of(values, values, objectives)
    return len(in_full) / len(every), taken / (len(every) * ladder.steps[-1]), 1 - kept


def steps_to(ladder: Ladder, rung: int) -> int:
    """Return the steps of a candidate that is scored on every rung up to this one."""
    decays = sum(steps - decay_start(steps) for steps in ladder.steps[: rung + 1])
    return decay_start(ladder.steps[rung]) + decays


def volume_of(values: NDArray[np.float64], every: NDArray[np.float64], objectives: list[MetricInfo]) -> float:
    """Return the hypervolume of some rows between the chance level, the dearest, and the best of all of them."""
    reference = [objectives[0].worst, *(every[:, 1:].max(axis=0) + 0.05 * np.ptp(every[:, 1:], axis=0))]
    return hypervolume(values, [False] * len(objectives), reference, list(every.min(axis=0)))


# Full training -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Full:
    """An architecture of the bundled space, by the choices that it makes there, and its full training."""

    choices: dict[str, Any]
    plan: TrainingPlan


SOFTMAX = {"softmax": {"heads": [4]}}
FULL = {
    "language-identification": Full(
        {
            "encoder": {
                "depth": [2],
                "hidden_size": [128],
                "positions": ["sinusoidal"],
                "norm_position": ["pre"],
                "activation": ["gelu"],
                "layer": {"attention": {"gated-convolution": {}}, "feed_forward_ratio": [2]},
            }
        },
        TrainingPlan(steps=3000, batch_size=32),
    ),
    "python-docs": Full(
        {
            "decoder": {
                "depth": [8],
                "hidden_size": [96],
                "activation": ["gelu"],
                "repeats": [1],
                "layer": {"attention": SOFTMAX, "feed_forward_ratio": [4]},
            }
        },
        TrainingPlan(steps=2000, batch_size=8),
    ),
    "cmudict": Full(
        {
            "tied_embeddings": ["none"],
            "encoder": {
                "depth": [3],
                "hidden_size": [96],
                "activation": ["relu"],
                "layer": {"attention": SOFTMAX, "feed_forward_ratio": [4]},
            },
            "decoder": {
                "depth": [1],
                "hidden_size": [96],
                "activation": ["relu"],
                "layer": {
                    "attention": SOFTMAX,
                    "cross": {"attention": SOFTMAX, "reads": [1]},
                    "feed_forward_ratio": [4],
                },
            },
        },
        TrainingPlan(steps=9000, batch_size=64),
    ),
}
"""Found by trying a few widths, depths and lengths of training, by their validation score."""


def full(dataset: Dataset, subject: Subject, plan: TrainingPlan, given: argparse.Namespace) -> None:
    """Print what ten CPU minutes reach, on validation and once on test, beside the simple baseline."""
    chosen, metric, space = FULL[given.dataset], dataset.info.metrics[0], space_of(dataset, subject)
    plan = chosen.plan.model_copy(update=plan_changes(given))
    architecture = narrowed(space, chosen.choices)
    assert architecture in space
    costs = costs_of(architecture, subject.workload)
    console.print(f"trained with {plan}: {costs.parameters:,} parameters, {costs.macs:,} MACs")
    result = train(architecture, dataset, plan, workload=subject.workload, seed=given.seeds - 1)
    tested = score_weights(architecture, result.state, dataset, "test", subject.workload)
    ours = result.metrics[metric], tested[metric]
    name, *theirs = BASELINES[given.dataset](dataset)
    table = Table("", f"{metric}, validation", "test", "CPU s")
    table.add_row("this model", *(f"{score:.4f}" for score in ours), f"{result.cpu_s:.0f}")
    table.add_row(name, *(f"{score:.4f}" for score in theirs))
    console.print(table)
    for split, own, simple in zip(("validation", "test"), ours, theirs, strict=True):
        if own >= simple:
            console.print(f"FLAG: on {split} it does not beat the baseline.")


if __name__ == "__main__":
    main()
