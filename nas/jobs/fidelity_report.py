"""The fidelity report of a job: how far the scores of its search can be trusted, and what trusting them cost.

Held against trainings in full, which `finish` makes: of a sample over all costs, drawn whatever the scores said, and
of the members of the front. Without them it says that nobody knows.
"""

from __future__ import annotations

import math
import statistics
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from threading import Lock
from typing import Any

import numpy as np

from nas.jobs.context import job_metrics
from nas.jobs.fidelity_words import APART, FEWEST, PARAMETERS, words_of
from nas.jobs.finish_plan import FinishPlan, plan_of, planned
from nas.jobs.seed_noise import SeedNoise, score_after, seed_noise
from nas.jobs.trained import TESTED, TRAINED, in_full, qualities
from nas.jobs.view import View, view_of
from nas.quality.fidelity import agreement, cost_strata
from nas.search.front import front_rows, hypervolume
from nas.search.job import JobSpec
from nas.search.objectives import MetricInfo
from nas.store.records import JobRecord, RetrainingKey, RetrainingRecord, RetrainingState, TrialRecord, TrialState
from nas.store.store import Store

STRATUM = 4
"""So many candidates make a stratum of cost; there are three at most."""
WIDTH, CONFIDENCE = "width only", "head confidence"
REPORTS_KEPT = 64

_reports: OrderedDict[tuple[Any, ...], dict[str, Any]] = OrderedDict()
_lock = Lock()


def fidelity_of(store: Store, job: JobRecord) -> dict[str, Any]:
    """Return the report (the Fidelity of the REST contract), under the job's own objectives and limits."""
    key = (store.address, job.id, store.last_sequence(job.id), job.state)
    with _lock:
        if key in _reports:
            _reports.move_to_end(key)
            return _reports[key]
    report = _Report(store, job, view_of(store, job)).to_dict()
    with _lock:
        _reports[key] = report
        while len(_reports) > REPORTS_KEPT:
            _reports.popitem(last=False)
    return report


class _Report:
    """Works out one report."""

    def __init__(self, store: Store, job: JobRecord, view: View) -> None:
        self._job, self._view = job, view
        self._spec = JobSpec.from_document(job.document["spec"])
        self._metric = self._spec.task.metric
        self._info: MetricInfo = job_metrics(self._spec, job.document)[self._metric]
        self._sign = -1.0 if self._info.direction == "maximize" else 1.0
        self._plan: FinishPlan | None = plan_of(job, view)
        there = planned(self._plan, view) if self._plan else {}
        self._records = there
        self._complete = {key: record for key, record in there.items() if record.state is RetrainingState.COMPLETE}
        told = {
            *view.front,
            *(key.trial for key in there),
            *((s.trial for s in self._plan.subjects) if self._plan else ()),
        }
        self._trials: dict[int, TrialRecord] = {trial.number: trial for trial in store.trials_numbered(job.id, told)}
        self._steps_taken = store.steps_taken(job.id)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values."""
        noise = self._noise()
        rungs, beside, judged = self._agreements()
        ties = self._ties(noise)
        report = {
            "status": self._status(),
            "metric": self._metric,
            "direction": self._info.direction,
            "steps": list(self._spec.ladder.steps),
            "full_steps": self._plan.steps if self._plan else None,
            "sample": list(judged),
            "rungs": rungs,
            "beside": beside,
            "beats_parameters": self._beats_parameters(rungs, beside),
            "noise": [asdict(each) for each in noise],
            "ties": ties,
            "promotion": self._promotion(),
            "finish": self._finish(),
        }
        return report | {"words": words_of(report, self._job.id)}

    def _status(self) -> str:
        if self._plan is None:
            return "unchecked"
        if not self._job.state.is_final:
            return "running"
        return "checked" if len(self._complete) == len(self._plan.keys) else "incomplete"

    # Rank agreement -----------------------------------------------------------------------------------------

    def _agreements(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]], tuple[int, ...]]:
        """Return the agreement of each rung, and of what costs no training, with training in full; and of whom."""
        firsts = self._firsts(self._plan.with_role("sample")) if self._plan else {}
        numbers = tuple(firsts)
        if self._plan is None or len(numbers) < FEWEST:
            return [], [], numbers
        final = [self._score(firsts[n], self._plan.steps) for n in numbers]
        costs = [self._trials[n].metrics["parameters_without_embeddings"] for n in numbers]
        strata = cost_strata(costs, max(1, min(3, len(numbers) // STRATUM)))

        def compared(proxy: Sequence[float | None]) -> dict[str, Any] | None:
            known = [i for i, value in enumerate(proxy) if value is not None]
            if len(known) < FEWEST:
                return None
            x = [float(value) for value in proxy if value is not None]
            y, groups = [final[i] for i in known], [strata[i] for i in known]
            within = _plain(agreement(x, y, groups)) if len(set(groups)) > 1 else None
            return {"overall": _plain(agreement(x, y)), "within_strata": within}

        rungs = [
            {"steps": steps, **found}
            for steps in self._plan.ladder.steps[:-1]
            if (found := compared([self._score(firsts[n], steps) for n in numbers]))
        ]
        free: dict[str, list[float | None]] = {
            PARAMETERS: [-cost for cost in costs],
            WIDTH: [-float(_width(self._trials[n].architecture)) for n in numbers],
            CONFIDENCE: [_negative((firsts[n].training or {}).get("head_confidence")) for n in numbers],
        }
        beside = [{"name": name, **found} for name, values in free.items() if (found := compared(values))]
        return rungs, beside, numbers

    def _firsts(self, trials: Sequence[int]) -> dict[int, RetrainingRecord]:
        """Return of each trial its complete training under the job's own seed, that of the search."""
        assert self._plan is not None
        keys = {n: RetrainingKey(n, self._plan.steps, self._spec.seed) for n in trials}
        return {n: self._complete[key] for n, key in keys.items() if key in self._complete}

    def _score(self, record: RetrainingRecord, steps: int) -> float:
        """Return the metric after so many steps, such that less is better."""
        return self._sign * score_after(record, self._metric, steps)

    def _beats_parameters(self, rungs: list[dict[str, Any]], beside: list[dict[str, Any]]) -> bool | None:
        """Return whether the longest of the search's trainings ranks better than parameters do; None if unknown."""
        last = next((r for r in rungs if r["steps"] == self._spec.ladder.steps[-1]), None)
        parameters = next((b for b in beside if b["name"] == PARAMETERS), None)
        if last is None or parameters is None:
            return None
        ours, theirs = last["overall"]["tau"], parameters["overall"]["tau"]
        return None if ours is None or theirs is None else ours > theirs

    # Noise and ties -----------------------------------------------------------------------------------------

    def _noise(self) -> list[SeedNoise]:
        return seed_noise(self._complete.values(), self._metric, self._plan.ladder.steps) if self._plan else []

    def _ties(self, noise: list[SeedNoise]) -> list[dict[str, Any]] | None:
        """Return of each member of the front whom of it the noise can't tell it from; None where it is unknown."""
        proxy = next((n for n in noise if n.steps == self._spec.ladder.steps[-1]), None)
        if proxy is None:
            return None
        values = {number: self._trials[number].metrics[self._metric] for number in self._view.front}
        tied = {
            one: [other for other in values if other != one and abs(value - values[other]) < APART * proxy.deviation]
            for one, value in values.items()
        }
        return [{"trial": number, "tied_with": others} for number, others in tied.items() if others]

    # What promotion saved, and what the proxy cost ----------------------------------------------------------

    def _promotion(self) -> dict[str, Any] | None:
        """Return the steps that the search trained, and those that it would have trained without promotion."""
        if not self._spec.ladder.last:
            return None
        scored = sum(t.state in (TrialState.COMPLETE, TrialState.STOPPED) for t in self._view.trials)
        taken, without = self._steps_taken, scored * self._spec.ladder.steps[-1]
        return {"steps_taken": taken, "steps_without": without, "saved": 1 - taken / without if without else 0.0}

    def _finish(self) -> dict[str, Any] | None:
        """Return the trained and tested figures, and what the search's choice lost against all that was trained."""
        if self._plan is None:
            return None
        members = []
        for subject in self._plan.subjects:
            trial = self._trials[subject.trial]
            known = {q["label"]: q for q in qualities(self._job, trial, self._records.values())}
            members.append(
                {
                    "trial": subject.trial,
                    "roles": list(subject.roles),
                    "on_front": subject.trial in self._view.front,
                    "parameters": trial.metrics["parameters"],
                    "proxy": trial.metrics[self._metric],
                    "trained": _figure(known.get(TRAINED), self._metric),
                    "tested": _figure(known.get(TESTED), self._metric),
                }
            )
        failed = [
            {"trial": key.trial, "seed": key.seed, "error": record.error}
            for key, record in self._records.items()
            if record.state is RetrainingState.FAILED
        ]
        return {"members": members, "failed": failed, "choice": self._choice()}

    def _choice(self) -> dict[str, Any] | None:
        """Return the regret of the search's front, and the hypervolume that it keeps, by the trained figures."""
        trained = {n: self._trained_values(n) for n in {key.trial for key in self._complete}}
        kept = [n for n, values in trained.items() if values is not None]
        chosen = [n for n in kept if n in self._view.front]
        if not chosen or self._metric not in {o.name for o in self._view.objectives}:
            return None
        objectives = self._view.objectives
        rows = {n: np.array([trained[n][o.name] for o in objectives], dtype=np.float64) for n in kept}  # type: ignore[index]
        maximise = [o.direction == "maximize" for o in objectives]
        best = [kept[i] for i in front_rows(np.array([rows[n] for n in kept]), maximise)]
        gaps = [max(0.0, gap) for n in best if (gap := self._gap(rows[n], [rows[c] for c in chosen])) is not None]
        reference = self._job.reference
        share = None
        if reference and all(o.name in reference["point"] for o in objectives):
            ends = [[reference[end][o.name] for o in objectives] for end in ("point", "ideal")]
            whole = hypervolume(np.array([rows[n] for n in kept]), maximise, *ends)
            share = hypervolume(np.array([rows[n] for n in chosen]), maximise, *ends) / whole if whole else None
        return {
            "trained": len(kept),
            "chosen": len(chosen),
            "regret": statistics.fmean(gaps) if gaps else None,
            "largest_regret": max(gaps) if gaps else None,
            "hypervolume_kept": share,
        }

    def _trained_values(self, number: int) -> Mapping[str, float] | None:
        """Return a trial's metrics with the mean trained figures in place of the proxy's; None if over a limit."""
        every = in_full(number, self._complete.values())
        names = every[0].scores[-1]["metrics"]
        means = {name: statistics.fmean(r.scores[-1]["metrics"][name] for r in every) for name in names}
        metrics = {**self._trials[number].metrics, **means}
        return None if any(c.violation(metrics) > 0 for c in self._view.constraints) else metrics

    def _gap(self, wanted: np.ndarray[Any, Any], chosen: Sequence[np.ndarray[Any, Any]]) -> float | None:
        """Return by how much the best of the chosen that costs no more is worse than `wanted`; None if none does."""
        objectives = self._view.objectives
        signs = np.array([-1.0 if o.direction == "maximize" else 1.0 for o in objectives])
        place = [o.name for o in objectives].index(self._metric)
        others = [i for i in range(len(objectives)) if i != place]
        worse = [(row - wanted) * signs for row in chosen]  # by how much, in each objective
        return min((float(by[place]) for by in worse if (by[others] <= 0).all()), default=None)


def _plain(found: Any) -> dict[str, Any]:
    """Return an agreement as JSON values: what is not a number is null."""
    return {n: None if isinstance(v, float) and not math.isfinite(v) else v for n, v in asdict(found).items()}


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


def _width(architecture: Mapping[str, Any]) -> int:
    """Return the hidden sizes of an architecture's stacks, summed."""
    stacks = [architecture[name] for name in ("encoder", "decoder") if name in architecture]
    return sum(int(stack["hidden_size"]) for stack in stacks)


def _figure(quality: Mapping[str, Any] | None, metric: str) -> dict[str, Any] | None:
    if quality is None:
        return None
    deviations = quality["deviations"]
    return {
        "mean": quality["metrics"][metric],
        "deviation": deviations[metric] if deviations else None,
        "seeds": quality["seeds"],
    }
