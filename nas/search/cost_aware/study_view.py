"""What a study holds, as rows and values to be minimised; kept up to date trial by trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from optuna import Study
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nas.search.cost_aware.candidates import CandidateSource, Vector, keys_of
from nas.search.cost_aware.observations import Observations


@dataclass
class StudyView:
    """The trials of one study so far. Finished trials never change, so each is read once."""

    source: CandidateSource
    signs: Vector
    """(M,): 1 for objectives that are minimised, -1 for the others."""
    seen: set[bytes] = field(default_factory=set)
    """Keys of all candidates that a trial had, whatever became of it."""
    evaluated: list[tuple[int, Vector, Vector]] = field(default_factory=list)
    """Of complete trials that are candidates: number, row and values (M,), to be minimised; infinitely bad ones too."""
    running: dict[int, Vector] = field(default_factory=dict)
    """By trial number: rows of running trials."""
    _read: int = 0
    _open: set[int] = field(default_factory=set)
    _observations: Observations | None = None

    @classmethod
    def of(cls, source: CandidateSource, study: Study) -> StudyView:
        """Return a view that has read nothing yet; raise `ValueError` where an objective is not in the study."""
        signs = np.array([-1.0 if d == StudyDirection.MAXIMIZE else 1.0 for d in study.directions])
        beyond = [index for index in source.known_objectives if not 0 <= index < len(signs)]
        if beyond:
            raise ValueError(f"known objective {beyond[0]}: the study has objectives 0 to {len(signs) - 1}")
        return cls(source, signs)

    def read(self, trials: list[FrozenTrial], but: int, chosen: Mapping[int, Vector]) -> None:
        """Take in what is new in `trials`, all of the study's in order of number, one of them left out.

        `chosen` are candidates of trials that may not have all of their parameters yet.
        """
        self.running = {}
        for number in sorted(self._open | set(range(self._read, len(trials)))):
            if number == but:
                self._open.add(number)
            else:
                self._take(trials[number])
        self._read = len(trials)
        for number, row in chosen.items():
            if number in self._open and number != but:
                self.running[number] = row
                self.seen.update(keys_of(row[None]))

    def _take(self, trial: FrozenTrial) -> None:
        finished = trial.state.is_finished()
        row = self.source.row_of(trial.params)
        if finished:
            self._open.discard(trial.number)
        else:
            self._open.add(trial.number)
        if row is None:
            return
        self.seen.update(keys_of(row[None]))
        if not finished:
            self.running[trial.number] = row
        elif trial.state == TrialState.COMPLETE:
            values = self.signs * np.array(trial.values)
            known = values[list(self.source.known_objectives)]
            if np.isfinite(known).all() and (values > -np.inf).all():
                self.evaluated.append((trial.number, row, values))

    def observations(self) -> Observations:
        """Return the evaluated candidates in the order of their trials' numbers, whichever ended first."""
        kept = self._observations
        known = 0 if kept is None else len(kept)
        if kept is None or known < len(self.evaluated):
            new = self.evaluated[known:]
            numbers = np.array([number for number, _, _ in new], dtype=np.int64)
            rows = np.stack([row for _, row, _ in new]) if new else np.zeros((0, 0))
            values = np.stack([values for _, _, values in new]) if new else np.zeros((0, len(self.signs)))
            if kept is not None and known:
                numbers = np.concatenate([kept.numbers, numbers])
                rows, values = np.concatenate([kept.rows, rows]), np.concatenate([kept.values, values])
            order = np.argsort(numbers, kind="stable")
            kept = self._observations = Observations(numbers[order], rows[order], values[order])
        return kept
