"""A job as an Optuna study in a database of its own: for optuna-dashboard, and whatever else reads such studies.

The parameters are the decisions of the search space by their names, with values that a person can read; what else is
known of a trial stands in its user attributes. Trials keep their numbers. The study is a copy of the job; another job
may start from the architectures of its front, whoever found them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from nas.architecture import Architecture
from nas.errors import Conflict, InvalidInput, PocketformerError
from nas.search.objectives import Constraint
from nas.space import Decision, SearchSpace

Document = Mapping[str, Any]
"""Plain JSON values as the REST API gives them."""

STATES = {
    "running": TrialState.RUNNING,
    "complete": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "skipped": TrialState.FAIL,
    "failed": TrialState.FAIL,
}
"""Optuna's states by ours. It has none for a candidate that was never trained: `skip_reason` says so."""
ATTRIBUTES = ("architecture_id", "skip_reason", "same_as", "error", "stop_reason", "recalled", "rungs", "architecture")


def export_study(
    job: Document,
    space: SearchSpace,
    trials: Iterable[Document],
    storage: str,
    name: str | None = None,
    on_trial: Callable[[], None] | None = None,
) -> str:
    """Write a job and its trials as a study into a database; return the study's name, the job's id by default.

    `storage` is an SQLAlchemy URL, as `sqlite:///study.db`. Raises `Conflict` if a study has that name there,
    `InvalidInput` for a URL that no database can be reached under, `PocketformerError` if writing fails.
    """
    name = name or str(job["id"])
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        opened = _open(storage)
        study = _created(opened, job, name)
        for trial in trials:
            architecture = Architecture.from_dict(trial["architecture"])
            if space.task_shape != architecture.task_shape:
                space = space.for_task(architecture.task_shape)
            params = readable_parameters(space, architecture)
            study.add_trial(_frozen(job, trial, *params))
            if on_trial is not None:
                on_trial()
    except StorageInternalError as error:
        raise PocketformerError(f"The study {name} was not written to the end: {error}") from error
    finally:
        optuna.logging.set_verbosity(verbosity)
    return name


def _open(storage: str) -> optuna.storages.RDBStorage:
    try:
        return optuna.storages.RDBStorage(storage)
    except (SQLAlchemyError, ImportError, ValueError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        raise InvalidInput.of(
            "optuna", without_password(storage), "a database's URL, like sqlite:///study.db", f"correct it ({first})"
        ) from error


def best_of_study(storage: str, name: str | None, space: SearchSpace) -> list[dict[str, Any]]:
    """Return the architectures on a study's front, as documents; of a study with parameters like those that we write.

    `name` may be left out where the database has one study. Raises `InvalidInput` for a database that can't be read, a
    study that is not there or has nobody on its front, or a trial whose parameters are no choices of the space.
    """
    study = _loaded(storage, name)
    best = study.best_trials
    if not best:
        raise InvalidInput.of(
            "name", study.study_name, "a study with a complete trial within its limits", "name another study"
        )
    return [_architecture_of(trial, space) for trial in best]


def _loaded(storage: str, name: str | None) -> optuna.Study:
    try:
        url = make_url(storage)
        if url.get_backend_name() == "sqlite" and not (url.database and Path(url.database).is_file()):
            raise FileNotFoundError(f"there is no file {url.database}")
        opened = optuna.storages.RDBStorage(storage, skip_table_creation=True)
        names = optuna.get_all_study_names(opened)
    except (SQLAlchemyError, ImportError, ValueError, RuntimeError, OSError, StorageInternalError) as error:
        raise InvalidInput.of(
            "optuna",
            without_password(storage),
            "the URL of a database with studies of Optuna, like sqlite:///study.db",
            f"correct it ({str(error).splitlines()[0]})",
        ) from error
    if name is None and len(names) == 1:
        name = names[0]
    if name not in names:
        raise InvalidInput.of("name", name, ", ".join(names) or "no study is there", "name one of these studies")
    return optuna.load_study(study_name=name, storage=opened)


def _architecture_of(trial: FrozenTrial, space: SearchSpace) -> dict[str, Any]:
    kept = trial.user_attrs.get("architecture")
    if kept is not None:
        return Architecture.from_dict(kept, f"trial {trial.number}: architecture").to_dict()

    def choose(decision: Decision) -> int:
        if decision.name not in trial.params:
            raise InvalidInput.of(
                f"trial {trial.number}: {decision.name}", None, _listed(decision), f"the space {space.name} asks for it"
            )
        value = trial.params[decision.name]
        if value not in decision.options:
            raise InvalidInput.of(
                f"trial {trial.number}: {decision.name}", value, _listed(decision), "search the space of the study"
            )
        return decision.options.index(value)

    return space.walk(choose).to_dict()


def _listed(decision: Decision) -> str:
    return ", ".join(map(str, decision.options))


def without_password(storage: str) -> str:
    """Return a database's URL as it may be shown."""
    try:
        return make_url(storage).render_as_string(hide_password=True)
    except ArgumentError:
        return storage  # no URL at all


def _created(storage: optuna.storages.RDBStorage, job: Document, name: str) -> optuna.Study:
    try:
        study = optuna.create_study(
            storage=storage, study_name=name, directions=[objective["direction"] for objective in job["objectives"]]
        )
    except optuna.exceptions.DuplicatedStudyError as error:
        raise Conflict(f"There is a study named {name!r} in that database already: give another name.") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([objective["name"] for objective in job["objectives"]])
    for key in ("id", "name", "document", "reference"):
        study.set_user_attr(f"pocketformer:{key}", job[key])
    return study


def _frozen(
    job: Document, trial: Document, params: dict[str, Any], distributions: dict[str, BaseDistribution]
) -> FrozenTrial:
    state = STATES[trial["state"]]
    metrics = trial["metrics"]
    limits = [Constraint(c["text"], c["metric"], c["operator"], c["limit"]) for c in job["constraints"]]
    frozen = create_trial(
        state=state,
        values=[metrics[o["name"]] for o in job["objectives"]] if state is TrialState.COMPLETE else None,
        params=params,
        distributions=distributions,
        user_attrs={
            **metrics,
            **{key: trial[key] for key in ATTRIBUTES if trial[key] not in (None, [])},
            "state": trial["state"],
            "on_front": trial["on_front"],
            **_trained_in_full(trial["qualities"]),
        },
        constraints={c.text: c.violation(metrics) for c in limits if c.metric in metrics} or None,
    )
    frozen.datetime_start = _local(trial["started_at"])
    frozen.datetime_complete = _local(trial["finished_at"]) if state.is_finished() else None
    return frozen


def _trained_in_full(qualities: Sequence[Document]) -> dict[str, float]:
    """Return the figures after training in full by name and label, as `error_rate (tested)`."""
    return {
        f"{name} ({quality['label']})": value
        for quality in qualities
        if quality["label"] != "proxy"
        for name, value in quality["metrics"].items()
    }


def readable_parameters(
    space: SearchSpace, architecture: Architecture
) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """Return the decisions that lead to an architecture as Optuna's parameters, by the values that were chosen.

    Raises `InvalidInput` for an architecture outside the space.
    """
    params: dict[str, Any] = {}
    distributions: dict[str, BaseDistribution] = {}
    follow = space.follow(architecture)

    def choose(decision: Decision) -> int:
        index = follow(decision)
        distributions[decision.name] = _readable_distribution(decision)
        params[decision.name] = decision.options[index]
        return index

    space.walk(choose)
    return params, distributions


def _readable_distribution(decision: Decision) -> BaseDistribution:
    """Return numbers with equal steps between them as a range, anything else as a set."""
    options = decision.options
    if len(options) > 1 and all(isinstance(option, int) and not isinstance(option, bool) for option in options):
        steps = {after - before for before, after in pairwise(options)}  # type: ignore[operator]
        if len(steps) == 1 and min(steps) > 0:
            return IntDistribution(int(options[0]), int(options[-1]), step=steps.pop())
    return CategoricalDistribution(options)


def _local(text: str | None) -> datetime | None:
    """Return a time of the REST API as Optuna keeps them: local, without saying so."""
    return None if text is None else datetime.fromisoformat(text).astimezone().replace(tzinfo=None)
