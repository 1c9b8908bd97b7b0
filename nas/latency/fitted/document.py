"""FittedLatency: a device's fitted latency as a document, with what it was fitted on and how far off it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from nas.documents import StrictModel, validate
from nas.errors import InvalidInput
from nas.latency.fitted.drift import Screening, screen
from nas.latency.fitted.features import FIELDS, Vector, terms_of
from nas.latency.fitted.fit import Fit, fit
from nas.latency.fitted.rows import Rows

SCHEMA = "pocketformer/fitted-latency/1"
_MOST_RANKED = 2_000
"""Kendall's tau compares every two rows: of more than these, so many are drawn."""
_MOST_LISTED = 1_000
_OTHER_UNIT = 100.0
"""No disturbance makes a latency so many times what it should be."""

Text = Annotated[str, Field(min_length=1, max_length=300)]
Count = Annotated[int, Field(ge=0)]
RowNumber = Annotated[int, Field(ge=1)]
"""Counted from 1, the header left aside."""
Value = Annotated[float, Field(ge=0)]


class Coefficient(StrictModel):
    """What one term takes."""

    ms: Annotated[float, Field(gt=0)]
    """Milliseconds per `per`."""
    per: Text


class Range(StrictModel):
    """Between which values a field was measured, both included."""

    lowest: Value
    highest: Value

    @model_validator(mode="after")
    def _is_in_order(self) -> Range:
        if self.lowest > self.highest:
            raise InvalidInput.of("lowest", self.lowest, f"at most highest ({self.highest})", "exchange them")
        return self


class DriftedBlock(StrictModel):
    """Rows in a row that something slowed down or sped up; they took no part in the fit."""

    first_row: RowNumber
    last_row: RowNumber
    slower_percent: float
    """By how much their typical latency lies above what the other rows tell, below zero if they were faster."""

    @property
    def rows(self) -> int:
        """How many."""
        return self.last_row - self.first_row + 1


class Errors(StrictModel):
    """How far predictions were off on rows that took no part in the fit that made them."""

    rows: Annotated[int, Field(ge=1)]
    mean_absolute_percent: Value
    """Mean of |predicted / measured - 1|."""
    bias_percent: float
    """Mean of predicted / measured - 1: above zero predicted too slow."""
    within_7_percent: Annotated[float, Field(ge=0, le=1)]
    """The share of rows no farther off than 7 %, 0 to 1."""
    kendall_tau: Annotated[float, Field(ge=-1, le=1)]
    """Of the order: 1 if every two rows come in the measured order."""
    within_interval: Annotated[float, Field(ge=0, le=1)]
    """The share of rows inside the 90 % interval, 0 to 1."""


class FittedLatency(StrictModel):
    """An additive latency in milliseconds: Σ coefficient · term (features.py). It claims no fingerprint."""

    device: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    hardware: Text
    workload: Text
    """Both in its owner's words: what ran, and on what."""
    form: Literal["hat", "architecture"]
    source_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Of the CSV file."""
    rows: RowNumber
    """In the file."""
    rows_drifted: Count
    rows_fitted: RowNumber
    seed: Count
    """Drew the fitted rows, and dealt them for cross-validation."""
    drift_searched: bool
    """Drift is not looked for in a file sorted by latency, whose order says nothing of time."""
    drifted: tuple[DriftedBlock, ...]
    outlying_rows: tuple[RowNumber, ...]
    """Single rows far off, the first thousand. They stay in the fit, which limits what one row can do."""
    families: Annotated[tuple[str, ...], Field(min_length=1)]
    activations: Annotated[tuple[str, ...], Field(min_length=1)]
    ranges: dict[str, Range]
    """By field, over all rows that did not drift: of the layers' sizes, in HAT's form of their means. What lies
    outside is not predicted."""
    coefficients: dict[str, Coefficient]
    """By term; a term that is not here adds nothing."""
    shrinkage: Value
    interval: Annotated[float, Field(ge=0)]
    """A measurement / its prediction lies in 1 ± this with 90 % confidence."""
    cross_validated: Errors
    """On the fitted rows, each predicted by a fit on others."""
    others: Errors | None
    """On the rows that neither drifted nor were fitted, where there are any."""

    @model_validator(mode="after")
    def _names_are_known(self) -> FittedLatency:
        for name in self.ranges:
            if name not in FIELDS:
                raise InvalidInput.of(f"ranges.{name}", name, "a field of an architecture", "mend its spelling")
        terms = {term.name for term in terms_of({field: np.ones(1) for field in FIELDS})}
        for name in self.coefficients:
            if name not in terms:
                raise InvalidInput.of(f"coefficients.{name}", name, "a term of this release", "mend its spelling")
        missing = [name for name in FIELDS if "." in name and name not in self.ranges]
        if missing:
            raise InvalidInput.of(f"ranges.{missing[0]}", None, "a range", "fit the device again")
        return self

    @classmethod
    def from_dict(cls, value: Any, field: str = "fitted_latency") -> FittedLatency:
        """Build from plain values as `to_dict` gives them; raise `InvalidInput` naming each wrong field."""
        if isinstance(value, Mapping):
            value = dict(value)
            schema = value.pop("schema", None)
            if schema != SCHEMA:
                step = "give a document that `nas device fit` wrote"
                raise InvalidInput.of(f"{field}.schema", schema, SCHEMA, step)
        return validate(cls, value, field)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, `schema` included."""
        return {"schema": SCHEMA, **self.model_dump(mode="json")}


def fit_device(
    device: str,
    rows: Rows,
    *,
    hardware: str = "not stated",
    workload: str = "not stated",
    fitted_rows: int | None = None,
    seed: int = 0,
) -> tuple[FittedLatency, Screening]:
    """Find drift in the rows, fit on those left (or on `fitted_rows` random ones), and judge the fit.

    Raises `InvalidInput` for too few rows, for more fitted ones than there are, and for a row in another unit.
    """
    screening = screen(rows.columns, rows.latencies_ms, seed)
    _check_one_unit(rows, screening)
    clean = np.flatnonzero(screening.clean)
    if fitted_rows is not None and fitted_rows > len(clean):
        raise InvalidInput.of("--rows", fitted_rows, f"at most the {len(clean)} that do not drift", "ask for fewer")
    rng = np.random.default_rng(seed)
    chosen = clean if fitted_rows is None else np.sort(rng.choice(clean, fitted_rows, replace=False))
    columns, latencies = rows.taken(chosen)
    fitted = fit(columns, latencies, seed)
    others = np.setdiff1d(clean, chosen)
    per = {term.name: term.quantity for term in terms_of(columns)}
    document = {
        "device": device,
        "hardware": hardware,
        "workload": workload,
        "form": rows.form,
        "source_sha256": rows.sha256,
        "rows": len(rows),
        "rows_drifted": len(rows) - len(clean),
        "rows_fitted": len(chosen),
        "seed": seed,
        "drift_searched": screening.in_time,
        "drifted": [
            {"first_row": block.first + 1, "last_row": block.last + 1, "slower_percent": 100 * block.shift}
            for block in screening.blocks
        ],
        "outlying_rows": [row + 1 for row in screening.outlying[:_MOST_LISTED]],
        "families": rows.families,
        "activations": rows.activations,
        "ranges": {
            name: {"lowest": float(rows.lowest[name][clean].min()), "highest": float(rows.highest[name][clean].max())}
            for name in rows.columns
        },
        "coefficients": {name: {"ms": ms, "per": per[name]} for name, ms in fitted.coefficients.items()},
        "shrinkage": fitted.shrinkage,
        "interval": fitted.interval,
        "cross_validated": errors_of(fitted.left_out, latencies, fitted.interval).model_dump(),
        "others": errors_on(fitted, rows, others).model_dump() if len(others) else None,
    }
    return validate(FittedLatency, document), screening


def _check_one_unit(rows: Rows, screening: Screening) -> None:
    """Raise `InvalidInput` for a row so far off that it must be in another unit than the rest."""
    ratios = 1 + screening.errors
    row = int(np.argmax(np.abs(np.log(ratios))))
    if not 1 / _OTHER_UNIT < ratios[row] < _OTHER_UNIT:
        given = f"{rows.latencies_ms[row]:.6g} ms"
        allowed = f"about {rows.latencies_ms[row] / ratios[row]:.3g} ms, as the other rows tell"
        step = "is it in another unit? mend or remove the row"
        raise InvalidInput.of(f"row {row + 1}.{rows.latency_column}", given, allowed, step)


def errors_on(fitted: Fit, rows: Rows, chosen: NDArray[np.intp]) -> Errors:
    """Return the errors of a fit on rows that it did not see."""
    columns, latencies = rows.taken(chosen)
    return errors_of(fitted.predict(columns), latencies, fitted.interval)


def errors_of(predicted: Vector, measured: Vector, interval: float) -> Errors:
    """Compare latencies in ms, each of shape (rows,)."""
    errors = predicted / measured - 1
    return Errors(
        rows=len(errors),
        mean_absolute_percent=100 * float(np.abs(errors).mean()),
        bias_percent=100 * float(errors.mean()),
        within_7_percent=float((np.abs(errors) <= 0.07).mean()),
        kendall_tau=kendall_tau(predicted, measured),
        within_interval=float((np.abs(measured / predicted - 1) <= interval).mean()),
    )


def kendall_tau(a: Vector, b: Vector) -> float:
    """Return Kendall's tau-b: ties in one list count for neither order; 0 where one list is all ties."""
    if len(a) > _MOST_RANKED:
        chosen = np.random.default_rng(0).choice(len(a), _MOST_RANKED, replace=False)
        a, b = a[chosen], b[chosen]
    above = np.triu_indices(len(a), k=1)
    signs_a, signs_b = (np.sign(np.subtract.outer(x, x))[above] for x in (a, b))
    untied = float(np.sqrt((signs_a != 0).sum() * (signs_b != 0).sum()))
    return float((signs_a * signs_b).sum() / untied) if untied else 0.0
