"""Sequences: many token sequences of different lengths in two arrays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.integer]
"""Of any width: datasets in files keep the smallest that holds their vocabulary."""


@dataclass(frozen=True)
class Sequences:
    """N token sequences behind one another."""

    tokens: Tokens
    """All sequences end to end, shape (sum of lengths,)."""
    offsets: NDArray[np.int64]
    """Where each begins and the last ends, shape (N + 1,)."""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens in each sequence, shape (N,)."""
        lengths = np.diff(self.offsets)
        lengths.flags.writeable = False
        return lengths

    def __getitem__(self, index: int) -> Tokens:
        """Return the tokens of one sequence, shape (length,)."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.tokens[self.offsets[index] : self.offsets[index + 1]]

    @classmethod
    def of(cls, sequences: Iterable[NDArray[np.integer]]) -> Sequences:
        """Join sequences, keeping their order; the arrays can't be written to."""
        every = [np.asarray(sequence, dtype=np.int32) for sequence in sequences]
        joined = cls(
            tokens=np.concatenate([np.empty(0, dtype=np.int32), *every]),
            offsets=np.cumsum([0, *map(len, every)], dtype=np.int64),
        )
        for array in (joined.tokens, joined.offsets):
            array.flags.writeable = False
        return joined

    def percentiles(self) -> dict[str, int]:
        """Return tokens a sequence at four percentiles."""
        return {str(p): int(np.percentile(self.lengths, p, method="lower")) for p in (50, 90, 99, 100)}

    def padded(self, rows: NDArray[np.int64], length: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the sequences `rows` cut to `length` tokens and padded with zeros to the longest of them.

        Tokens (B, T) and a mask (B, T), True at real tokens; T is at least 1.
        """
        lengths = np.minimum(self.lengths[rows], length)
        columns = np.arange(max(1, lengths.max()))
        mask = columns[None] < lengths[:, None]
        positions = np.where(mask, self.offsets[rows][:, None] + columns[None], 0)
        return np.where(mask, self.tokens[positions], 0).astype(np.int64), mask
