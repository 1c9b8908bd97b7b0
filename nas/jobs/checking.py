"""Checking a job's document while it is written: what is wrong with it, and what its metrics can reach.

Finds what `submit` would find, and submits nothing. A form that is half filled in is told what can be told by then: the
size of a space needs no dataset, and the reach of a cost no name of the job.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from nas.costs import cost_names
from nas.documents import to_yaml, validate
from nas.errors import InvalidInput, NotFound, Problem
from nas.jobs.catalogue import find_space, find_table, refuse_beyond, resolve
from nas.jobs.inventory import describe_table, size_text
from nas.jobs.own_data import is_ready, prepared_info
from nas.jobs.spaces import bounds_of, extremes_of, space_of
from nas.latency.extremes import extreme
from nas.latency.predict import LatencyPredictor
from nas.quality.datasets import DatasetInfo
from nas.quality.datasets.own.document import OwnData
from nas.quality.evaluators import EvaluatorSpec
from nas.quality.metrics import metric
from nas.quality.task_shapes import FAMILIES, task_shape
from nas.search.job import JobSpec
from nas.search.objectives import MetricInfo, cost_metrics, parse_constraint
from nas.space import SearchSpace
from nas.store.store import Store
from nas.workload import Workload

REACHES_KEPT = 64
MOST_DEVICES = 16
_LATER = "The file is read when the job is submitted: what depends on its content is checked then."


@dataclass
class _Parts:
    """What the reach of a job's metrics depends on; None where it is missing or wrong."""

    space: SearchSpace | None = None
    info: DatasetInfo | None = None
    evaluator: EvaluatorSpec | None = None
    workload: Workload | None = None
    tables: dict[str, tuple[int, LatencyPredictor]] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check(store: Store, document: Mapping[str, Any], evaluators: Collection[str] = ()) -> dict[str, Any]:
    """Return what is wrong with a job's document, its space, and every metric that it may name, with its reach.

    Writes nothing, and reads no file of a person's own that was not prepared before.
    """
    parts = _parts_of(store, document)
    problems: list[Problem] = []
    steps = None
    try:
        spec = JobSpec.from_document(document)
    except InvalidInput as error:
        named = {problem.field for problem in error.problems}
        found = (*parts.problems, *_problems_of_limits(parts, document))
        problems = [*error.problems, *(p for p in found if p.field not in named)]
    else:
        steps = spec.task.training.steps * spec.budget.trials
        try:
            if is_ready(store, spec.task.dataset):
                resolve(store, spec, evaluators)
        except InvalidInput as error:
            problems = list(error.problems)
    space = parts.space
    return {
        "valid": not problems,
        "errors": [problem.to_dict() for problem in problems],
        "notes": parts.notes,
        "search_space": None
        if space is None
        else {
            "name": space.name,
            "family": space.family,
            "size": space.size,
            "size_text": size_text(space.size),
        },
        "metrics": list(_metrics(parts)),
        "latency_tables": [_table(store, device, version) for device, (version, _) in parts.tables.items()],
        "training_steps": steps,
        "yaml": to_yaml(document),
    }


def _parts_of(store: Store, document: Mapping[str, Any]) -> _Parts:
    parts = _Parts()
    task = document.get("task")
    task = task if isinstance(task, Mapping) else {}

    def checked(check_it: Any, *arguments: Any) -> Any:
        try:
            return check_it(*arguments)
        except InvalidInput as error:
            parts.problems.extend(error.problems)
            return None

    if isinstance(given := document.get("search_space"), str | dict):
        parts.space = checked(find_space, store, given)
    if isinstance(dataset := task.get("dataset"), str | dict):
        named = checked(validate, OwnData, dataset, "task.dataset") if isinstance(dataset, dict) else dataset
        if named is not None and checked(is_ready, store, named):
            parts.info = checked(prepared_info, store, named)
        elif isinstance(named, OwnData):
            parts.notes.append(_LATER)
    if task.get("evaluator") is not None:
        parts.evaluator = checked(validate, EvaluatorSpec, task["evaluator"], "task.evaluator")
    if document.get("workload") is not None:
        parts.workload = checked(validate, Workload, document["workload"], "workload")
    devices = document.get("devices")
    if isinstance(devices, list) and all(isinstance(name, str) for name in devices):
        parts.devices = tuple(dict.fromkeys(devices))[:MOST_DEVICES]
    _fit_to_task(store, parts, dataset if isinstance(dataset, str) else "JOB.YAML")
    return parts


def _fit_to_task(store: Store, parts: _Parts, dataset: str) -> None:
    """Give the space the lengths and the vocabulary of the task, and find the tables that cover it."""
    space, info, workload = parts.space, parts.info, parts.workload
    if space is None or info is None or workload is None or FAMILIES[info.task] != space.family:
        return
    try:
        parts.space = space = space_of(space.to_document(), task_shape(info, workload))
    except InvalidInput as error:
        parts.problems.extend(error.problems)
        parts.workload = None  # nothing has a reach at such lengths
        return
    for index, name in enumerate(parts.devices):
        try:
            parts.tables[name] = find_table(store, name, workload, space, f"devices[{index}]", dataset)
        except InvalidInput as error:
            parts.problems.extend(error.problems)
        except NotFound:
            continue  # said by its field where the rest of the document can be read


def _problems_of_limits(parts: _Parts, document: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with each limit by itself, of a document that is wrong elsewhere too."""
    reaches = {described["name"]: described["reach"] for described in _metrics(parts)}
    given = document.get("constraints")
    if parts.info is None or parts.space is None or not isinstance(given, list):
        return
    known = {name: metric(name) for name in parts.info.metrics} if parts.evaluator is None else {}
    declared = parts.evaluator.as_metrics() if parts.evaluator is not None else known
    infos = {m.name: MetricInfo(m.name, m.label, m.direction, m.unit, False) for m in declared.values()}
    infos |= cost_metrics(parts.devices, parts.space.family)
    for index, text in enumerate(given):
        field_name = f"constraints[{index}]"
        try:
            if isinstance(text, str):
                limit = parse_constraint(text, field_name, infos)
                if (reach := reaches.get(limit.metric)) is not None:
                    refuse_beyond(parts.space.name, limit, field_name, (reach["lowest"], reach["highest"]))
        except InvalidInput as error:
            yield from error.problems


def _metrics(parts: _Parts) -> Iterator[dict[str, Any]]:
    declared = parts.evaluator.as_metrics() if parts.evaluator is not None else {}
    names = (*declared,) if declared else (parts.info.metrics if parts.info is not None else ())
    for name in names:
        known = declared.get(name) or metric(name)
        chance = parts.info.chance.get(name) if parts.info is not None and not declared else None
        yield _described(name, known.label.capitalize(), known.unit, known.direction, "quality", None, chance)
    if parts.space is None:
        return
    infos = cost_metrics(parts.devices, parts.space.family)
    for name in cost_names(parts.space.family):
        info = infos[name]
        yield _described(name, info.label, info.unit, info.direction, "cost", _reach_of_cost(parts, name))
    for device in parts.devices:
        info = infos[f"latency_ms@{device}"]
        found = parts.tables.get(device)
        reach = None if found is None else _reach_of_latency(found[1], parts.space)
        yield _described(info.name, info.label, info.unit, info.direction, "latency", reach)


def _described(
    name: str,
    label: str,
    unit: str,
    direction: str,
    kind: str,
    reach: tuple[float, float] | None,
    chance: float | None = None,
) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "unit": unit,
        "direction": direction,
        "kind": kind,
        "reach": None if reach is None else {"lowest": reach[0], "highest": reach[1]},
        "chance": chance,
    }


def _reach_of_cost(parts: _Parts, cost: str) -> tuple[float, float] | None:
    fits = parts.info is not None and parts.space is not None and FAMILIES[parts.info.task] == parts.space.family
    if not fits or parts.space is None or parts.workload is None:
        return None
    found = extremes_of(bounds_of(parts.space, parts.workload), cost)
    assert found is not None  # without limits there is always an architecture
    return found[0][0], found[1][0]


@lru_cache(maxsize=REACHES_KEPT)
def _reach_of_latency(predictor: LatencyPredictor, space: SearchSpace) -> tuple[float, float]:
    """Return the least and the greatest latency of the space; both are kept by their owners, so equal means same."""
    return extreme(predictor, space, least=True)[0], extreme(predictor, space, least=False)[0]


def _table(store: Store, device: str, version: int) -> dict[str, Any]:
    return next(describe_table(t) for t in store.latency_tables(device) if t.version == version)
