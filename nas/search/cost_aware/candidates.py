"""What the samplers want of a space: candidates as rows of numbers, many at a time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
"""(N, G): one candidate a row, one choice a column; NaN where a candidate doesn't have the choice.

Two candidates are the same if and only if their rows are equal.
"""
Vector = NDArray[np.float64]
Mask = NDArray[np.bool_]
Groups = NDArray[np.int64]


class CandidateSource(Protocol):
    """The candidates of one study, with what is known of them before they are evaluated."""

    @property
    def size(self) -> float:
        """How many candidates there are; infinity in a continuous space."""

    @property
    def known_objectives(self) -> tuple[int, ...]:
        """The indices of the study's objectives whose values are known beforehand, K of them, in ascending order."""

    def all(self) -> Rows:
        """Return every candidate once, in a fixed order. Only called where `size` is small."""

    def sample(self, count: int, rng: np.random.Generator) -> Rows:
        """Return `count` random candidates (count, G), repetitions possible."""

    def mutate(self, rows: Rows, rng: np.random.Generator) -> Rows:
        """Return for each row a candidate that differs in one random choice and what depends on it."""

    def neighbours(self, row: Vector, rng: np.random.Generator) -> Rows:
        """Return the candidates that differ from one (G,) in one choice; a few of them where they are too many."""

    def known(self, rows: Rows) -> Rows:
        """Return the values of the known objectives (N, K), as the study is told them."""

    def violation(self, rows: Rows) -> Vector:
        """Return (N,): by how much limits on what is known are broken, 0 where all are kept, never NaN."""

    def features(self, rows: Rows) -> Rows:
        """Return what a model of quality sees of each candidate (N, D), without NaN; costs among it."""

    @property
    def feature_groups(self) -> Groups:
        """(D,): which features belong together, numbered from 0: those of a group share one length scale."""

    def row_of(self, parameters: Mapping[str, Any]) -> Vector | None:
        """Return a trial's parameters as a row (G,), or None where they are no candidate."""

    def parameters_of(self, row: Vector) -> dict[str, Any]:
        """Return the parameters of a candidate by name, as a trial has them."""


def keys_of(rows: Rows) -> list[bytes]:
    """Return of each row bytes that are equal for equal candidates."""
    clean = np.ascontiguousarray(rows + 0.0)  # -0.0 becomes 0.0
    clean[np.isnan(clean)] = np.nan  # one NaN out of many bit patterns
    return [row.tobytes() for row in clean]


def distinct(rows: Rows, seen: Collection[bytes] = ()) -> NDArray[np.int64]:
    """Return the indices of the rows that are neither in `seen` nor equal to an earlier one."""
    met: set[bytes] = set()
    keep = []
    for index, key in enumerate(keys_of(rows)):
        if key not in seen and key not in met:
            met.add(key)
            keep.append(index)
    return np.array(keep, dtype=np.int64)
