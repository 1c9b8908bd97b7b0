"""An Optuna sampler that chooses a whole candidate at once and remembers nothing that the study doesn't say."""

from __future__ import annotations

import logging
import threading
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from nas.search.cost_aware.candidates import CandidateSource, Vector, keys_of
from nas.search.cost_aware.pool import Pool, pool_of
from nas.search.cost_aware.study_view import StudyView

_log = logging.getLogger(__name__)

POOL_TRIALS = 256
"""A pool that isn't the whole space is made anew after so many trials."""


WHY = "cost_aware:why"
"""The trial's system attribute that says why its candidate was chosen."""


@dataclass(frozen=True)
class Choice:
    """The candidate of a trial."""

    row: Vector
    why: Mapping[str, Any]
    """Plain JSON values: `by`, and what else is to be told of it."""


class ChoosingSampler(BaseSampler):
    """Chooses one candidate of a source for each trial.

    What is proposed is a function of the seed, the trial's number and the trials that the study holds; whatever a
    sampler keeps between two trials is only kept to save time. So a new sampler goes on where another one ended.
    """

    def __init__(self, source: CandidateSource, *, seed: int = 0) -> None:
        """`source` has the candidates and what is known of them."""
        self._source, self._seed = source, seed
        self._view: StudyView | None = None
        self._study_name: str | None = None
        self._pools: tuple[int, Pool] | None = None
        self._chosen: dict[int, Vector] = {}  # of trials that have not ended
        self._parameters: dict[int, Mapping[str, Any]] = {}  # the same candidates, as Optuna's parameters
        self._lock = threading.Lock()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return nothing: which parameters a candidate has is known once it is chosen."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return the value of the trial's candidate, which is chosen when its first parameter is asked for.

        Raises `SpaceExhausted` where no unseen candidate keeps the limits, and `ValueError` for a parameter that the
        candidate doesn't have, a distribution without its value, or known objectives that the study doesn't have.
        """
        with self._lock:
            if trial.number not in self._chosen:
                view = self._viewed(study)
                view.read(study.get_trials(deepcopy=False), trial.number, self._chosen)
                choice = self._choose(trial.number, view, self._pool(trial.number))
                self._parameters[trial.number] = self._source.parameters_of(choice.row)
                self._chosen[trial.number] = choice.row
                study._storage.set_trial_system_attr(trial._trial_id, WHY, dict(choice.why))
            chosen = self._parameters[trial.number]
        if param_name not in chosen:
            raise ValueError(
                f"trial {trial.number} has no parameter {param_name!r}; its candidate has {', '.join(chosen) or 'none'}"
            )
        value = chosen[param_name]
        if not param_distribution._contains(param_distribution.to_internal_repr(value)):
            raise ValueError(f"the candidate's {param_name} is {value!r}, which {param_distribution} does not have")
        return value

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """End `study.optimize` where every candidate was proposed; with ask and tell the next ask says so."""
        with self._lock:
            view, pool = self._viewed(study), self._pool(trial.number)
            row = self._chosen.pop(trial.number, None)
            self._parameters.pop(trial.number, None)
            row = self._source.row_of(trial.params) if row is None else row
            if row is not None:
                view.seen.update(keys_of(row[None]))
            if not pool.complete or len(pool.unseen(view.seen)):
                return
        try:
            study.stop()
        except RuntimeError:  # Optuna refuses it outside of `optimize`, and has no way to ask whether one is inside
            _log.debug("every candidate was proposed")

    @abstractmethod
    def _choose(self, number: int, view: StudyView, pool: Pool) -> Choice:
        """Return the candidate of trial `number`: unseen, and keeping the limits.

        Raises `SpaceExhausted` if there is none.
        """

    def _viewed(self, study: Study) -> StudyView:
        if self._view is None or self._study_name != study.study_name:
            self._view, self._study_name = StudyView.of(self._source, study), study.study_name
        return self._view

    def _pool(self, number: int) -> Pool:
        """Return the pool of a trial, which follows from the seed and the trial's number."""
        epoch = number // POOL_TRIALS
        if self._pools is None or (self._pools[0] != epoch and not self._pools[1].complete):
            self._pools = (epoch, pool_of(self._source, np.random.default_rng((self._seed, epoch))))
        return self._pools[1]

    def _rng(self, number: int) -> np.random.Generator:
        return np.random.default_rng((self._seed, number, 1))

    def _shift(self) -> float:
        return float(np.random.default_rng((self._seed, 0, 2)).random())
