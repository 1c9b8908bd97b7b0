"""The cost-aware sampler: a model of what is unknown, and exactness in what is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nas.errors import SpaceExhausted
from nas.search.cost_aware.acquisition import Acquisition
from nas.search.cost_aware.candidates import CandidateSource, Rows, Vector, distinct, keys_of
from nas.search.cost_aware.choosing import Choice, ChoosingSampler
from nas.search.cost_aware.model import UnknownObjectives
from nas.search.cost_aware.observations import Observations, checkpoint, reference_of
from nas.search.cost_aware.pool import Pool
from nas.search.cost_aware.stratified import stratified_choice
from nas.search.cost_aware.study_view import StudyView
from nas.search.front import front_rows

STARTUP = 10
"""Candidates that are proposed evenly over the costs before the model is asked. As Optuna's TPE has it."""
WORK = 400_000
"""Candidates looked at for one proposal, times the observations learnt from and the boxes of the front."""
MOST_CANDIDATES = 6_000
FRONT_PARENTS = 16
"""Members of the front whose neighbours are candidates."""
CLIMBS = 3
"""Times that the neighbours of the best candidates join them, while that finds a better one."""
CLIMBERS = 8
NEIGHBOURS_KEPT = 4_096


class CostAwareSampler(ChoosingSampler):
    """Proposes the candidate with the greatest expected hypervolume improvement, where some objectives are known.

    The other objectives are modelled by Gaussian processes over the candidates' features, one each. Candidates are the
    whole space where it is small, else a pool spread over the costs; with the neighbours of the front's members, and
    of the best candidates again. None that a trial had, or that breaks a limit on what is known, is proposed.

    Usable in any study of one or more objectives; see docs/search.md. What is proposed follows from the seed, the
    trial's number and the trials in the study: a new process goes on as the old one would have.
    """

    def __init__(
        self,
        source: CandidateSource,
        *,
        seed: int = 0,
        reference: Sequence[float] | None = None,
        startup: int = STARTUP,
    ) -> None:
        """Propose candidates of `source`.

        `reference` has a value for each objective, in the study's own directions; what is not better in every
        objective adds no hypervolume. Without it the worst that is known is taken, and a tenth of the range more.
        Raises `ValueError` for a reference that isn't finite, or a `startup` below 2.
        """
        super().__init__(source, seed=seed)
        if startup < 2:
            raise ValueError(f"startup is {startup}; a model needs at least 2 candidates to begin with")
        if reference is not None and not np.isfinite(reference).all():
            raise ValueError(f"the reference {list(reference)} is not finite")
        self._startup, self._reference = startup, reference
        self._models: UnknownObjectives | None = None
        self._near: dict[bytes, Rows] = {}

    def _choose(self, number: int, view: StudyView, pool: Pool) -> Choice:
        rng = self._rng(number)
        observations = view.observations()
        if len(view.seen) < self._startup or len(observations) < 2:
            return stratified_choice(view, pool, rng, self._shift())
        acquisition = self._acquisition(view, observations, pool)
        row = self._best(acquisition, view, pool, rng)
        expected = {str(k): list(found) for k, found in acquisition.expected(row).items()}
        return Choice(row, {"by": "model", "expected": expected})

    def _acquisition(self, view: StudyView, observations: Observations, pool: Pool) -> Acquisition:
        known = self._source.known_objectives
        unknown = tuple(k for k in range(len(view.signs)) if k not in known)
        if self._models is None or self._models.unknown != unknown:
            self._models = UnknownObjectives(self._source, unknown)
        if self._reference is None:
            until = checkpoint(len(observations))
            reference = reference_of(observations.values[:until], pool.known * view.signs[list(known)], known)
        else:
            if len(self._reference) != len(view.signs):
                raise ValueError(f"the reference has {len(self._reference)} values, the study {len(view.signs)}")
            reference = np.asarray(self._reference, dtype=np.float64) * view.signs
        running = [view.running[number] for number in sorted(view.running)]
        pending = np.stack(running) if running else observations.rows[:0]
        processes = self._models.condition(observations, reference, pending)
        members = observations.rows[front_rows(observations.values, [False] * len(view.signs))]
        return Acquisition(self._source, view.signs, unknown, processes, np.concatenate([members, pending]), reference)

    def _best(self, acquisition: Acquisition, view: StudyView, pool: Pool, rng: np.random.Generator) -> Vector:
        """Return the unseen candidate with the greatest gain; of equal ones a random one."""
        most = int(np.clip(WORK // acquisition.work, 500, MOST_CANDIDATES))
        unseen = pool.unseen(view.seen)
        if len(unseen) > most // 2:
            unseen = np.sort(rng.choice(unseen, most // 2, replace=False))
        members = acquisition.front
        if len(members) > FRONT_PARENTS:
            members = members[rng.choice(len(members), FRONT_PARENTS, replace=False)]
        near = self._neighbours(members, view, most // 4, rng)
        rows = np.concatenate([pool.rows[unseen], near])
        if not len(rows):
            raise SpaceExhausted("no unseen candidate that keeps the limits was found")
        gains = acquisition.gains(rows)
        for _ in range(CLIMBS):
            best = rows[np.argsort(-gains, kind="stable")[:CLIMBERS]]
            near = self._neighbours(best, view, most // 4, rng)
            higher = acquisition.gains(near)
            reached = gains.max()
            rows, gains = np.concatenate([rows, near]), np.concatenate([gains, higher])
            if gains.max() <= reached * (1 + 1e-6):
                break
        return np.asarray(rows[rng.choice(np.flatnonzero(gains == gains.max()))])

    def _neighbours(self, rows: Rows, view: StudyView, most: int, rng: np.random.Generator) -> Rows:
        """Return unseen neighbours that keep the limits, at most so many."""
        found = [rows[:0]]
        for key, row in zip(keys_of(rows), rows, strict=True):
            if key not in self._near:
                # Seeded by the candidate, so that it doesn't matter whether they were kept from an earlier proposal
                own = np.random.default_rng([self._seed, *np.frombuffer(key, dtype=np.uint32)])
                near = self._source.neighbours(row, own)
                if len(self._near) >= NEIGHBOURS_KEPT:
                    self._near.clear()
                self._near[key] = near[self._source.violation(near) == 0]
            found.append(self._near[key])
        near = np.concatenate(found)
        near = near[distinct(near, view.seen)]
        if len(near) > most:
            near = near[np.sort(rng.choice(len(near), most, replace=False))]
        return near
