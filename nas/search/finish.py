"""Finish: who of a search is trained in full when it is over, how long, and under how many seeds."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field

from nas.documents import StrictModel

LONGER = 4
"""A training in full has so many times the steps of the search's, unless it is said."""

Role = Literal["front", "smallest", "largest", "sample"]


class Finish(StrictModel):
    """What is trained in full after the search: the front to be used, a sample to judge the search's scores by."""

    steps: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Of a training in full; without it `LONGER` times those of `task.training`."""
    seeds: Annotated[int, Field(ge=1, le=20)] = 3
    """Trainings of each member of the front, and of the smallest and the largest architecture."""
    members: Annotated[int, Field(ge=1, le=100)] = 6
    """So many members of the front at most, spread over it; the knee and both ends among them."""
    sample: Annotated[int, Field(ge=0, le=100)] = 8
    """Candidates over all costs that are trained once, whatever their score: the search is held against them."""


@dataclass(frozen=True)
class Subject:
    """A trial whose architecture is trained in full."""

    trial: int
    roles: tuple[Role, ...]
    seeds: int


def subjects(
    front: Sequence[int], knee: int | None, parameters: Mapping[int, float], finish: Finish, seed: int
) -> tuple[Subject, ...]:
    """Return who is trained in full, by trial number.

    `front` has the trial numbers of the front in the order of its last objective, `parameters` those of every trial
    that has a score. The same arguments give the same subjects in any process.
    """
    roles: dict[int, list[Role]] = {}
    for number in spread(front, knee, finish.members):
        roles.setdefault(number, []).append("front")
    if parameters:
        order = sorted(parameters, key=lambda number: (parameters[number], number))
        roles.setdefault(order[0], []).append("smallest")
        roles.setdefault(order[-1], []).append("largest")
        for number in stratified(order, finish.sample, seed):
            roles.setdefault(number, []).append("sample")
    return tuple(
        Subject(number, tuple(roles[number]), 1 if roles[number] == ["sample"] else finish.seeds)
        for number in sorted(roles)
    )


def spread(front: Sequence[int], knee: int | None, most: int) -> list[int]:
    """Return at most `most` members: the ends and the knee, and others at even distances between."""
    if len(front) <= most:
        return list(front)
    last = len(front) - 1
    places = dict.fromkeys([front.index(knee)] if knee in front else [])
    places |= dict.fromkeys([0, last] if most > len(places) + 1 else [])
    for count in range(most + 1):
        for step in range(count + 1):
            if len(places) < most:
                places.setdefault(round(step * last / max(1, count)), None)
    return [front[place] for place in sorted(places)]


def stratified(order: Sequence[int], count: int, seed: int) -> list[int]:
    """Return one of each of `count` groups of like size of `order`, drawn at random under the seed."""
    rng = random.Random(seed)
    count = min(count, len(order))
    ends = [round(group * len(order) / count) for group in range(count + 1)] if count else []
    return [order[rng.randrange(start, end)] for start, end in pairwise(ends)]
