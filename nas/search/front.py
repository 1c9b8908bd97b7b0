"""The Pareto front, its hypervolume and its knee: computed here and nowhere else.

Every function takes objective values as (N, M), one row a trial, and which objectives are maximised. A row with a
value that is not finite is never on the front. Rows that are equal in every objective stand or fall together.
"""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def front_rows(values: Values, maximise: Sequence[bool]) -> list[int]:
    """Return the indices of the non-dominated rows, in the order given."""
    finite = np.flatnonzero(np.isfinite(values).all(axis=1)) if len(values) else np.array([], dtype=int)
    if not len(finite):
        return []
    keep = moocore.is_nondominated(values[finite], maximise=list(maximise), keep_weakly=True)
    return [int(index) for index in finite[keep]]


def hypervolume(values: Values, maximise: Sequence[bool], reference: Sequence[float], ideal: Sequence[float]) -> float:
    """Return the dominated share of the box between `reference` (worst) and `ideal` (best), 0 to 1.

    Rows that are worse than the reference in some objective add nothing.
    """
    rows = _scaled(values[front_rows(values, maximise)], reference, ideal)
    inside = rows[(rows < 1.0).all(axis=1)]
    if not len(inside):
        return 0.0
    # A point beyond the ideal would count for more than the box holds
    return float(moocore.hypervolume(np.clip(inside, 0.0, None), ref=np.ones(inside.shape[1])))


def knee(values: Values, maximise: Sequence[bool]) -> int | None:
    """Return the index of the front's knee, or None where there is no finite row.

    The knee is the member nearest the front's own ideal point, every objective scaled to the front's range: where
    giving up a little of one objective stops buying much of another (a compromise solution in the sense of Zeleny
    1974, with the Chebyshev distance). Ties go to the earlier row.
    """
    members = front_rows(values, maximise)
    if not members:
        return None
    signed = values[members] * np.where(list(maximise), -1.0, 1.0)
    low, span = signed.min(axis=0), np.ptp(signed, axis=0)
    scaled = (signed - low) / np.where(span > 0, span, 1.0)
    order = np.lexsort((scaled.sum(axis=1), scaled.max(axis=1)))
    return members[int(order[0])]


def _scaled(values: Values, reference: Sequence[float], ideal: Sequence[float]) -> Values:
    """Map every objective so that the ideal is 0 and the reference 1, whichever its direction."""
    worst, best = np.asarray(reference, dtype=float), np.asarray(ideal, dtype=float)
    span = worst - best
    return np.asarray((values - best) / np.where(span != 0, span, 1.0), dtype=np.float64)
