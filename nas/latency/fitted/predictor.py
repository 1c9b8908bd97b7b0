"""FittedPredictor: the latency of any architecture like those that were measured, with an interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nas.architecture import Architecture
from nas.errors import InvalidInput, Problem
from nas.latency.fitted.document import FittedLatency
from nas.latency.fitted.features import Value, fields_of, terms_of
from nas.latency.fitted.rows import activations_of

_ROUNDING = 1e-9
"""A mean of the same sizes may differ in its last digits."""
_NEXT = "measure architectures like it, and fit the device again with their rows"


@dataclass(frozen=True)
class FittedPrediction:
    """A predicted latency in milliseconds; reads as `nas.latency.predict.LatencyPrediction` does."""

    latency_ms: float
    lower_ms: float
    upper_ms: float
    """A measurement lies between lower_ms and upper_ms with 90 % confidence."""
    breakdown: tuple[tuple[str, float], ...]
    """(term, ms): `constant`, those of the encoder, those of the decoder, `output`; they sum to `latency_ms`."""


class FittedPredictor:
    """Predicts from one document, and only inside what was measured for it."""

    def __init__(self, document: FittedLatency) -> None:
        self.document = document

    def predict(self, architecture: Architecture) -> FittedPrediction:
        """Return the predicted latency; raise `InvalidInput` naming each field that lies outside what was measured."""
        document = self.document
        values = fields_of(architecture)
        self._check(architecture, values)
        columns = {name: np.array([value.mean]) for name, value in values.items() if name in document.ranges}
        breakdown = tuple(
            (term.name, document.coefficients[term.name].ms * float(term.values[0]))
            for term in terms_of(columns)
            if term.name in document.coefficients
        )
        latency_ms = sum(ms for _, ms in breakdown)
        lower_ms, upper_ms = latency_ms * max(0.0, 1 - document.interval), latency_ms * (1 + document.interval)
        return FittedPrediction(latency_ms, lower_ms, upper_ms, breakdown)

    def _check(self, architecture: Architecture, values: dict[str, Value]) -> None:
        problems: list[Problem] = []
        words: dict[str, tuple[set[str], tuple[str, ...]]] = {
            "family": ({architecture.family}, self.document.families),
            "activation": (activations_of(architecture), self.document.activations),
        }
        for field, (given, known) in words.items():
            problems += [
                Problem(f"architecture.{field}", word, f"{', '.join(known)} (what was measured)", _NEXT)
                for word in sorted(given - set(known))
            ]
        for field, measured in self.document.ranges.items():
            value = values[field]
            layers = (value.mean,) if self.document.form == "hat" else (value.lowest, value.highest)
            allowed = f"{measured.lowest:g} to {measured.highest:g} (what was measured)"
            problems += [
                Problem(f"architecture.{field}", given, allowed, _NEXT)
                for given in dict.fromkeys(layers)
                if not measured.lowest * (1 - _ROUNDING) <= given <= measured.highest * (1 + _ROUNDING)
            ]
        if problems:
            raise InvalidInput(problems)
