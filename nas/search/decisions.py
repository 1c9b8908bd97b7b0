"""Decisions of a search space as Optuna's distributions and parameters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from nas.space import Decision
from nas.space.options import Value
from nas.space.walk import Chooser


def distribution_of(decision: Decision) -> BaseDistribution:
    """Return Optuna's distribution of a decision: numbers keep their order, as positions in the list."""
    return _distribution(decision.options, tuple(map(type, decision.options)))


@lru_cache(maxsize=4096)
def _distribution(options: tuple[Value, ...], kinds: tuple[type, ...]) -> BaseDistribution:
    """The same object for equal options, which Optuna copies once for a trial; `kinds` tells 1 from 1.0 and True."""
    if len(options) > 1 and all(issubclass(kind, int) for kind in kinds):
        return IntDistribution(0, len(options) - 1)
    return CategoricalDistribution(options)


def suggest(trial: optuna.Trial, decision: Decision) -> int:
    """Return the index of the option that a trial's sampler takes."""
    distribution = distribution_of(decision)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(decision.name, 0, distribution.high)
    return decision.options.index(trial.suggest_categorical(decision.name, decision.options))


def parameter_of(decision: Decision, index: int) -> Any:
    """Return what a trial's parameter is where the option of that index was taken."""
    return index if isinstance(distribution_of(decision), IntDistribution) else decision.options[index]


def chooser_of(parameters: Mapping[str, Any]) -> Chooser:
    """Return the chooser that takes what a trial's parameters say; it raises `KeyError` for one that is missing."""

    def choose(decision: Decision) -> int:
        taken = parameters[decision.name]
        return taken if isinstance(distribution_of(decision), IntDistribution) else decision.options.index(taken)

    return choose
