"""Growth: how the hypervolume of a search came about, trial by trial."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nas.search.front import Values, hypervolume


def growth(
    values: Values, maximise: Sequence[bool], reference: Sequence[float], ideal: Sequence[float]
) -> list[tuple[int, float]]:
    """Return the rows (in their order) after which the hypervolume of all rows so far was higher, and what it was then.

    `values` is (N, M); a row that is not finite adds nothing. As `hypervolume` of the rows up to each, but it is only
    worked out where a row is dominated by none before it.
    """
    signed = values * np.where(list(maximise), -1.0, 1.0)
    front = np.empty((0, values.shape[1]))
    found: list[tuple[int, float]] = []
    reached = 0.0
    for row in np.flatnonzero(np.isfinite(values).all(axis=1)) if len(values) else ():
        new = signed[row]
        if (front <= new).all(axis=1).any():
            continue
        front = np.vstack([front[~(front >= new).all(axis=1)], new])
        volume = hypervolume(front * np.where(list(maximise), -1.0, 1.0), maximise, reference, ideal)
        if volume > reached:
            reached = volume
            found.append((int(row), volume))
    return found
