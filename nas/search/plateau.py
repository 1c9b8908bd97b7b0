"""Plateau: when a search has stopped finding anything better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from nas.documents import StrictModel
from nas.search.front import hypervolume
from nas.search.objectives import Constraint, MetricInfo


class PlateauRule(StrictModel):
    """When the hypervolume of a search counts as grown no more."""

    evaluations: Annotated[int, Field(ge=2, le=100_000)]
    """So many in a row."""
    gain: Annotated[float, Field(ge=0, lt=1)] = 0.01
    """What they have to add together, as a share of the hypervolume that there is then."""


class Plateau:
    """Watches the hypervolume of the candidates within the limits, evaluation by evaluation."""

    def __init__(
        self,
        rule: PlateauRule | None,
        objectives: Sequence[MetricInfo],
        constraints: Sequence[Constraint],
        reference: Mapping[str, Mapping[str, float]],
    ) -> None:
        """`reference` has the worst `point` and the `ideal` one, by objective; without a rule nothing ever stops."""
        self._rule, self._objectives, self._constraints = rule, objectives, constraints
        self._worst, self._ideal = ([reference[end][o.name] for o in objectives] for end in ("point", "ideal"))
        self._maximise = [o.direction == "maximize" for o in objectives]
        self._rows: list[list[float]] = []
        self._volumes = [0.0]
        self.reason: str | None = None
        """Why the search should stop, once it should: whatever comes after, so that a search that goes on from its
        records stops where it would have."""

    def tell(self, metrics: Mapping[str, float] | None) -> None:
        """Take one evaluation into account, with all its metrics; None where it failed."""
        if self._rule is None:
            return
        volume = self._volumes[-1]
        if metrics is not None and all(c.violation(metrics) == 0 for c in self._constraints):
            self._rows.append([metrics[o.name] for o in self._objectives])
            volume = hypervolume(np.array(self._rows, dtype=np.float64), self._maximise, self._worst, self._ideal)
        self._volumes.append(volume)
        self.reason = self.reason or self._reached(self._rule)

    def _reached(self, rule: PlateauRule) -> str | None:
        if len(self._volumes) <= rule.evaluations:
            return None
        now, before = self._volumes[-1], self._volumes[-1 - rule.evaluations]
        if now <= 0 or now - before > rule.gain * now:
            return None
        return (
            f"the hypervolume has reached a plateau: {rule.evaluations} evaluations added {(now - before) / now:.2%} "
            f"of {now:.3f}, no more than {rule.gain:.2%}"
        )
