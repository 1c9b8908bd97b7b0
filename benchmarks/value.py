"""What a search is worth: the front of one job beside a ladder of models designed by hand.

    python benchmarks/value.py language-identification       # encoders; an hour on two idle cores
    python benchmarks/value.py python-docs                   # decoders; an hour and a half

Measures this machine's latency table, searches one job on it, then trains every member of the front and every model of
benchmarks/hand_designed.py alike: the same steps, batches, base rate and seeds, more of them than in the search. All
are then measured, whole, in one run. Which member stands against which rung is decided by the validation split;
what is told is the test split, which nothing here has chosen by.

At last it says what made the difference, at the middle rung: the member that is best among those as fast is trained
again with softmax attention in its own shape, and the rung in its own shape with that member's attention.

What is known is kept in --folder, from which an interrupted run goes on. Trainings take both cores; the latency table
and the measuring at the end need an idle machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import multiprocessing
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import torch
from drawing import write_png
from hand_designed import DECODERS, ENCODERS, Rung, decoder, encoder, with_attention_of, with_softmax
from rich.console import Console
from rich.progress import track
from rich.table import Table

from nas.architecture import Architecture, TaskShape
from nas.cli.measuring import at_workload, measure_table
from nas.cli.output import architecture_text
from nas.cli.progress import StepProgress
from nas.costs import costs_of
from nas.errors import MeasurementFailed
from nas.jobs.catalogue import submit
from nas.jobs.view import view_of
from nas.jobs.worker import Worker
from nas.latency.device import this_machine
from nas.latency.measure import measure
from nas.latency.table import LatencyTable
from nas.quality.datasets import load_dataset
from nas.quality.plan import TrainingPlan
from nas.quality.score import score_weights
from nas.quality.task_shapes import task_shape
from nas.quality.training import train
from nas.space import SearchSpace
from nas.store.store import Store
from nas.workload import Workload

DEVICE = "this-machine"
PROCESSES = 2
PATIENCE_S = 240.0
ATTEMPTS = 3
FULL = 3
"""So many times as long is the training in full, where other steps are asked for."""
console = Console(width=160)


@dataclass(frozen=True)
class Case:
    """A task, what is searched for it, and what is designed by hand."""

    space: str
    workload: Workload
    search: TrainingPlan
    """Of each candidate."""
    full: TrainingPlan
    """Of the front and of the ladder."""
    trials: int
    no_slower: bool
    """Whether no candidate may be slower than the slowest rung: the space has models ten times as slow."""
    rungs: tuple[Rung, ...]
    design: Callable[[Rung, TaskShape], Architecture]


CASES = {
    "language-identification": Case(
        space="text-encoder",
        workload=Workload(input_length=64),
        search=TrainingPlan(steps=300, batch_size=32),
        full=TrainingPlan(steps=1200, batch_size=32),
        trials=40,
        no_slower=False,
        rungs=ENCODERS,
        design=encoder,
    ),
    "python-docs": Case(
        space="causal-decoder",
        workload=Workload(input_length=96, output_length=16),
        search=TrainingPlan(steps=400, batch_size=8),
        full=TrainingPlan(steps=1200, batch_size=8),
        trials=40,
        no_slower=True,
        rungs=DECODERS,
        design=decoder,
    ),
}


@dataclass(frozen=True)
class Model:
    """A model of the front, of the ladder, or of both in part."""

    name: str
    architecture: Architecture


@dataclass(frozen=True)
class Judged:
    """A model with what it was found to be."""

    model: Model
    validation: tuple[float, ...]
    """Of each seed; smaller is better."""
    test: tuple[float, ...]
    latency_ms: float
    spread: float

    @property
    def chosen_by(self) -> float:
        """What models are chosen by: the mean over the seeds, on validation."""
        return statistics.fmean(self.validation)

    @property
    def tested(self) -> float:
        """The mean over the seeds, on test."""
        return statistics.fmean(self.test)


class Benchmark:
    """One case, and the folder that keeps what is known of it."""

    def __init__(self, dataset: str, case: Case, seeds: int, folder: Path) -> None:
        self.case, self.dataset, self.folder, self.seeds = case, dataset, folder, range(1, seeds + 1)
        self.info = load_dataset(dataset).info
        self.metric = self.info.metrics[0]
        self.shape = task_shape(self.info, self.case.workload)
        self.designed = [Model(rung.name, self.case.design(rung, self.shape)) for rung in self.case.rungs]

    # What is measured, searched and trained --------------------------------------------------------------------

    def table(self) -> LatencyTable:
        """Return this machine's latency table for the space, measured unless it is there."""
        file = self.folder / "table.json"
        if not file.exists():
            space = at_workload(SearchSpace.bundled(self.case.space), self.case.workload, self.dataset)
            table = measure_table(DEVICE, space, self.case.workload, afresh=True)
            file.write_text(json.dumps(table.to_dict()))
        return LatencyTable.from_dict(json.loads(file.read_text()))

    def front(self, table: LatencyTable) -> list[Model]:
        """Return the front of the job, searched as far as it is not yet."""
        store = Store.open(f"sqlite:///{self.folder}/value.db")
        store.migrate()
        if not any(device["name"] == DEVICE for device in store.devices()):
            store.put_device(table.device.model_dump(mode="json"))
            store.add_latency_table(DEVICE, table.to_dict())
        job, _ = submit(store, self.document(table), "value")
        if not job.state.is_final:
            console.print(f"searching: {self.case.trials} candidates, {self.case.search.steps} steps each")
            job = Worker(store, processes=PROCESSES).run_job(job.id)
        view = view_of(store, job)
        trials = sorted(store.trials_numbered(job.id, set(view.front)), key=lambda trial: trial.number)
        store.close()
        console.print(f"job {job.state} ({job.reason}): {len(trials)} on the front, hypervolume {view.hypervolume:.3f}")
        return [Model(f"trial {trial.number}", Architecture.from_dict(trial.architecture)) for trial in trials]

    def document(self, table: LatencyTable) -> dict[str, Any]:
        """Return the job document: no candidate has more parameters than the largest model of the ladder."""
        most = max(costs_of(model.architecture, self.case.workload).parameters for model in self.designed)
        limits = [f"parameters <= {most}"]
        if self.case.no_slower:
            slowest_ms = max(latency_ms for latency_ms, _ in self.latencies(self.designed, table).values())
            limits.append(f"latency_ms@{DEVICE} <= {slowest_ms:.3f}")
        return {
            "name": f"value: {self.dataset}",
            "search_space": self.case.space,
            "task": {
                "dataset": self.dataset,
                "metric": self.metric,
                "training": self.case.search.model_dump(include={"steps", "batch_size"}),
            },
            "workload": self.case.workload.model_dump(),
            "devices": [DEVICE],
            "objectives": [self.metric, f"latency_ms@{DEVICE}"],
            "constraints": limits,
            "budget": {"trials": self.case.trials},
            "sampler": "cost-aware",
            "seed": 0,
        }

    def trained(self, models: Sequence[Model]) -> dict[str, list[dict[str, Any]]]:
        """Return each architecture's full trainings by its id, one for each seed, trained unless they are known."""
        file = self.folder / "trainings.jsonl"
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        known = {(line["id"], line["seed"]): line for line in lines}
        wanted = {(model.architecture.id, seed): model for model in models for seed in self.seeds}
        missing = {key: model for key, model in wanted.items() if key not in known}
        largest_first = sorted(missing, key=lambda key: -costs_of(missing[key].architecture, self.case.workload).macs)
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(
            PROCESSES, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            futures = [
                pool.submit(train_in_full, self.dataset, self.case, missing[key].architecture.to_dict(), key[1])
                for key in largest_first
            ]
            for future in track(as_completed(futures), "full trainings", len(futures), console=console):
                line = future.result()
                known[line["id"], line["seed"]] = line
                with file.open("a") as lines_file:
                    lines_file.write(json.dumps(line) + "\n")
        return {model.architecture.id: [known[model.architecture.id, seed] for seed in self.seeds] for model in models}

    def judged(self, models: Sequence[Model], table: LatencyTable) -> list[Judged]:
        """Return the models trained in full and measured side by side, the fastest first."""
        scores = self.trained(models)
        latencies = self.latencies(models, table)
        found = [
            Judged(
                model,
                tuple(line["validation"][self.metric] for line in scores[model.architecture.id]),
                tuple(line["test"][self.metric] for line in scores[model.architecture.id]),
                *latencies[model.architecture.id],
            )
            for model in models
        ]
        return sorted(found, key=lambda judged: judged.latency_ms)

    def latencies(self, models: Sequence[Model], table: LatencyTable) -> dict[str, tuple[float, float]]:
        """Return latency in milliseconds and spread of each architecture, of one run of measuring."""
        ids = sorted(model.architecture.id for model in models)
        file = self.folder / f"measured-{hashlib.sha256(' '.join(ids).encode()).hexdigest()[:12]}.json"
        if file.exists():
            kept: dict[str, tuple[float, float]] = json.loads(file.read_text())
            return kept
        architectures = [model.architecture for model in models]
        device = this_machine().model_copy(update={"name": DEVICE})
        for attempt in range(ATTEMPTS):
            with StepProgress() as progress:
                found = measure(
                    architectures,
                    self.case.workload,
                    device,
                    reference=table,
                    seed=attempt,
                    patience_s=PATIENCE_S,
                    progress=progress,
                )
            disturbed = [one for one in found if not one.valid]
            if not disturbed:
                break
            console.print(f"{len(disturbed)} of {len(found)} were disturbed: {disturbed[0].reason}")
        else:
            raise MeasurementFailed("The machine is too busy to be measured: run this again, it goes on from here.")
        result = {one.architecture_id: (one.latency_ms, one.spread) for one in found}
        file.write_text(json.dumps(result))
        return result

    # What is told ------------------------------------------------------------------------------------------------

    def run(self, plot: Path | None) -> None:
        """Go the whole way."""
        self.folder.mkdir(parents=True, exist_ok=True)
        plans = f"search {self.case.search}; in full {self.case.full}, {len(self.seeds)} seeds"
        console.print(f"{self.dataset} {self.info.version}, space {self.case.space}, {self.case.workload.key}; {plans}")
        table = self.table()
        device = table.device
        console.print(f"{device.hardware}, {device.runtime} {device.runtime_version}, {device.precision}, 1 thread\n")
        front = self.front(table)
        judged = self.judged([*self.designed, *front], table)
        names = {model.name for model in self.designed}
        ladder = [one for one in judged if one.model.name in names]
        members = [one for one in judged if one.model.name not in names]
        self.print_models(judged)
        self.print_comparison(ladder, members)
        if plot:
            self.draw(ladder, members, plot)
        self.print_reasons(ladder, members, table)

    def print_models(self, judged: Sequence[Judged]) -> None:
        """Print every model."""
        table = Table(title=f"{self.metric} after {self.case.full.steps} steps, mean ± deviation between seeds")
        for column in ("model", "ms", "±", "parameters", "MACs", "validation", "test", "what it is"):
            table.add_column(column, justify="left" if column in ("model", "what it is") else "right")
        for one in judged:
            architecture = one.model.architecture
            costs = costs_of(architecture, self.case.workload)
            table.add_row(
                one.model.name,
                f"{one.latency_ms:.3f}",
                f"{one.spread:.1%}",
                f"{costs.parameters:,}",
                f"{costs.macs:,}",
                shown(one.validation),
                shown(one.test),
                architecture_text(architecture.to_dict()),
            )
        console.print(table)

    def print_comparison(self, ladder: Sequence[Judged], members: Sequence[Judged]) -> None:
        """Print the best member as fast as each rung, and the fastest member as good as it."""
        table = Table(title=f"front against ladder: {self.metric} on test, at equal latency and at equal validation")
        for column in ("rung", "ms", "its test", "best as fast", "ms", "test", "gain", "fastest as good", "ms", "test"):
            table.add_column(column, justify="left" if "rung" in column else "right")
        table.add_column("times as fast", justify="right")
        ratios, gains = [], []
        for rung in ladder:
            cells = [rung.model.name, f"{rung.latency_ms:.3f}", f"{rung.tested:.4f}"]
            best, fastest = best_as_fast(rung, members), fastest_as_good(rung, members)
            if best is None:
                cells += ["none", "", "", ""]
            else:
                gains.append(rung.tested - best.tested)
                cells += [best.model.name, f"{best.latency_ms:.3f}", f"{best.tested:.4f}", f"{gains[-1]:+.4f}"]
            if fastest is None:
                cells += ["none", "", "", ""]
            else:
                ratios.append(rung.latency_ms / fastest.latency_ms)
                cells += [
                    fastest.model.name,
                    f"{fastest.latency_ms:.3f}",
                    f"{fastest.tested:.4f}",
                    f"{ratios[-1]:.2f} ×",
                ]
            table.add_row(*cells)
        console.print(table)
        if gains:
            console.print(f"At equal latency {self.metric} is lower by {statistics.fmean(gains):.4f} on average.")
        if ratios:
            mean = math.exp(statistics.fmean(map(math.log, ratios)))
            console.print(
                f"At equal quality the front is {mean:.2f} times as fast (geometric mean of {len(ratios)} of "
                f"{len(ladder)} rungs; {min(ratios):.2f} to {max(ratios):.2f})."
            )

    def print_reasons(self, ladder: Sequence[Judged], members: Sequence[Judged], table: LatencyTable) -> None:
        """Print what the found models come to with one choice of the designed ones, and the other way round."""
        kinds = Counter(
            layer.attention for one in members for _, stack in one.model.architecture.stacks for layer in stack.layers
        )
        console.print(
            "attention of the front's layers: " + ", ".join(f"{n} × {kind}" for kind, n in kinds.most_common())
        )
        rung = ladder[len(ladder) // 2]
        best = best_as_fast(rung, members)
        if best is None:
            return
        designed, found = rung.model, best.model
        mixed = [
            Model(f"{found.name}, softmax", with_softmax(found.architecture)),
            Model(
                f"{designed.name}, attention of {found.name}",
                with_attention_of(designed.architecture, found.architecture),
            ),
        ]
        different = {model.architecture.id: model for model in (*mixed, designed, found)}
        result = Table(title=f"which choice made the difference: {self.metric} on test, milliseconds")
        for column in ("model", "ms", "validation", "test"):
            result.add_column(column, justify="left" if column == "model" else "right")
        for one in self.judged(list(different.values()), table):
            result.add_row(one.model.name, f"{one.latency_ms:.3f}", shown(one.validation), shown(one.test))
        console.print(result)

    def draw(self, ladder: Sequence[Judged], members: Sequence[Judged], path: Path) -> None:
        """Draw test quality against measured latency."""
        figure = go.Figure(
            [
                go.Scatter(
                    x=[one.latency_ms for one in found],
                    y=[one.tested for one in found],
                    error_y={"type": "data", "array": [deviation(one.test) for one in found]},
                    mode="markers+lines" if name == "designed by hand" else "markers",
                    marker={"size": 9},
                    name=name,
                )
                for name, found in (("designed by hand", ladder), ("front of one job", members))
            ]
        )
        figure.update_layout(
            title=f"{self.dataset}: test split, {len(self.seeds)} seeds, equal training",
            xaxis={"title": "measured latency, ms", "type": "log"},
            yaxis={"title": self.metric},
            template="plotly_white",
            width=760,
            height=480,
        )
        write_png(figure, path)


def train_in_full(dataset: str, case: Case, document: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train one architecture as all are trained, and score it on validation and test."""
    data = load_dataset(dataset)
    architecture = Architecture.from_dict(document)
    result = train(architecture, data, case.full, workload=case.workload, seed=seed)
    test = score_weights(architecture, result.state, data, "test", case.workload)
    scores = {"validation": result.metrics, "test": test}
    return {"id": architecture.id, "seed": seed, **scores, "cpu_s": round(result.cpu_s, 1)}


def best_as_fast(rung: Judged, members: Sequence[Judged]) -> Judged | None:
    """Return the member that is best on validation among those not slower than the rung."""
    fast = [one for one in members if one.latency_ms <= rung.latency_ms]
    return min(fast, key=lambda one: one.chosen_by, default=None)


def fastest_as_good(rung: Judged, members: Sequence[Judged]) -> Judged | None:
    """Return the fastest member that is not worse than the rung on validation."""
    good = [one for one in members if one.chosen_by <= rung.chosen_by]
    return min(good, key=lambda one: one.latency_ms, default=None)


def deviation(values: Sequence[float]) -> float:
    """Return the standard deviation between seeds, 0 of a single one."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def shown(values: Sequence[float]) -> str:
    """Return mean and deviation."""
    return f"{statistics.fmean(values):.4f} ± {deviation(values):.4f}"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataset", choices=tuple(CASES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, help="candidates of the job, in place of the usual ones")
    parser.add_argument("--steps", type=int, help="of a candidate's training; in full it is three times as many")
    parser.add_argument("--folder", type=Path, help="where to keep what is known (data/value/DATASET unless given)")
    parser.add_argument("--plot", type=Path, help="where to draw quality against latency, as PNG (needs chromium)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    folder = given.folder or Path("data/value") / given.dataset
    Benchmark(given.dataset, changed(CASES[given.dataset], given.trials, given.steps), given.seeds, folder).run(
        given.plot
    )


def changed(case: Case, trials: int | None, steps: int | None) -> Case:
    """Return the case with another budget, as for trying it out."""
    if trials is not None:
        case = replace(case, trials=trials)
    if steps is not None:
        plans = {"search": case.search.model_copy(update={"steps": steps})}
        plans["full"] = case.full.model_copy(update={"steps": FULL * steps})
        case = replace(case, **plans)
    return case


if __name__ == "__main__":
    main()
