"""Search spaces and the reach of their costs as jobs ask for them, made once a process: most jobs search the same few.

To list the valid choices of a space and to count what each costs takes tens of milliseconds, and follows from its
document alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

from nas.architecture import TaskShape
from nas.costs import Bounds, Limit
from nas.costs.bounds import Extreme
from nas.space import SearchSpace
from nas.workload import Workload

KEPT = 16
EXTREMES_KEPT = 64
"""Of each of these spaces: jobs differ in their limits more often than in their spaces."""

_extremes: WeakKeyDictionary[Bounds, dict[tuple[str, tuple[Limit, ...]], tuple[Extreme, Extreme] | None]] = (
    WeakKeyDictionary()
)
_lock = Lock()


def space_of(document: Mapping[str, Any], task_shape: TaskShape | None = None) -> SearchSpace:
    """Return the space of a document, for a task if it is given; raises as `SearchSpace.from_document`.

    Many threads and jobs may hold the same one: nothing that it is asked for changes it.
    """
    return _space_of(json.dumps(document), task_shape)


@lru_cache(maxsize=KEPT)
def _space_of(text: str, task_shape: TaskShape | None) -> SearchSpace:
    space = SearchSpace.from_document(json.loads(text))
    return space if task_shape is None else space.for_task(task_shape)


@lru_cache(maxsize=KEPT)
def bounds_of(space: SearchSpace, workload: Workload) -> Bounds:
    """Return the extremes of the costs of a space that `space_of` has made."""
    return Bounds(space, workload)


def extremes_of(bounds: Bounds, cost: str, limits: tuple[Limit, ...] = ()) -> tuple[Extreme, Extreme] | None:
    """Return what `bounds.of` returns, and keep it for as long as the bounds are kept."""
    asked = (cost, limits)
    with _lock:
        known = _extremes.setdefault(bounds, {})
        if asked in known:
            return known[asked]
    found = bounds.of(cost, limits)
    with _lock:
        if len(known) >= EXTREMES_KEPT:
            known.clear()
        known[asked] = found
    return found
