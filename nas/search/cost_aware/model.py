"""The model of the unknown objectives: one Gaussian process each, kept while what it rests on stays the same."""

from __future__ import annotations

import numpy as np

from nas.search.cost_aware.candidates import CandidateSource, Rows, Vector
from nas.search.cost_aware.gaussian_process import GaussianProcess, Hyperparameters, fit, standards
from nas.search.cost_aware.observations import Observations, checkpoint, learnt_from


class UnknownObjectives:
    """Models each unknown objective of a study apart from the others.

    Hyperparameters and the choice of observations follow from the first so many observations alone, as `checkpoint`
    says; they are kept between two proposals, and made again by a new process.
    """

    def __init__(self, source: CandidateSource, unknown: tuple[int, ...]) -> None:
        self._source, self.unknown = source, unknown
        self._kept: tuple[bytes, dict[int, tuple[Rows, Vector, Hyperparameters]]] | None = None

    def condition(self, observations: Observations, worst: Vector, running: Rows) -> list[GaussianProcess]:
        """Return the posteriors, in the order of `unknown`.

        `worst` (M,) stands for every worse value. Candidates that are `running` count as if they had given what the
        model expects of them (the Kriging believer of Ginsbourger, Le Riche and Carraro 2010), so that none like
        them are proposed while their results are awaited.
        """
        until = checkpoint(len(observations))
        bases = self._bases(observations, worst, until)
        groups = self._source.feature_groups
        later = self._source.features(observations.rows[until:])
        pending = self._source.features(running)
        result = []
        for k in self.unknown:
            x, y, hyperparameters = bases[k]
            x = np.concatenate([x, later])
            y = np.concatenate([y, np.minimum(observations.values[until:, k], worst[k])])
            process = GaussianProcess(x, y, groups, hyperparameters)
            if len(pending):
                x, y = np.concatenate([x, pending]), np.concatenate([y, process.predict(pending)[0]])
                process = GaussianProcess(x, y, groups, hyperparameters)
            result.append(process)
        return result

    def _bases(
        self, observations: Observations, worst: Vector, until: int
    ) -> dict[int, tuple[Rows, Vector, Hyperparameters]]:
        key = observations.numbers[:until].tobytes() + worst.tobytes()
        if self._kept is None or self._kept[0] != key:
            values = np.minimum(observations.values[:until], worst)
            bases = {}
            for k in self.unknown:
                chosen = learnt_from(values, k, self._source.known_objectives)
                x, y = self._source.features(observations.rows[:until][chosen]), values[chosen, k]
                mean, std = standards(y)
                bases[k] = (x, y, fit(x, (y - mean) / std, self._source.feature_groups))
            self._kept = (key, bases)
        return self._kept[1]
