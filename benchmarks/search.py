"""How well the samplers spend evaluations, and what an ask costs.

    python benchmarks/search.py --data ../shared/data             # all of these, in hours: Optuna's GP is slow
    python benchmarks/search.py hwgpt --data ../shared/data       # hypervolume after 25, 50, 100, 200 evaluations
    python benchmarks/search.py flexibert --data ../shared/data   # evaluations until 95 % of a pool's hypervolume
    python benchmarks/search.py languages                         # a space of ours, each architecture trained once
    python benchmarks/search.py workers                           # how much of two workers' time is evaluation
    python benchmarks/search.py ask                               # time of an ask at 10,000 recorded trials

`hwgpt`: the perplexity surrogate of HW-GPT-Bench (Sukthanker et al. 2024), perplexity against the logarithm of the
parameters without embeddings, hypervolume between (45, 1.05 × the most parameters) and (21, 0.95 × the fewest). Every
sampler goes through the proposer of a job, so behind the same guards; that no candidate was evaluated twice or over a
limit is checked in every run. `--limit` sets a limit on the parameters.

`flexibert`: the trained encoders of FlexiBERT's benchmark, GLUE against the logarithm of the parameters without
embeddings, hypervolume between (worst GLUE, 1.05 × the most parameters) and (best GLUE, 0.95 × the fewest). What a
sampler proposes is replaced by the nearest encoder that was not evaluated, in Gower's distance; the sampler is told of
that encoder, as of a trial with its parameters. The cost-aware sampler and the stratified one propose encoders.

`languages`: the space of benchmarks/trained_space.py, whose every architecture was trained: error rate against
multiply-adds, share of the hypervolume of the true front after 15, 25 and 50 of 168 evaluations.

`workers`: a real job on two evaluation processes, in a database of its own: the share of their time, from the first
candidate's start to the last one's end, that they spend training and scoring. It needs an idle machine.

`ask`: the space text-encoder, error rate (made up) against multiply-adds and parameters.

Means over seeds with 95 % bootstrap intervals; CPU time is the sampler's. One thread; other processes only disturb the
times.
"""

from __future__ import annotations

import argparse
import math
import random
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
import optuna
import trained_space
from drawing import draw_curves
from numpy.typing import NDArray
from optuna.distributions import IntDistribution
from optuna.samplers import BaseGASampler, NSGAIIISampler, NSGAIISampler
from optuna.trial import TrialState, create_trial
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from search_problems import EncoderPool, GptSpace

from nas.costs import VectorisedCosts
from nas.errors import SpaceExhausted
from nas.jobs.catalogue import submit
from nas.jobs.worker import Worker
from nas.search.cost_aware import CandidateSource, SpaceCandidates
from nas.search.forecast import foretold_gain
from nas.search.front import front_rows, hypervolume
from nas.search.objectives import MetricInfo, cost_metrics, parse_constraint
from nas.search.proposer import Proposal, Proposer, RecordedTrial
from nas.search.samplers import POPULATION, SAMPLERS, SamplerSetting, seed_of
from nas.space import SearchSpace
from nas.store.store import Store
from nas.workload import Workload

AT = (25, 50, 100, 200)
PROCESSES = 2
AT_LANGUAGES = (15, 25, 50)
SHARE = 0.95
BOOTSTRAPS = 10_000
TRIALS = 10_000
SLOW = ("gp",)
"""Samplers of which fewer seeds can be asked for: an ask takes seconds."""
SLOW_SEEDS = 10
GP_TRIALS = 500
"""Trials that the ask of `gp` is measured at: it takes memory in proportion to their square times the parameters."""
console = Console(width=160)
CHANCE = 0.9677
"""Error rate of always answering the most frequent language."""
ERROR_RATE = MetricInfo("error_rate", "Error rate", "minimize", "", False, 1.0)
PERPLEXITY = MetricInfo("perplexity", "Perplexity", "minimize", "", False, 45.0)
LOG_PARAMETERS = MetricInfo("log_parameters", "Parameters, log", "minimize", "", True)


@dataclass(frozen=True)
class Run:
    """One search by one sampler."""

    values: NDArray[np.float64]
    """(evaluations, 2), in the order in which they were evaluated."""
    cpu_s: float
    skipped: int = 0
    """Proposals that were seen before or over a limit, and therefore not evaluated."""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="where the tables of others are")
    commands = parser.add_subparsers(dest="what")
    for name in ("hwgpt", "flexibert", "languages"):
        command = commands.add_parser(name)
        if name != "languages":
            command.add_argument("--data", type=Path, default=argparse.SUPPRESS)
        command.add_argument("--seeds", type=int, default=10)
        command.add_argument("--slow-seeds", type=int, default=SLOW_SEEDS, help=f"of {', '.join(SLOW)}")
        command.add_argument("--samplers", nargs="+", default=list(SAMPLERS), choices=list(SAMPLERS))
    hwgpt = commands.choices["hwgpt"]
    hwgpt.add_argument("--weights", default="hwgpt_s.npz", help="another scale's surrogate")
    hwgpt.add_argument("--scale", default="s", choices=("s", "m", "l"))
    hwgpt.add_argument("--evaluations", type=int, default=max(AT))
    hwgpt.add_argument("--limit", type=float, help="most parameters without embeddings")
    hwgpt.add_argument("--parallel", type=int, default=1, help="evaluations that are not known yet at each ask")
    hwgpt.add_argument("--plot", type=Path, help="where to draw hypervolume against evaluations, as PNG")
    workers = commands.add_parser("workers")
    workers.add_argument("--trials", type=int, default=40)
    workers.add_argument("--steps", type=int, default=300)
    workers.add_argument("--samplers", nargs="+", default=["cost-aware", "random"], choices=list(SAMPLERS))
    ask = commands.add_parser("ask")
    ask.add_argument("--trials", type=int, default=TRIALS)
    ask.add_argument("--repetitions", type=int, default=200, help="asks of the project's samplers")
    ask.add_argument("--slow-repetitions", type=int, default=3, help="asks of TPE and GP, which take seconds")
    ask.add_argument("--samplers", nargs="+", default=list(SAMPLERS), choices=list(SAMPLERS))
    given = parser.parse_args()
    benchmarks = {"hwgpt": run_hwgpt, "flexibert": run_flexibert, "languages": run_languages}
    benchmarks |= {"workers": run_workers, "ask": run_ask}
    for what in [given.what] if given.what else benchmarks:
        benchmarks[what](given if given.what else parser.parse_args(["--data", str(given.data), what]))


def seeds_of(sampler: str, given: argparse.Namespace) -> range:
    """Return the seeds that a sampler is run with."""
    return range(min(given.seeds, given.slow_seeds) if sampler in SLOW else given.seeds)


def all_runs(given: argparse.Namespace, search: Callable[[str, int], Run]) -> dict[str, list[Run]]:
    """Return every sampler's runs."""
    runs: dict[str, list[Run]] = {}
    with Progress(console=Console(stderr=True)) as progress:
        total = sum(len(seeds_of(sampler, given)) for sampler in given.samplers)
        task = progress.add_task("searches", total=total)
        for sampler in given.samplers:
            runs[sampler] = []
            for seed in seeds_of(sampler, given):
                progress.update(task, description=f"{sampler}, seed {seed}")
                runs[sampler].append(search(sampler, seed))
                progress.advance(task)
    return runs


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean and its 95 % bootstrap interval."""
    rng = np.random.default_rng(0)
    means = rng.choice(np.asarray(values), size=(BOOTSTRAPS, len(values))).mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(np.mean(values)), float(low), float(high)


def shown(values: Sequence[float], digits: int) -> str:
    """Return mean and interval as text."""
    mean, low, high = interval(values)
    return f"{mean:.{digits}f} [dim]{low:.{digits}f}–{high:.{digits}f}[/dim]"


# HW-GPT-Bench ------------------------------------------------------------------------------------------------


def run_hwgpt(given: argparse.Namespace) -> None:
    """Print the normalised hypervolume of every sampler after 25, 50, 100 and 200 evaluations."""
    space = GptSpace(given.data, given.weights, given.scale)
    limit = math.log(given.limit) if given.limit else None
    runs = all_runs(given, lambda sampler, seed: search_gpt(space, sampler, seed, given, limit))
    at = [count for count in AT if count <= given.evaluations]

    def volume(run: Run, count: int) -> float:
        return hypervolume(run.values[:count], [False, False], space.reference, space.ideal)

    table = Table(title=f"{space.name}: normalised hypervolume, mean and 95 % interval over seeds")
    for column in ("sampler", "seeds", *map(str, at), "skipped", "CPU s a run"):
        table.add_column(column, justify="left" if column == "sampler" else "right", no_wrap=True)
    for sampler, found in runs.items():
        cells = [shown([volume(run, count) for run in found], 4) for count in at]
        skipped = f"{np.mean([run.skipped for run in found]):.1f}"
        table.add_row(sampler, str(len(found)), *cells, skipped, f"{np.mean([run.cpu_s for run in found]):.1f}")
    console.print(table)
    console.print("no candidate was evaluated twice or over a limit")
    say_forecasts(runs, volume, [count for count in at if 2 * count in at])
    if given.plot:
        counts = list(range(5, given.evaluations + 1, 5))
        curves = {
            sampler: [float(np.mean([volume(run, count) for run in found])) for count in counts]
            for sampler, found in runs.items()
        }
        draw_curves(counts, curves, f"{space.name}, mean over seeds", "normalised hypervolume", given.plot)


def say_forecasts(runs: dict[str, list[Run]], volume: Callable[[Run, int], float], at: Sequence[int]) -> None:
    """Print what was foretold of twice as many evaluations, and what they brought, means over the seeds."""
    for sampler, found in runs.items():
        for now in at:
            foretold = [foretold_gain(*(volume(run, now // part) for part in (4, 2, 1)), now, now) for run in found]
            came = [volume(run, 2 * now) - volume(run, now) for run in found]
            console.print(
                f"{sampler}: from {now} to {2 * now} evaluations {np.mean(foretold):+.4f} foretold, "
                f"{np.mean(came):+.4f} came; off by {np.mean(np.abs(np.subtract(foretold, came))):.4f}"
            )


def search_gpt(space: GptSpace, sampler: str, seed: int, given: argparse.Namespace, limit: float | None) -> Run:
    """Return one search; results are told in order, each when so many later candidates were proposed."""
    metrics = {metric.name: metric for metric in (PERPLEXITY, LOG_PARAMETERS)}
    limits = () if limit is None else (parse_constraint(f"log_parameters <= {limit!r}", "limit", metrics),)
    reference = (space.reference[0], min(space.reference[1], limit or math.inf))
    setting = SamplerSetting(seed, lambda: cast(CandidateSource, space.candidates(limit)), reference)
    begun = time.process_time()
    proposer = Proposer(
        cast(SearchSpace, space),
        (PERPLEXITY, LOG_PARAMETERS),
        limits,
        cast(Any, lambda gpt: {"log_parameters": space.log_parameters(gpt)}),
        sampler,
        setting,
    )
    evaluated: list[Any] = []
    waiting: list[tuple[int, dict[str, float]]] = []
    number = 0
    while len(evaluated) < given.evaluations:
        try:
            proposal = proposer.propose(number)
        except SpaceExhausted as error:
            console.print(f"{sampler}, seed {seed}: {error}")
            break
        number += 1
        if proposal.verdict == "evaluate":
            gpt: Any = proposal.architecture
            evaluated.append(gpt)
            perplexity = float(space.surrogate.perplexity([gpt.inner])[0])
            waiting.append((proposal.number, {**proposal.costs, "perplexity": perplexity}))
            if len(waiting) >= given.parallel:
                proposer.tell(*waiting.pop(0))
    cpu_s = time.process_time() - begun
    costs = [space.log_parameters(gpt) for gpt in evaluated]
    assert len({gpt.id for gpt in evaluated}) == len(evaluated), f"{sampler}: a duplicate was evaluated"
    assert all(cost <= (limit or math.inf) for cost in costs), f"{sampler}: a candidate over the limit was evaluated"
    perplexities = space.surrogate.perplexity([gpt.inner for gpt in evaluated])
    return Run(np.column_stack([perplexities, costs]), cpu_s, number - len(evaluated))


# FlexiBERT ---------------------------------------------------------------------------------------------------


def run_flexibert(given: argparse.Namespace) -> None:
    """Print after how many evaluations every sampler has 95 % of the pool's hypervolume."""
    pool = EncoderPool(given.data)

    def volume(values: NDArray[np.float64]) -> float:
        return hypervolume(values, [True, False], pool.reference, pool.ideal)

    goal = SHARE * volume(pool.values)
    runs = all_runs(given, lambda sampler, seed: search_pool(pool, sampler, seed, lambda v: volume(v) >= goal))
    counts = {sampler: [float(len(run.values)) for run in found] for sampler, found in runs.items()}
    rivals = [float(np.mean(counts[name])) for name in ("nsga2", "tpe") if name in counts]
    table = Table(title=f"FlexiBERT, {len(pool.members)} encoders: evaluations until {SHARE:.0%} of the hypervolume")
    for column in ("sampler", "seeds", "evaluations", "of the better of NSGA-II and TPE", "CPU s a run"):
        table.add_column(column, justify="left" if column == "sampler" else "right", no_wrap=True)
    for sampler, found in runs.items():
        share = f"{np.mean(counts[sampler]) / min(rivals):.0%}" if rivals else "–"
        seconds = f"{np.mean([run.cpu_s for run in found]):.1f}"
        table.add_row(sampler, str(len(found)), shown(counts[sampler], 1), share, seconds)
    console.print(table)
    front = len(front_rows(pool.values, [True, False]))
    console.print(f"the pool's front has {front} members, its hypervolume is {goal / SHARE:.4f}")
    console.print("no encoder was evaluated twice")


def search_pool(pool: EncoderPool, sampler: str, seed: int, reached: Callable[[NDArray[np.float64]], bool]) -> Run:
    """Return one search, which ends when it has `reached` its goal."""
    setting = SamplerSetting(seed, lambda: cast(CandidateSource, pool.candidates()), pool.reference)
    study = optuna.create_study(directions=["maximize", "minimize"])
    begun = time.process_time()
    sampler_of = SAMPLERS[sampler](setting)
    cpu_s = time.process_time() - begun
    left, order = list(range(len(pool.members))), []
    while left:
        begun = time.process_time()
        study.sampler = sampler_of(seed_of(seed, len(order), "ask"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = study.ask()
            parameters = suggested(pool, trial)
        cpu_s += time.process_time() - begun
        index = pool.nearest(parameters, left, random.Random(seed_of(seed, len(order), "nearest")))
        attributes = study.trials[trial.number].system_attrs
        study.tell(trial, state=TrialState.FAIL)
        told = pool.told(pool.members[index])
        study.add_trial(
            create_trial(
                values=pool.values[index].tolist(),
                params=told,
                distributions={name: pool.distributions[name] for name in told},
                system_attrs=attributes,
            )
        )
        left.remove(index)
        order.append(index)
        if reached(pool.values[order]):
            break
    assert len(set(order)) == len(order), f"{sampler}: an encoder was evaluated twice"
    return Run(pool.values[order], cpu_s)


def suggested(pool: EncoderPool, trial: optuna.Trial) -> dict[str, Any]:
    """Return what a trial's sampler suggests for every choice that it leads to."""
    parameters: dict[str, Any] = {}

    def take(name: str) -> None:
        distribution = pool.distributions[name]
        if isinstance(distribution, IntDistribution):
            parameters[name] = trial.suggest_int(name, distribution.low, distribution.high)
        else:
            parameters[name] = trial.suggest_categorical(name, pool.decision(name).options)

    first = [name for name in pool.options if not name.startswith("layers.")]
    for name in first:
        take(name)
    depth = int(pool.decision("n_layer").options[parameters["n_layer"]])
    for name in pool.names_at(depth):
        if name not in parameters:
            take(name)
    return parameters


# A space of ours ---------------------------------------------------------------------------------------------


def run_languages(given: argparse.Namespace) -> None:
    """Print the share of the true front's hypervolume that every sampler has after 15, 25 and 50 evaluations."""
    space, scores = trained_space.space(), trained_space.rows()
    architectures = list(space.enumerate())
    exact = VectorisedCosts(space, trained_space.WORKLOAD)
    macs = exact.of(space.encode(architectures))["macs"]
    values = np.column_stack([[scores[a.id]["error_rate"] for a in architectures], macs])
    reference, ideal = (CHANCE, float(macs.max())), (0.0, float(macs.min()))

    def volume(rows: NDArray[np.float64]) -> float:
        return hypervolume(rows, [False, False], reference, ideal)

    def search(sampler: str, seed: int) -> Run:
        metrics = {**cost_metrics(()), "error_rate": ERROR_RATE}
        objectives = (ERROR_RATE, metrics["macs"])
        setting = SamplerSetting(seed, lambda: SpaceCandidates(space, objectives, (), exact.of), reference)
        begun = time.process_time()
        proposer = Proposer(space, objectives, (), costs, sampler, setting)
        found: list[list[float]] = []
        number = 0
        while len(found) < max(AT_LANGUAGES):
            proposal = proposer.propose(number)
            if proposal.verdict == "evaluate":
                error_rate = scores[proposal.architecture.id]["error_rate"]
                found.append([error_rate, proposal.costs["macs"]])
                proposer.tell(number, {**proposal.costs, "error_rate": error_rate})
                assert proposal.same_as is None
            number += 1
        return Run(np.array(found), time.process_time() - begun, number - len(found))

    def costs(architecture: Any) -> dict[str, float]:
        return {name: float(column[0]) for name, column in exact.of(space.encode([architecture])).items()}

    runs, whole = all_runs(given, search), volume(values)
    table = Table(title="168 trained encoders: share of the true front's hypervolume, mean and 95 % interval")
    for column in ("sampler", "seeds", *map(str, AT_LANGUAGES), "skipped", "CPU s a run"):
        table.add_column(column, justify="left" if column == "sampler" else "right", no_wrap=True)
    for sampler, found in runs.items():
        cells = [shown([volume(run.values[:count]) / whole for run in found], 4) for count in AT_LANGUAGES]
        skipped = f"{np.mean([run.skipped for run in found]):.1f}"
        table.add_row(sampler, str(len(found)), *cells, skipped, f"{np.mean([run.cpu_s for run in found]):.1f}")
    console.print(table)
    front = len(front_rows(values, [False, False]))
    console.print(f"the true front has {front} members, its hypervolume is {whole:.4f}")


# Workers -----------------------------------------------------------------------------------------------------


def run_workers(given: argparse.Namespace) -> None:
    """Print how much of the time of two evaluation processes goes into evaluation, for a job by each sampler."""
    table = Table(title=f"A job of {given.trials} candidates, {given.steps} steps each, on {PROCESSES} processes")
    for column in ("sampler", "wall s", "in evaluation s", "share"):
        table.add_column(column, justify="left" if column == "sampler" else "right", no_wrap=True)
    for sampler in given.samplers:
        with TemporaryDirectory() as folder:
            store = Store.open(f"sqlite:///{folder}/workers.db")
            store.migrate()
            document = {
                "name": "workers",
                "search_space": "tiny-encoder",
                "task": {
                    "dataset": trained_space.DATASET,
                    "metric": "error_rate",
                    "training": {"steps": given.steps, "batch_size": 32},
                },
                "workload": {"input_length": 32},
                "objectives": ["error_rate", "macs"],
                "constraints": ["parameters <= 2e5"],
                "budget": {"trials": given.trials},
                "sampler": sampler,
            }
            job, _ = submit(store, document)
            job = Worker(store, processes=PROCESSES).run_job(job.id)
            trials = [t for t in store.trials(job.id) if t.duration_s and t.finished_at]
            store.close()
        begun, ended = min(t.started_at for t in trials), max(t.finished_at for t in trials if t.finished_at)
        wall_s, busy_s = (ended - begun).total_seconds(), sum(t.duration_s or 0.0 for t in trials)
        table.add_row(sampler, f"{wall_s:.1f}", f"{busy_s:.1f}", f"{busy_s / (PROCESSES * wall_s):.1%}")
    console.print(table)


# Asks --------------------------------------------------------------------------------------------------------


def run_ask(given: argparse.Namespace) -> None:
    """Print the time of an ask at many recorded trials of three objectives, for every sampler."""
    workload = Workload(input_length=64)
    space = SearchSpace.bundled("text-encoder")
    metrics = {"error_rate": MetricInfo("error_rate", "Error rate", "minimize", "", False, 1.0), **cost_metrics(())}
    objectives = (metrics["error_rate"], metrics["macs"], metrics["parameters"])
    exact = VectorisedCosts(space, workload)
    trials = recorded(space, exact, given.trials)
    made_by = {
        "nsga2": with_generation(trials, NSGAIISampler),
        "nsga3": with_generation(trials, NSGAIIISampler),
        "gp": trials[:GP_TRIALS],
    }
    values = np.array([[t.metrics[o.name] for o in objectives] for t in trials if t.metrics])
    reference = (1.0, float(values[:, 1].max()), float(values[:, 2].max()))
    table = Table(
        title=f"An ask at {given.trials} recorded trials, {len(objectives)} objectives, "
        f"{len(front_rows(values, [False] * 3))} members of the front: milliseconds"
    )
    for column in ("sampler", "trials", "asks", "median", "95th percentile", "longest", "first after a restart"):
        table.add_column(column, justify="left" if column == "sampler" else "right", no_wrap=True)
    for sampler in given.samplers:
        setting = SamplerSetting(0, lambda: SpaceCandidates(space, objectives, (), exact.of), reference)

        def costs(architecture: Any) -> dict[str, float]:
            return {name: float(found[0]) for name, found in exact.of(space.encode([architecture])).items()}

        proposer = Proposer(space, objectives, (), costs, sampler, setting)
        here = made_by.get(sampler, trials)
        proposer.replay(here, ())
        rng = np.random.default_rng(1)
        times: list[float] = []
        slow = sampler in ("tpe", "gp")
        asks = 1 + (given.slow_repetitions if slow else given.repetitions)
        for number in range(len(here), len(here) + asks):
            begun = time.perf_counter()
            proposal = proposer.propose(number)
            times.append(1e3 * (time.perf_counter() - begun))
            if proposal.verdict == "evaluate":
                proposer.tell(number, {**proposal.costs, "error_rate": made_up(proposal.costs["macs"], rng)})
        first, later = times[0], times[1:]
        cells = (np.median(later), np.quantile(later, 0.95), max(later), first)
        table.add_row(sampler, str(len(here)), str(len(later)), *(f"{cell:,.1f}" for cell in cells))
        console.print(f"{sampler}: done")
    console.print(table)


def with_generation(trials: list[RecordedTrial], kind: type[BaseGASampler]) -> list[RecordedTrial]:
    """Return the trials with the last of them as a genetic sampler's generation: it builds on the one before alone."""
    state = {"trial": {kind._get_generation_key(): 0}}
    last = [replace(trial, proposal=replace(trial.proposal, sampler_state=state)) for trial in trials[-POPULATION:]]
    return [*trials[:-POPULATION], *last]


def made_up(macs: float, rng: np.random.Generator) -> float:
    """Return an error rate that falls with the multiply-adds, and noise."""
    return float((0.05 + 0.9 / (1 + math.sqrt(macs / 2e6))) * math.exp(rng.normal(0, 0.08)))


def recorded(space: SearchSpace, exact: VectorisedCosts, count: int) -> list[RecordedTrial]:
    """Return so many different evaluated candidates, of all sizes."""
    draw, rng = random.Random(0), np.random.default_rng(0)
    architectures: dict[str, Any] = {}
    while len(architectures) < count:
        architecture = space.architecture(space.spread(draw, kinds=3))
        architectures[architecture.id] = architecture
    known = exact.of(space.encode(list(architectures.values())))
    trials = []
    for number, architecture in enumerate(architectures.values()):
        costs = {name: float(values[number]) for name, values in known.items()}
        found = {**costs, "error_rate": made_up(costs["macs"], rng)}
        trials.append(RecordedTrial(Proposal(number, architecture, costs, "evaluate"), True, found, (found,)))
    return trials


if __name__ == "__main__":
    main()
