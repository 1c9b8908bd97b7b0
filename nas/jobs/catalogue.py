"""Submitting a job: everything that its document names is found, pinned and checked before it is acknowledged."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from nas.costs import COST_NAMES, Bounds, Limit
from nas.costs.bounds import PEAK
from nas.documents import validate
from nas.errors import Conflict, InvalidInput, NotFound, PocketformerError, Problem
from nas.jobs.context import BOUND_OF_METRIC, JobContext, predictor_of, tables_at
from nas.jobs.own_data import kept_name, pin, prepared_info
from nas.jobs.spaces import bounds_of, extremes_of, space_of
from nas.jobs.starting import start_of
from nas.latency.extremes import extreme
from nas.latency.measurement import PROTOCOL
from nas.latency.predict import LatencyPredictor
from nas.quality.datasets import DatasetInfo
from nas.quality.evaluators import check_allowed
from nas.quality.task_shapes import FAMILIES, task_shape
from nas.search.finish import Finish
from nas.search.job import JobSpec
from nas.search.objectives import Constraint
from nas.space import SearchSpace
from nas.store.keys import Owner
from nas.store.records import JobRecord, JobState, LatencyTableRecord
from nas.store.store import Store
from nas.workload import Workload
from search_spaces import bundled


def submit(
    store: Store,
    document: Any,
    idempotency_key: str | None = None,
    *,
    evaluators: Collection[str] = (),
    owner: Owner | None = None,
) -> tuple[JobRecord, bool]:
    """Check a job document, pin what it names, and queue it; return the job and whether it is a new one.

    `evaluators` are the functions that the job may name as its own; they are not imported here. `owner` is whose job it
    counts as. Raises `InvalidInput` with a problem for each wrong field and writes nothing then; `Conflict` when the
    idempotency key was used for another document, `QuotaExceeded`.
    """
    spec = JobSpec.from_document(document)
    if idempotency_key is not None and owner is not None:  # what others chose is theirs
        idempotency_key = f"{owner.key_id}:{idempotency_key}"
    if idempotency_key is not None and (earlier := store.job_with_key(idempotency_key)) is not None:
        # A retry is answered by what was submitted, even if a newer latency table would be pinned today
        if JobSpec.from_document(earlier.document["spec"]) != spec:
            raise Conflict(f"The idempotency key {idempotency_key!r} was used for another job, {earlier.id}.")
        return earlier, False
    resolved = resolve(store, spec, evaluators)
    info = prepared_info(store, spec.task.dataset)
    name = kept_name(info.name, info.sha256, pin(store, spec.task.dataset))
    store.put_dataset(name, info.version, info.sha256, info.to_dict())
    return store.add_job(spec.name, resolved, idempotency_key, spec.priority, owner)


def finish(store: Store, job_id: str, document: Any, owner: Owner | None = None) -> JobRecord:
    """Ask for a job that has ended to be finished: the front and a sample trained in full, as `document` says.

    Raises `NotFound`, `InvalidInput` for the document, `Conflict` where no candidate was evaluated, `IllegalMove`
    for a job that has not ended.
    """
    asked = validate(Finish, document)
    counts = store.counts(store.job(job_id).id)
    if not counts.complete:
        raise Conflict(f"The job {job_id} has no complete trial: there is nothing to train in full.")
    return store.request_finish(job_id, asked.model_dump(mode="json"), owner)


def retry(store: Store, job_id: str, owner: Owner | None = None) -> JobRecord:
    """Have the search of a job that failed or was cancelled go on from where it ended.

    Raises `NotFound`, `IllegalMove` for a job in another state, and `Conflict` where its budget has been used up.
    """
    job = store.job(job_id)
    counts = store.counts(job.id)
    budget = int(job.document["spec"]["budget"]["trials"])
    if job.state in (JobState.FAILED, JobState.CANCELLED) and counts.evaluated >= budget:
        raise Conflict(
            f"The job {job_id} has used up its budget of {budget} trials, {counts.failed} of which failed: submit it "
            "again, with a larger budget or after mending what made them fail."
        )
    return store.retry_job(job_id, owner)


def resolve(store: Store, spec: JobSpec, evaluators: Collection[str] = ()) -> dict[str, Any]:
    """Return the document that is kept: the job as given and, pinned, everything that it names.

    Raises `InvalidInput` with every problem found, not only the first.
    """
    problems: list[Problem] = []

    def checked(check: Any, *arguments: Any) -> Any:
        try:
            return check(*arguments)
        except InvalidInput as error:
            problems.extend(error.problems)
            return None

    if spec.task.evaluator is not None:
        checked(check_allowed, spec.task.evaluator.function, evaluators)
    space = checked(find_space, store, spec.search_space)
    info = checked(prepared_info, store, spec.task.dataset)
    if info is not None:
        checked(_check_metric, spec, info)
        shape = checked(task_shape, info, spec.workload)
    devices = [checked(_check_device, store, name, i) for i, name in enumerate(spec.devices)]
    if space is not None and info is not None:
        checked(_check_family, space, info)
    if space is not None and info is not None and not problems:
        space = space_of(space.to_document(), shape)
        measured_for = spec.task.dataset if isinstance(spec.task.dataset, str) else "JOB.YAML"
        tables = [
            checked(find_table, store, name, spec.workload, space, f"devices[{i}]", measured_for)
            for i, name in enumerate(spec.devices)
        ]
        if all(devices) and all(tables):
            versions = {name: table[0] for name, table in zip(spec.devices, tables, strict=True)}
            document = {
                "spec": spec.to_document(),
                "search_space": space.to_document(),
                "dataset": {
                    "name": info.name,
                    "version": info.version,
                    "sha256": info.sha256,
                    "metrics": list(info.metrics),
                    "pinned": pin(store, spec.task.dataset),
                },
                "task_shape": asdict(shape),
                "latency_tables": versions,
            }
            context = checked(JobContext.load, store, document)
            if context is not None:
                bounds = bounds_of(context.space, spec.workload)
                checked(reference_of, context, info, bounds)
                for index, constraint in enumerate(context.constraints):
                    checked(_check_reachable, context, bounds, constraint, f"constraints[{index}]")
                if not problems:
                    checked(_check_reachable_together, context, bounds)
                if not problems and (start := checked(start_of, store, context)):
                    document["start"] = start
            if not problems:
                return document
    raise InvalidInput(problems)


def find_space(store: Store, given: str | dict[str, Any]) -> SearchSpace:
    """Return an inline, bundled or submitted space; raise `InvalidInput` naming the known ones."""
    if isinstance(given, dict):
        return space_of(given)
    if given in bundled():
        return space_of(bundled()[given])
    try:
        return space_of(store.search_space(given))
    except NotFound as error:
        known = [*bundled(), *(document["name"] for document in store.search_spaces())]
        raise InvalidInput.of(
            "search_space", given, ", ".join(known), "name one of these, or give the space inline"
        ) from error


def find_table(
    store: Store, device: str, workload: Workload, space: SearchSpace, field: str, dataset: str
) -> tuple[int, LatencyPredictor]:
    """Return the version and predictor of the device's newest table that covers the space at the workload.

    Raises `InvalidInput` saying what the device has instead, and the command that measures what is missing.
    """
    measure = (
        f"measure it: nas device profile {device} --space {space.name} --dataset {dataset} --batch {workload.batch} "
        f"--input-length {workload.input_length} --output-length {workload.output_length}"
    )
    fitting = tables_at(store, device, workload)
    if not fitting:
        has = sorted({_named(t) for t in store.latency_tables(device)})
        raise InvalidInput.of(
            field,
            f"{device} at {workload.key}",
            f"a device with a latency table for this workload ({device} has: {'; '.join(has) or 'none'})",
            measure,
        )
    missing: list[str] = []
    for record in fitting:
        predictor = predictor_of(store, device, record.version)
        lacks = predictor.missing(space)
        if not lacks:
            return record.version, predictor
        missing = missing or lacks
    raise InvalidInput.of(
        field,
        f"{device} at {workload.key}",
        f"a latency table that covers the space {space.name} "
        f"(the newest lacks {len(missing)} entries, {missing[0]} among them)",
        measure,
    )


def _named(table: LatencyTableRecord) -> str:
    old = table.summary.get("protocol", PROTOCOL) != PROTOCOL
    return table.workload_key + (" by an earlier measuring protocol" if old else "")


def _check_metric(spec: JobSpec, info: DatasetInfo) -> None:
    evaluator = spec.task.evaluator
    known, owner = (info.metrics, info.name) if evaluator is None else (tuple(evaluator.metrics), evaluator.function)
    if spec.task.metric not in known:
        raise InvalidInput.of("task.metric", spec.task.metric, ", ".join(known), f"name a metric of {owner}")


def _check_family(space: SearchSpace, info: DatasetInfo) -> None:
    """Refuse a space whose models do not do what the dataset asks for."""
    family = FAMILIES[info.task]
    if space.family != family:
        fitting = [n for n, document in bundled().items() if document["family"] == family]
        raise InvalidInput.of(
            "search_space",
            f"{space.name} (family {space.family})",
            f"a space of family {family} ({', '.join(fitting)}), for the {info.task} of {info.name}",
            "name one of these; `nas space list` shows the family of each",
        )


def _check_device(store: Store, name: str, index: int) -> dict[str, Any]:
    try:
        return store.device(name)
    except NotFound as error:
        known = ", ".join(str(device["name"]) for device in store.devices()) or "none yet"
        raise InvalidInput.of(
            f"devices[{index}]",
            name,
            f"a device that was added ({known})",
            f"measure it: nas device profile {name} --space NAME --input-length N",
        ) from error


def _check_reachable(context: JobContext, bounds: Bounds, constraint: Constraint, field: str) -> None:
    """Refuse a limit that no architecture of the space can meet, naming the nearest reachable value."""
    reachable = reach_of(context, bounds, constraint.metric)
    if reachable is not None:
        refuse_beyond(context.space.name, constraint, field, reachable)


def _check_reachable_together(context: JobContext, bounds: Bounds) -> None:
    """Refuse limits on costs that can each be met, but not all by one architecture.

    Names the first limit that can't be met beside those before it, and the nearest value that can.
    """
    kept: list[Constraint] = []
    for index, constraint in enumerate(context.constraints):
        if constraint.metric not in COST_NAMES or (constraint.metric == PEAK and constraint.operator == ">="):
            continue
        beside = tuple(Limit(c.metric, c.limit, c.operator == "<=") for c in kept)
        found = extremes_of(bounds, constraint.metric, beside)
        assert found is not None  # those before it were found to go together
        words = f" together with {' and '.join(c.text for c in kept)}" if kept else ""
        reachable = (found[0][0], found[1][0])
        refuse_beyond(context.space.name, constraint, f"constraints[{index}]", reachable, words)
        kept.append(constraint)


def refuse_beyond(
    space: str, constraint: Constraint, field: str, reachable: tuple[float, float], beside: str = ""
) -> None:
    """Raise `InvalidInput` for a limit out of reach, naming the nearest that is not; `beside` are those it is with."""
    lowest, highest = reachable
    nearest, side = (lowest, "lowest") if constraint.operator == "<=" else (highest, "highest")
    kept = nearest <= constraint.limit if constraint.operator == "<=" else nearest >= constraint.limit
    if not kept:
        word = "at least" if side == "lowest" else "at most"
        shown = nearest if isinstance(nearest, int) else _rounded(nearest, up=side == "lowest")
        raise InvalidInput.of(
            field,
            constraint.text,
            f"a limit of {word} {shown} ({side} {constraint.metric} that the space {space} reaches{beside})",
            f"change the limit to {constraint.metric} {constraint.operator} {shown}, or use another space",
        )


def _rounded(value: float, up: bool) -> float:
    """Return `value` with five digits, rounded so that it stays reachable."""
    scale = 10.0 ** (4 - math.floor(math.log10(abs(value)))) if value else 1.0
    return (math.ceil if up else math.floor)(value * scale) / scale


def reach_of(context: JobContext, bounds: Bounds, metric: str) -> tuple[float, float] | None:
    """Return the lowest and highest value of a metric over the job's space, or None where it isn't known."""
    if metric in COST_NAMES:
        found = extremes_of(bounds, metric)
        assert found is not None  # without limits there is always an architecture
        return found[0][0], found[1][0]
    device = metric.partition("@")[2]
    if device not in context.predictors:
        return None
    bound = BOUND_OF_METRIC[metric.partition("@")[0]]
    least, most = (
        extreme(context.predictors[device], context.space, least=least, bound=bound)[0] for least in (True, False)
    )
    return least, most


def reference_of(context: JobContext, info: DatasetInfo, bounds: Bounds | None = None) -> dict[str, dict[str, float]]:
    """Return the point that hypervolume is measured against and the ideal one, by objective.

    Costs run from the lowest reachable value to the limit, or to the highest reachable value where there is no
    limit; a quality from 0 to that of a model that ignores its input; what an evaluator returns as the job declares.
    """
    bounds = bounds or bounds_of(context.space, context.spec.workload)
    point: dict[str, float] = {}
    ideal: dict[str, float] = {}
    evaluator = context.spec.task.evaluator
    for objective in context.objectives:
        reachable = reach_of(context, bounds, objective.name)
        if reachable is not None:
            limits = [c.limit for c in context.constraints if c.metric == objective.name and c.operator == "<="]
            ideal[objective.name], point[objective.name] = reachable[0], min([reachable[1], *limits])
        elif evaluator is not None and objective.name in evaluator.metrics:
            declared = evaluator.metrics[objective.name]
            ideal[objective.name], point[objective.name] = declared.best, declared.worst
        elif objective.name in info.chance:
            ideal[objective.name], point[objective.name] = 0.0, info.chance[objective.name]
        else:
            raise PocketformerError(f"the objective {objective.name} has no reference point")
    return {"point": point, "ideal": ideal}
