"""Fit: the coefficients of the additive terms, and how far off they were on rows that had no part in them.

What a stack's layers and multiply-adds take is fitted freely; the details (features.py) are drawn towards zero, by as
much as cross-validation within the same rows finds best. So fifty noisy rows give a model of few numbers, and many or
clean rows one that knows the parts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.errors import InvalidInput
from nas.latency.fitted.features import Columns, Term, Vector, terms_of
from nas.latency.fitted.least_squares import Matrix, robust_fit

LEAST_ROWS = 20
FOLDS = 10
COVERAGE = 0.9
_SHRINKAGES = (0.0, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_LEAST_PENALTY = 1e-6
"""Of every term: two that always change together share what they can't tell apart."""
_SAME = 1e-6
"""Terms that differ by less from a multiple of another one say nothing of their own."""


@dataclass(frozen=True)
class Fit:
    """Coefficients, and the errors of fits on the other rows."""

    coefficients: dict[str, float]
    """Milliseconds per quantity, by the name of the term; terms that took no part are left out."""
    shrinkage: float
    """The penalty on the details that cross-validation chose."""
    left_out: Vector
    """Of each row the latency that a fit on other rows predicts, in ms (shape: rows)."""
    interval: float
    """Measured / predicted of a new row lies in 1 ± this with 90 % confidence."""

    def predict(self, columns: Columns) -> Vector:
        """Return the latencies in ms, shape (rows,); whether the fields lie within what was measured is not asked."""
        terms = {term.name: term.values for term in terms_of(columns)}
        zero = np.zeros_like(terms["constant"])
        return sum((value * terms[name] for name, value in self.coefficients.items()), zero)


def fit(columns: Columns, latencies_ms: Vector, seed: int = 0) -> Fit:
    """Fit on rows; `seed` deals them into the folds of cross-validation.

    Raises `InvalidInput` for fewer than `LEAST_ROWS` rows.
    """
    rows = len(latencies_ms)
    if rows < LEAST_ROWS:
        raise InvalidInput.of("rows", rows, f"at least {LEAST_ROWS} rows to fit on", "measure more architectures")
    terms = _different(terms_of(columns))
    x = np.column_stack([term.values for term in terms])
    details = np.array([float(term.detail) for term in terms])
    folds = np.random.default_rng(seed).permutation(rows) % FOLDS
    shrinkages = _SHRINKAGES if details.any() else _SHRINKAGES[:1]
    left_out = [_cross_validated(x, latencies_ms, _LEAST_PENALTY + s * details, folds) for s in shrinkages]
    chosen = _simplest([_losses(predicted, latencies_ms) for predicted in left_out])
    shrinkage = shrinkages[chosen]
    b = robust_fit(x, latencies_ms, _LEAST_PENALTY + shrinkage * details)
    coefficients = {term.name: float(value) for term, value in zip(terms, b, strict=True) if value > 0}
    return Fit(coefficients, shrinkage, left_out[chosen], _interval(left_out[chosen], latencies_ms))


def _different(terms: list[Term]) -> list[Term]:
    """Return the terms without those that are zero or a multiple of an earlier one; the freely fitted come first."""
    kept: list[Term] = []
    directions: list[Vector] = []
    for term in sorted(terms, key=lambda term: term.detail):
        length = float(np.linalg.norm(term.values))
        if not length:
            continue
        direction = term.values / length
        if all(float(np.abs(direction - other).max()) > _SAME * float(other.max()) for other in directions):
            kept.append(term)
            directions.append(direction)
    return kept


def _cross_validated(x: Matrix, latencies: Vector, penalties: Vector, folds: NDArray[np.int64]) -> Vector:
    predicted = np.empty_like(latencies)
    for fold in range(FOLDS):
        out = folds == fold
        predicted[out] = x[out] @ robust_fit(x[~out], latencies[~out], penalties)
    return np.maximum(predicted, 1e-9 * float(np.median(latencies)))


def _losses(predicted: Vector, measured: Vector) -> Vector:
    """Return |log(predicted / measured)| of each row, an outlying row's counted as no more than 0.5."""
    return np.minimum(np.abs(np.log(predicted / measured)), 0.5)


def _simplest(losses: list[Vector]) -> int:
    """Return the last of these whose mean is no further above the least than its standard error.

    The rule of one standard error (Breiman et al. 1984, Classification and Regression Trees, section 3.4.3), the
    error that of the difference, row by row: in few rows the least loss is a matter of luck.
    """
    best = min(losses, key=lambda loss: float(loss.mean()))
    return max(
        number
        for number, loss in enumerate(losses)
        if float((loss - best).mean()) <= float((loss - best).std()) / math.sqrt(len(loss))
    )


def _interval(predicted: Vector, measured: Vector) -> float:
    """Return the quantile of the left-out errors whose rank the jackknife prescribes for a sample of this size.

    Barber et al. 2021, arXiv 1905.02928.
    """
    errors = np.sort(np.abs(measured / predicted - 1))
    rank = math.ceil(COVERAGE * (len(errors) + 1))
    return float(errors[min(rank, len(errors)) - 1])
