"""Random candidates, evenly over what is known of them: the start of the cost-aware sampler, and a sampler itself."""

from __future__ import annotations

import numpy as np

from nas.errors import SpaceExhausted
from nas.search.cost_aware.choosing import Choice, ChoosingSampler
from nas.search.cost_aware.pool import STRATA, Pool
from nas.search.cost_aware.study_view import StudyView

GOLDEN = 0.6180339887498949
"""The additive recurrence with this step spreads any number of points evenly over 0 to 1 (Kronecker's sequence)."""


class CostStratifiedSampler(ChoosingSampler):
    """Proposes random candidates, spread evenly over the known objectives, each at most once."""

    def _choose(self, number: int, view: StudyView, pool: Pool) -> Choice:
        return stratified_choice(view, pool, self._rng(number), self._shift())


def stratified_choice(view: StudyView, pool: Pool, rng: np.random.Generator, shift: float) -> Choice:
    """Return an unseen candidate of the pool whose cost is about as far up as the next point of an even sequence."""
    unseen = pool.unseen(view.seen)
    if not len(unseen):
        raise SpaceExhausted("no unseen candidate that keeps the limits was found")
    target = (shift + GOLDEN * len(view.seen)) % 1.0
    distance = np.abs(pool.position[unseen] - target)
    near = np.argsort(distance, kind="stable")[: max(1, len(pool.rows) // STRATA)]
    inside = near[distance[near] <= max(0.5 / STRATA, distance[near[0]])]
    return Choice(np.asarray(pool.rows[unseen[rng.choice(inside)]]), {"by": "spread"})
