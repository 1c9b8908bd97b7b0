"""The pool: candidates spread evenly over what is known of them, cheapest and dearest among them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nas.search.cost_aware.candidates import CandidateSource, Rows, Vector, distinct, keys_of

ENUMERATED_UP_TO = 20_000
"""Spaces up to this size are listed completely."""
POOL_SIZE = 4_000
STRATA = 64
ROUNDS = 200
"""At most so many rounds of mutations; they end where the range of costs has not grown for a while."""
PATIENCE = 10


@dataclass(frozen=True)
class Pool:
    """Candidates that keep every limit on what is known."""

    rows: Rows
    known: Rows
    """(N, K)."""
    position: Vector
    """(N,): where each lies between the cheapest (0) and the dearest (1): the mean over the known objectives."""
    complete: bool
    """Whether it is everything that keeps the limits."""

    @cached_property
    def _keys(self) -> list[bytes]:
        return keys_of(self.rows)

    def unseen(self, seen: Collection[bytes]) -> NDArray[np.int64]:
        """Return the indices of the candidates whose keys are not in `seen`."""
        return np.array([index for index, key in enumerate(self._keys) if key not in seen], dtype=np.int64)


def pool_of(source: CandidateSource, rng: np.random.Generator) -> Pool:
    """Return the pool; empty where nothing that keeps the limits was found.

    A uniform sample of a space with many layers is nearly all of middling cost. So the pool is grown by mutations: from
    every stratum of cost alike, and always from its cheapest and dearest members, until the range grows no further.
    While few candidates keep the limits, those that break them least are mutated.
    """
    complete = source.size <= ENUMERATED_UP_TO
    rows = source.all() if complete else source.sample(2 * POOL_SIZE, rng)
    if complete:
        kept = rows[source.violation(rows) == 0]
        known = source.known(kept)
        return Pool(kept, known, positions(known), True)
    grown = _Growing(source, rng, rows)
    grown.grow()
    rows, known = grown.rows, grown.known
    return Pool(rows, known, positions(known), False)


def positions(known: Rows) -> Vector:
    """Return (N,): the mean over the known values (N, K), each scaled to 0 to 1 over these candidates."""
    if not len(known) or not known.shape[1]:
        return np.zeros(len(known))
    low, span = known.min(axis=0), np.ptp(known, axis=0)
    return np.asarray(((known - low) / np.where(span > 0, span, 1.0)).mean(axis=1))


class _Growing:
    def __init__(self, source: CandidateSource, rng: np.random.Generator, rows: Rows) -> None:
        self._source, self._rng = source, rng
        rows = rows[distinct(rows)]
        violation = source.violation(rows)
        self.rows = rows[violation == 0]
        self.known = source.known(self.rows)
        self._broken, self._violation = self._least(rows[violation > 0], violation[violation > 0])

    def _least(self, rows: Rows, violation: Vector) -> tuple[Rows, Vector]:
        best = np.argsort(violation, kind="stable")[:POOL_SIZE]
        return rows[best], violation[best]

    def grow(self) -> None:
        """Mutate until nothing is gained."""
        idle = 0
        for _ in range(ROUNDS):
            before = self._extent()
            self._round()
            idle = idle + 1 if self._extent() <= before * (1 + 1e-3) else 0
            if idle >= PATIENCE:
                break

    def _extent(self) -> float:
        """Return what should grow: the range of what is known, and as long as there are few candidates their number."""
        spread = float(np.ptp(self.known, axis=0).sum()) if len(self.known) and self.known.shape[1] else 0.0
        return spread + min(len(self.rows), POOL_SIZE) * 1e-9 if spread else float(min(len(self.rows), POOL_SIZE))

    def _round(self) -> None:
        parents = [self.rows[self._chosen()]] if len(self.rows) else []
        if len(self.rows) < POOL_SIZE // 4 and len(self._broken):
            parents.append(self._broken[: POOL_SIZE // 4])
        children = self._source.mutate(np.concatenate(parents), self._rng)
        violation = self._source.violation(children)
        kept = children[violation == 0]
        rows = np.concatenate([self.rows, kept])
        known = np.concatenate([self.known, self._source.known(kept)])
        new = distinct(rows)
        rows, known = rows[new], known[new]
        thinned = self._thinned(known)
        self.rows, self.known = rows[thinned], known[thinned]
        if len(self.rows) < POOL_SIZE // 4:
            broken = violation > 0
            rows = np.concatenate([self._broken, children[broken]])
            worse = np.concatenate([self._violation, violation[broken]])
            new = distinct(rows)
            self._broken, self._violation = self._least(rows[new], worse[new])

    def _chosen(self) -> NDArray[np.int64]:
        """Return the indices of parents: as many of every stratum, and the extreme ones."""
        position = positions(self.known)
        strata = np.minimum((position * STRATA).astype(int), STRATA - 1)
        weight = 1.0 / np.bincount(strata, minlength=STRATA)[strata]
        drawn = self._rng.choice(len(position), size=POOL_SIZE // 8, p=weight / weight.sum())
        ends = np.argsort(position, kind="stable")
        return np.concatenate([drawn, ends[: POOL_SIZE // 64], ends[-(POOL_SIZE // 64) :]])

    def _thinned(self, known: Rows) -> NDArray[np.int64]:
        """Return the indices that are kept: at most the same number in each stratum."""
        if len(known) <= POOL_SIZE:
            return np.arange(len(known))
        position = positions(known)
        strata = np.minimum((position * STRATA).astype(int), STRATA - 1)
        order = np.lexsort((self._rng.random(len(known)), strata))
        starts = np.searchsorted(strata[order], np.arange(STRATA))
        rank = np.arange(len(known)) - starts[strata[order]]
        # Where strata are too empty to fill the pool evenly, the fuller ones may keep more
        order = order[np.argsort(rank, kind="stable")][:POOL_SIZE]
        ends = np.argsort(position, kind="stable")
        return np.unique(np.concatenate([order, ends[: POOL_SIZE // 64], ends[-(POOL_SIZE // 64) :]]))
