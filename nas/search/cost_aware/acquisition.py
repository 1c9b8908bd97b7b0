"""Expected hypervolume improvement of candidates of a source, from what is known and what is modelled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nas.search.cost_aware.candidates import CandidateSource, Rows, Vector
from nas.search.cost_aware.gaussian_process import GaussianProcess
from nas.search.cost_aware.improvement import cells_of, expected_hypervolume_improvement


class Acquisition:
    """What candidates would add to the hypervolume, the unknown objectives as the processes expect them."""

    def __init__(
        self,
        source: CandidateSource,
        signs: Vector,
        unknown: tuple[int, ...],
        processes: Sequence[GaussianProcess],
        front: Rows,
        reference: Vector,
    ) -> None:
        """`front` are candidates (F, G) that dominate, evaluated or running; `reference` (M,) is to be minimised.

        What a member of the front is worth is the processes' mean, not the value that was measured: of two noisy
        values the better one is often the luckier one.
        """
        self._source, self._processes = source, processes
        known = list(source.known_objectives)
        self._signs, self._unknown, self._unknown_signs = signs[known], unknown, signs[list(unknown)]
        self._order = [*unknown, *known]  # the level of the cells comes first
        self.front = front
        ordered = reference[self._order]
        mean = self._moments(front)[0]
        # Each objective in units of what lies between the best and the reference, so that no product leaves the range
        # of floating-point numbers
        gap = ordered - mean.min(axis=0) if len(mean) else np.zeros(len(ordered))
        self._unit = np.where(gap > 0, gap, 1.0)
        self._cells = cells_of(mean / self._unit, ordered / self._unit)
        self.work = sum(process.size for process in processes) + 4 * len(self._cells.levels) + 1
        """Arithmetic for one candidate, in units of an observation."""

    def _moments(self, rows: Rows) -> tuple[Rows, Rows]:
        """Return mean and standard deviation (N, M), unknown objectives first, all to be minimised."""
        mean, std = np.zeros((len(rows), len(self._order))), np.zeros((len(rows), len(self._order)))
        unknown = len(self._processes)
        if unknown:
            features = self._source.features(rows)
            for place, process in enumerate(self._processes):
                mean[:, place], std[:, place] = process.predict(features)
        mean[:, unknown:] = self._source.known(rows) * self._signs
        return mean, std

    def expected(self, row: Vector) -> dict[int, tuple[float, float]]:
        """Return mean and standard deviation of each unknown objective by its index, in the study's own direction."""
        mean, std = self._moments(row[None])
        return {
            k: (float(self._unknown_signs[place] * mean[0, place]), float(std[0, place]))
            for place, k in enumerate(self._unknown)
        }

    def gains(self, rows: Rows) -> Vector:
        """Return the expected hypervolume improvement (N,), 0 or more, in units of the acquisition's own."""
        mean, std = self._moments(rows)
        return expected_hypervolume_improvement(self._cells, mean / self._unit, std / self._unit)
