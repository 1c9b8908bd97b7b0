"""Features of candidates for a model of quality: choices, means over repeated choices, and costs."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.search.cost_aware.candidates import Groups, Rows

WIDE = 4.0
"""Positive numbers are seen by their logarithm where the largest is at least so many times the smallest."""


@dataclass(frozen=True)
class Column:
    """One choice of a candidate: a number between two others, or one of several categories."""

    name: str
    low: float
    high: float
    log: bool = False
    categories: int = 0
    """How many there are, their values being 0, 1, …; 0 for a number."""

    @classmethod
    def of_numbers(cls, name: str, numbers: Sequence[float], log: bool = False) -> Column:
        """Return the column of a choice out of these numbers."""
        low, high = float(min(numbers)), float(max(numbers))
        return cls(name, low, high, log or (low > 0 and high >= WIDE * low))

    @property
    def width(self) -> int:
        """The number of features: a choice between two categories is one number, too."""
        return self.categories if self.categories > 2 else 1

    def encode(self, values: Rows) -> Rows:
        """Return values (…) as features (…, width), 0 where there is none, differences between -2 and 2."""
        missing = np.isnan(values)
        if self.categories > 2:
            # Two different categories are as far apart as the ends of a number's range
            hot = math.sqrt(2.0) * (values[..., None] == np.arange(self.categories))
            return np.where(missing[..., None], 0.0, hot)
        low, high = (0.0, self.categories - 1.0) if self.categories else (self.low, self.high)
        if self.log:
            low, high, values = math.log(low), math.log(high), np.log(values)
        span = high - low
        scaled = 2 * (values - low) / span - 1 if span > 0 else np.zeros_like(values)
        return np.where(missing, 0.0, scaled)[..., None]


class FeatureMap:
    """Turns rows of choices and costs into features.

    Choices whose names differ in a number alone (`layers.0.heads`, `layers.1.heads`, …) and that have the same options
    are one choice made several times, once a layer: beside each of them stands their mean, since what a layer has
    matters less than what the layers have altogether. A group of features that shares a length scale is a choice, all
    repetitions of a choice, their mean, or a cost.
    """

    def __init__(self, columns: Sequence[Column], costs: int) -> None:
        """`columns` in the order of a row's choices; `costs` is the number of known values that join them."""
        self._columns, self._costs = columns, costs
        alike: dict[tuple[str, float, float, bool, int], list[int]] = {}
        for index, column in enumerate(columns):
            stem = re.sub(r"\d+", "#", column.name)
            alike.setdefault((stem, column.low, column.high, column.log, column.categories), []).append(index)
        # A choice with one option tells nothing
        self._choices = [m for key, m in alike.items() if key[4] > 1 or key[2] > key[1]]
        groups: list[int] = []
        for members in self._choices:
            width, number = columns[members[0]].width, max(groups, default=-1) + 1
            groups += [number] * (width * len(members))
            if len(members) > 1:
                groups += [number + 1] * width
        first = max(groups, default=-1) + 1
        self.groups: Groups = np.array([*groups, *range(first, first + costs)], dtype=np.int64)

    @property
    def by_choice(self) -> dict[str, NDArray[np.int64]]:
        """Return which features tell of each choice, by its name: of one that is made for every layer, the means.

        A number in a choice's name, as that of a layer, is an asterisk.
        """
        result: dict[str, NDArray[np.int64]] = {}
        start = 0
        for members in self._choices:
            column = self._columns[members[0]]
            own = column.width * len(members)
            first, end = (start + own, start + own + column.width) if len(members) > 1 else (start, start + own)
            name = re.sub(r"\d+", "*", column.name)
            result[name] = np.concatenate([result.get(name, np.zeros(0, dtype=np.int64)), np.arange(first, end)])
            start = end
        return result

    def of(self, rows: Rows, costs: Rows) -> Rows:
        """Return (N, D) for choices (N, G), NaN where there is none, and costs (N, K) scaled to about -1 to 1."""
        parts = []
        for members in self._choices:
            values = rows[:, members]
            encoded = self._columns[members[0]].encode(values)  # (N, repetitions, width)
            parts.append(encoded.reshape(len(rows), encoded.shape[1] * encoded.shape[2]))
            if len(members) > 1:
                there = np.maximum((~np.isnan(values)).sum(axis=1), 1)
                parts.append(encoded.sum(axis=1) / there[:, None])
        parts.append(costs)
        return np.concatenate(parts, axis=1)


class CostScale:
    """Scales known values to about -1 to 1, by their logarithm where they are positive and span a wide range."""

    def __init__(self, known: Rows) -> None:
        """`known` are the values (N, K) of a sample of the space."""
        low = known.min(axis=0) if len(known) else np.zeros(known.shape[1])
        high = known.max(axis=0) if len(known) else np.ones(known.shape[1])
        self._log = (low > 0) & (high >= WIDE * low)
        self._low, high = self._logs(low), self._logs(high)
        self._span = np.where(high > self._low, high - self._low, 1.0)

    def __call__(self, known: Rows) -> Rows:
        """Return (N, K)."""
        return np.asarray(2 * (self._logs(known) - self._low) / self._span - 1)

    def _logs(self, known: Rows) -> Rows:
        tiny = np.finfo(np.float64).tiny  # what is out of the sample's range may be 0
        return np.where(self._log, np.log(np.maximum(known, tiny)), known)
