r"""Expected hypervolume improvement in closed form, where objectives are exact or independently normal.

All objectives are minimised here. The hypervolume that a point adds to a front is, over every vector of the other
objectives that it reaches, by how much it undercuts the best value of one objective (the *level*) that the front has
there. Where the front's best level is constant over boxes $b = [l_b, u_b]$ of the other objectives with value $t_b$,
and the objectives $y_k$ are independent,

.. math:: EHVI = \sum_b EI_0(t_b) \prod_{k \geq 1} \bigl(EI_k(u_{bk}) - EI_k(l_{bk})\bigr), \qquad
          EI_k(t) = E[(t - y_k)_+]

since $\int_l^u P(y_k \leq t)\,dt = EI_k(u) - EI_k(l)$. For an exactly known objective $EI_k(t) = (t - y_k)_+$, and the
factor is the length of the box from the candidate's cost on. With two objectives, the cost exact, this is the sum over
the staircase's segments. (The closed form for normal objectives: Emmerich, Deutz and Klinkenberg 2011; as products over
boxes: Yang, Emmerich, Deutz and Bäck 2019.)
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
import scipy  # its parts are imported when they are first used, which a service's start need not wait for
from numpy.typing import NDArray

from nas.search.cost_aware.candidates import Rows, Vector

AT_ONCE = 100_000
"""So many pairs of candidates and boxes are worked on at once: few enough for the cache."""
_Box = tuple[tuple[float, ...], tuple[float, ...], int]


@dataclass(frozen=True)
class Cells:
    """What a front dominates, as boxes of the other objectives with the best level in each."""

    lower: Rows
    """(B, K)."""
    upper: Rows
    levels: NDArray[np.int64]
    """(B,): indices into `values`."""
    values: Vector
    """Levels of the members that have boxes, ascending; the reference's level last."""
    reference: Vector
    """(K,): of the other objectives."""


def cells_of(front: Rows, reference: Vector) -> Cells:
    """Return the cells of a front (M, 1 + K), first the level; dominated and not finite members may be among it.

    `reference` is (1 + K,): members that don't beat it in every objective have no cell.
    """
    inside = front[(front < reference).all(axis=1) & np.isfinite(front).all(axis=1)]
    order = np.lexsort(inside.T[::-1])  # by level; of equal ones the cheaper first
    inside = inside[order]
    others, ends = [tuple(row) for row in inside[:, 1:].tolist()], tuple(reference[1:].tolist())
    boxes = _boxes(list(enumerate(others)), ends)
    width = len(ends)
    return Cells(
        np.array([box[0] for box in boxes], dtype=np.float64).reshape(len(boxes), width),
        np.array([box[1] for box in boxes], dtype=np.float64).reshape(len(boxes), width),
        np.array([box[2] for box in boxes], dtype=np.int64),
        np.append(inside[:, 0], reference[0]),
        reference[1:],
    )


def _boxes(members: list[tuple[int, tuple[float, ...]]], ends: tuple[float, ...]) -> list[_Box]:
    """Return disjoint boxes, each with the first of the members, in the order given, that dominates it."""
    if not ends:  # one objective alone: the best member's level, everywhere
        return [((), (), members[0][0])] if members else []
    if len(ends) == 1:
        return _intervals(members, ends)
    if len(ends) == 2:
        return _rectangles(members, ends)
    # One dimension less for each slab between two values of the last; boxes that go through several slabs are one
    result: list[_Box] = []
    open_boxes: dict[_Box, float] = {}
    cuts = sorted({point[-1] for _, point in members})
    for cut in cuts:
        slab = [(index, point[:-1]) for index, point in members if point[-1] <= cut]
        now = set(_boxes(slab, ends[:-1]))
        for box in [b for b in open_boxes if b not in now]:
            result.append(_raised(box, open_boxes.pop(box), cut))
        for box in now:
            open_boxes.setdefault(box, cut)
    result += [_raised(box, start, ends[-1]) for box, start in open_boxes.items()]
    return sorted(result)


def _raised(box: _Box, start: float, end: float) -> _Box:
    return (*box[0], start), (*box[1], end), box[2]


def _intervals(members: list[tuple[int, tuple[float, ...]]], ends: tuple[float, ...]) -> list[_Box]:
    result: list[_Box] = []
    reached = ends[0]
    for index, (cost,) in members:
        if cost < reached:
            result.append(((cost,), (reached,), index))
            reached = cost
    return result


def _rectangles(members: list[tuple[int, tuple[float, ...]]], ends: tuple[float, ...]) -> list[_Box]:
    """Return the rectangles that each member adds above the staircase of those before it."""
    result: list[_Box] = []
    xs: list[float] = []  # the staircase: x ascending, y descending
    ys: list[float] = []
    for index, (x, y) in members:
        place = bisect_right(xs, x)
        height = ys[place - 1] if place else ends[1]
        if height <= y:
            continue
        left, after = x, place
        while True:
            right = xs[after] if after < len(xs) else ends[0]
            if right > left:
                result.append(((left, y), (right, height), index))
            if after == len(xs) or ys[after] < y:
                break
            left, height = right, ys[after]
            after += 1
        start = place - 1 if place and xs[place - 1] == x else place  # one above it at the same x is dominated
        xs[start:after], ys[start:after] = [x], [y]
    return result


def expected_improvement(threshold: Rows, mean: Rows, std: Rows) -> Rows:
    """Return E[(threshold - y)+] for y normal with `mean` and `std` (0: exact), all broadcast against each other."""
    gap = threshold - mean
    safe = np.where(std > 0, std, 1.0)
    z = gap / safe
    density = np.exp(-0.5 * z * z) * 0.3989422804014327
    return np.where(std > 0, np.maximum(safe * (z * scipy.special.ndtr(z) + density), 0.0), np.maximum(gap, 0.0))


def expected_hypervolume_improvement(cells: Cells, mean: Rows, std: Rows) -> Vector:
    """Return (N,) for candidates with `mean` and `std` (N, 1 + K), the level first; `std` is 0 where exact."""
    rows = max(1, AT_ONCE // max(1, len(cells.levels)))
    chunks = [
        _improvement(cells, mean[start : start + rows], std[start : start + rows])
        for start in range(0, len(mean), rows)
    ]
    return np.concatenate(chunks) if chunks else np.zeros(0)


def _improvement(cells: Cells, mean: Rows, std: Rows) -> Vector:
    least = np.full((len(mean), 1), 1.0)
    volume = np.ones((len(mean), len(cells.levels)))
    for k in range(len(cells.reference)):
        m, s = mean[:, 1 + k, None], std[:, 1 + k, None]
        least = least * expected_improvement(cells.reference[k], m, s)
        if not s.any():
            volume *= np.maximum(cells.upper[:, k] - np.maximum(cells.lower[:, k], m), 0.0)
        else:
            volume *= expected_improvement(cells.upper[:, k], m, s) - expected_improvement(cells.lower[:, k], m, s)
    gain = expected_improvement(cells.values, mean[:, :1], std[:, :1])  # (N, members + 1)
    lost = gain[:, -1:] - gain  # what the front's level leaves less than the reference's
    # What is left of two almost equal numbers may be a little below 0
    return np.asarray(np.maximum(gain[:, -1] * least[:, 0] - (volume * lost[:, cells.levels]).sum(axis=1), 0.0))
