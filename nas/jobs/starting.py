"""Starting a job: the architectures that come before those of its sampler, found and checked when it is submitted."""

from __future__ import annotations

from typing import Any

from nas.architecture import Architecture
from nas.errors import InvalidInput, NotFound, Problem
from nas.jobs.context import JobContext
from nas.jobs.view import view_of
from nas.store.store import Store


def start_of(store: Store, context: JobContext) -> list[dict[str, Any]]:
    """Return the architectures that a job starts from, each once, as documents in the job's task shape.

    Those that a person gives come first and have to be in the space and within the limits on what is known. Of the
    fronts of earlier jobs those count that are. Raises `InvalidInput` with a problem for each that can't be had.
    """
    found: dict[str, Architecture] = {}
    problems: list[Problem] = []
    for index, given in enumerate(context.spec.start.architectures):
        try:
            architecture = _given(context, given, f"start.architectures[{index}]")
            found.setdefault(architecture.id, architecture)
        except InvalidInput as error:
            problems.extend(error.problems)
    for index, job_id in enumerate(context.spec.start.jobs):
        try:
            for architecture in _front(store, context, job_id, f"start.jobs[{index}]"):
                found.setdefault(architecture.id, architecture)
        except InvalidInput as error:
            problems.extend(error.problems)
    if problems:
        raise InvalidInput(problems)
    return [architecture.to_dict() for architecture in found.values()]


def _given(context: JobContext, document: dict[str, Any], field: str) -> Architecture:
    """Return an architecture that a person gives, alone or in a downloaded configuration."""
    inner = document.get("architecture")
    value, field = (document, field) if inner is None else (inner, f"{field}.architecture")
    architecture = _in_shape(context, Architecture.from_dict(value, field), field)
    if architecture not in context.space:
        raise InvalidInput.of(
            field,
            architecture.id,
            f"an architecture of the space {context.space.name} for {context.space.task_shape}",
            "leave it out, or widen the space by its choices: `nas space show` prints the document to edit",
        )
    if broken := _broken(context, architecture):
        raise InvalidInput.of(
            field, architecture.id, f"an architecture within the limits ({broken})", "leave it out, or ease the limit"
        )
    return architecture


def _in_shape(context: JobContext, architecture: Architecture, field: str) -> Architecture:
    shape = context.space.task_shape
    if architecture.task_shape == shape or architecture.family != context.space.family:
        return architecture
    try:
        return architecture.for_task(shape)
    except InvalidInput as error:
        raise error.under(field) from error


def _broken(context: JobContext, architecture: Architecture) -> str:
    """Return the limits on known costs that an architecture breaks, in words."""
    costs = context.costs(architecture)
    broken = [c for c in context.constraints if c.metric in costs and c.violation(costs) > 0]
    return ", ".join(f"{c.text}: it has {costs[c.metric]:g}" for c in broken)


def _front(store: Store, context: JobContext, job_id: str, field: str) -> list[Architecture]:
    """Return the members of a job's front that stand in the space, within the limits."""
    try:
        job = store.job(job_id)
    except NotFound as error:
        raise InvalidInput.of(field, job_id, "the id of a job of this server", "see `nas jobs list`") from error
    members = store.trials_numbered(job.id, view_of(store, job).front)
    architectures = [Architecture.from_dict(trial.architecture) for trial in members]
    fitting = []
    for architecture in architectures:
        if architecture.family == context.space.family:
            shaped = _in_shape(context, architecture, field)
            if shaped in context.space and not _broken(context, shaped):
                fitting.append(shaped)
    if not fitting:
        raise InvalidInput.of(
            field,
            job_id,
            f"a job whose front (of {len(members)}) has a member in the space {context.space.name} within the limits",
            "leave it out, or search the space that it searched",
        )
    return fitting
