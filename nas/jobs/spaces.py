"""Search spaces and the reach of their costs as jobs ask for them, made once a process: most jobs search the same few.

To list the valid choices of a space and to count what each costs takes tens of milliseconds, and follows from its
document alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from nas.architecture import TaskShape
from nas.costs import Bounds, Limit
from nas.costs.bounds import Extreme
from nas.space import SearchSpace
from nas.workload import Workload

KEPT = 16
EXTREMES_KEPT = 1024
"""Jobs differ in their limits more often than in their spaces."""


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


@lru_cache(maxsize=EXTREMES_KEPT)
def extremes_of(bounds: Bounds, cost: str, limits: tuple[Limit, ...] = ()) -> tuple[Extreme, Extreme] | None:
    """Return what `bounds.of` returns."""
    return bounds.of(cost, limits)
