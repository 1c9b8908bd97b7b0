"""Drift: blocks of rows in a row that took longer (or shorter) than the rest says, because something else happened.

A device that throttles or has other work slows down everything that it measures meanwhile. Such rows follow each
other in the file, while a model that fits badly is wrong by architecture, wherever it stands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.latency.fitted.features import Columns, Vector
from nas.latency.fitted.fit import fit
from nas.latency.fitted.least_squares import spread_of

Flags = NDArray[np.bool_]

LEAST_SHIFT = 0.08
"""Below this a block is not called drift, however sure."""
LEAST_SPREADS = 3.0
"""A block's typical row lies this many standard deviations of a single row off."""
LEAST_BLOCK = 10
LEAST_GAP = 25
"""So many undisturbed rows in a row part two blocks."""
_SURE = 1e-3
"""How often, at most, a file without drift may show such a block by chance."""
_MOST_ROUNDS = 5


@dataclass(frozen=True)
class Block:
    """Rows first to last, both counted from 0 and both in it."""

    first: int
    last: int
    shift: float
    """The median of measured / predicted - 1 by a fit on the other rows: +0.3 is 30 % slower."""


@dataclass(frozen=True)
class Screening:
    """What was found in a file's rows."""

    blocks: tuple[Block, ...]
    clean: Flags
    """Of each row whether it lies in no block."""
    errors: Vector
    """Of each row measured / predicted - 1, predicted by a fit on other rows, none of them in a block."""
    outlying: tuple[int, ...]
    """Single rows far off, outside all blocks. They are counted and kept: the fit limits what one row can do."""
    in_time: bool
    """Whether blocks were looked for: not in a file sorted by its latencies."""


def screen(columns: Columns, latencies_ms: Vector, seed: int = 0) -> Screening:
    """Find drifted blocks: fit on all rows, look for blocks, fit on the others, look again, until it stays the same.

    Raises `InvalidInput` where too few rows are there, or are left.
    """
    clean = np.ones(len(latencies_ms), dtype=bool)
    in_time = not _sorted_by(latencies_ms)
    seen: list[Flags] = []
    for _ in range(_MOST_ROUNDS):
        errors = _errors(columns, latencies_ms, clean, seed)
        found = find_blocks(errors, _spread_between_neighbours(errors[clean])) if in_time else []
        blocks = tuple(block for block in found if _comparable(columns, block, clean))
        seen.append(clean)
        clean = _outside(blocks, len(errors))
        if any(np.array_equal(clean, earlier) for earlier in seen):
            break
    far = max(LEAST_SHIFT, (LEAST_SPREADS + 1) * spread_of(errors[clean]))
    outlying = np.flatnonzero(clean & (np.abs(errors) > far))
    return Screening(blocks, clean, errors, tuple(int(row) for row in outlying), in_time)


def find_blocks(errors: Vector, spread: float) -> list[Block]:
    """Return the blocks among relative errors in file order, given the standard deviation of an undisturbed row's.

    A block is a run of rows most of which lie nearer to the least shift worth calling drift than to none: the run of
    greatest sum of scores (a scan statistic, as in Page's CUSUM of 1954), +1 for such a row, -1 for an undisturbed
    one. It counts if its median is off by enough and chance would rarely put so many such rows together.
    """
    least = max(LEAST_SHIFT, LEAST_SPREADS * spread)
    blocks: list[Block] = []
    for sign in (1, -1):
        scores = np.clip(sign * errors / (least / 2) - 1, -1, 1)
        open_to = np.ones(len(errors), dtype=bool)
        while True:
            first, last, total = _best_run(np.where(open_to, scores, -np.inf))
            if total < LEAST_BLOCK / 2:  # less than the smallest block of barely enough rows
                break
            open_to[first : last + 1] = False
            for start, end in _parted(scores, first, last):
                block = Block(start, end, float(np.median(errors[start : end + 1])))
                if end - start + 1 >= LEAST_BLOCK and sign * block.shift >= least and _is_sure(block, scores > 0):
                    blocks.append(block)
    return sorted(blocks, key=lambda block: block.first)


def _best_run(scores: Vector) -> tuple[int, int, float]:
    """Return (first, last, sum) of the run of greatest sum."""
    first = 0
    best = (0, 0, -math.inf)
    total = 0.0
    for row, score in enumerate(scores.tolist()):
        if total <= 0:
            first, total = row, 0.0
        total += score
        if total > best[2]:
            best = (first, row, total)
    return best


def _parted(scores: Vector, first: int, last: int) -> list[tuple[int, int]]:
    """Return the run without long undisturbed stretches inside it."""
    start, end, _ = _best_run(-scores[first : last + 1])
    if end - start + 1 < LEAST_GAP:
        return [(first, last)]
    return [*_parted(scores, first, first + start - 1), *_parted(scores, first + end + 1, last)]


def _is_sure(block: Block, raised: Flags) -> bool:
    """Return whether chance puts so many raised rows into any run of that length in fewer than one file of 1,000."""
    inside = raised[block.first : block.last + 1]
    n, k = len(inside), int(inside.sum())
    share = (int(raised.sum()) - k + 1) / (len(raised) - n + 2)
    chance = sum(
        math.exp(_log_binomial(n, i) + i * math.log(share) + (n - i) * math.log1p(-share)) for i in range(k, n + 1)
    )
    return chance * len(raised) < _SURE


def _log_binomial(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _spread_between_neighbours(errors: Vector) -> float:
    """Return the standard deviation of a single row that neighbours' differences tell: a block changes only two."""
    return spread_of(np.diff(errors)) / math.sqrt(2)


def _errors(columns: Columns, latencies: Vector, clean: Flags, seed: int) -> Vector:
    """Return measured / predicted - 1 of every row, no row predicted by a fit that saw it."""
    fitted = fit({name: values[clean] for name, values in columns.items()}, latencies[clean], seed)
    predicted = np.maximum(fitted.predict(columns), 1e-9 * float(np.median(latencies)))
    predicted[clean] = fitted.left_out
    return latencies / predicted - 1


def _comparable(columns: Columns, block: Block, clean: Flags) -> bool:
    """Return whether the block's typical architecture is one that the other rows have, too.

    In a file sorted by size its largest architectures follow each other: that these are off says nothing of drift.
    """
    inside = ~_outside((block,), len(clean))
    others = clean & ~inside
    if not others.any():
        return False
    return all(
        np.quantile(values[others], 0.05) <= np.median(values[inside]) <= np.quantile(values[others], 0.95)
        for values in columns.values()
    )


def _sorted_by(latencies: Vector) -> bool:
    """Return whether the file's order is that of its latencies: then it says nothing of when a row was measured."""
    if len(latencies) < 2:
        return False
    rising = float((np.diff(latencies) >= 0).mean())
    return not 0.05 < rising < 0.95


def _outside(blocks: tuple[Block, ...], rows: int) -> Flags:
    clean = np.ones(rows, dtype=bool)
    for block in blocks:
        clean[block.first : block.last + 1] = False
    return clean
