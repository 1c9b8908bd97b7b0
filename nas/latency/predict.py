"""LatencyPredictor: the latency of any architecture of a measured space, with an interval, in microseconds of work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nas.architecture import Architecture
from nas.errors import InvalidInput, MissingEntry
from nas.latency.correction import LEAST_MODELS, Correction, Totals, Vector, fit_correction, left_out
from nas.latency.margin import drifts_of, fit_margin
from nas.latency.measurement import Measurement
from nas.latency.plan import kept_bytes_of_call, phase_runs, weight_bytes_of_call, working_bytes
from nas.latency.table import LatencyTable
from nas.space import SearchSpace
from nas.sub_blocks.calls import Call, Phase, calls
from nas.sub_blocks.space_calls import calls_of_space

OVERHEAD = "overhead"
NS_PER_MS = 1e6


@dataclass(frozen=True)
class LatencyPrediction:
    """A predicted latency in milliseconds."""

    latency_ms: float
    lower_ms: float
    upper_ms: float
    """A measurement lies between lower_ms and upper_ms with 90 % confidence."""
    breakdown: tuple[tuple[str, float], ...]
    """(call key, ms) in order of execution, those of a step times the steps; `overhead` last; they sum to the whole."""
    phases: dict[Phase, float]
    """The milliseconds of one prefill and of one step."""


@dataclass(frozen=True)
class HeldOut:
    """A whole model of a table beside what a fit on all the others says of it."""

    architecture: Architecture
    measured_ms: float
    predicted_ms: float
    lower_ms: float
    upper_ms: float
    """Of the 90 % interval that a prediction of this model has."""


class LatencyPredictor:
    """Predicts from one table. The correction is fitted anew from the table's whole models, never read from it."""

    def __init__(self, table: LatencyTable) -> None:
        """Raise `InvalidInput` if too few whole models are valid, or their sub-blocks have no valid entries."""
        self.table = table
        self._latencies_ns = {key: entry.latency_ns for key, entry in table.entries.items() if entry.valid}
        self._fit()

    def _fit(self) -> None:
        self.runs = phase_runs(self._family, self.table.workload)
        """How often each phase runs in one inference."""
        models: list[dict[Phase, Totals]] = []
        fitted: list[Architecture] = []
        measured: list[dict[Phase, Measurement]] = []
        for architecture, found in self.table.valid_models:
            try:
                models.append(self.totals(architecture))
            except MissingEntry:
                continue  # of a model with an invalid part the sum isn't known
            fitted.append(architecture)
            measured.append(found)
        if len(models) <= LEAST_MODELS:
            raise InvalidInput.of(
                "whole_models",
                f"{len(models)} valid",
                f"at least {LEAST_MODELS + 1} valid",
                "profile the device again with more whole models",
            )
        self.corrections: dict[Phase, Correction] = {}
        predicted, truth = np.zeros(len(models)), np.zeros(len(models))
        for phase, runs in self.runs.items():
            totals = [model[phase] for model in models]
            latencies = [float(model[phase].latency_ns) for model in measured]
            self.corrections[phase] = fit_correction(totals, latencies)
            predicted += runs * left_out(totals, latencies)
            truth += runs * np.array(latencies)
        self.left_out_errors: tuple[float, ...] = tuple(map(float, predicted / truth - 1))
        """Of each whole model, predicted by a fit on all the others: predicted / measured - 1."""
        self._fitted, self._truth_ns = tuple(fitted), truth
        self._beyond = np.array([float(self.latency_and_beyond(model)[1]) for model in models])
        drifts = drifts_of([[(self.runs[phase], found) for phase, found in model.items()] for model in measured])
        self.margin = fit_margin(self.left_out_errors, self._beyond, drifts)
        """Half the 90 % interval of a prediction, relative to it."""

    @property
    def _family(self) -> str:
        models = self.table.whole_models
        return models[0].architecture["family"] if models else "encoder"

    def latency_ns_of(self, call: Call) -> int:
        """Return what the table says of a call; raise `MissingEntry` naming it and the command that measures it."""
        found = self._latencies_ns.get(call.key)
        if found is None:
            raise MissingEntry(self._words_for_missing(call.key))
        return found

    def _words_for_missing(self, key: str) -> str:
        entry = self.table.entries.get(key)
        state = "no entry" if entry is None else f"no valid entry ({entry.reason})"
        device, workload = self.table.device.name, self.table.workload
        return (
            f"The latency table of device {device} at {workload.key} has {state} for {key}. "
            f"Measure a space that has it: nas device profile {device} --space NAME --batch {workload.batch} "
            f"--input-length {workload.input_length} --output-length {workload.output_length}"
        )

    def totals_of_call(self, call: Call, repeats: int = 1) -> Totals:
        """Return what a sub-block that runs so often adds to a phase; raise `MissingEntry` for one that is missing."""
        weights = weight_bytes_of_call(call, self.table.device.precision)
        latency_ns, kept = self.latency_ns_of(call), kept_bytes_of_call(call)
        numbers = (latency_ns * repeats, repeats, weights * repeats, weights + kept * repeats)
        return Totals(*map(float, numbers))

    def totals(self, architecture: Architecture) -> dict[Phase, Totals]:
        """Return of each phase the sum of its calls, their number, and the bytes that they read and go through."""
        workload, precision = self.table.workload, self.table.device.precision
        result: dict[Phase, Totals] = {}
        for phase in phase_runs(architecture.family, workload):
            each = map(self.totals_of_call, calls(architecture, workload, phase))
            added = Totals(*map(sum, zip(*each, strict=True)))
            result[phase] = added._replace(working_bytes=float(working_bytes(architecture, workload, phase, precision)))
        return result

    def latency_and_beyond(self, totals: Mapping[Phase, Totals]) -> tuple[float | Vector, float | Vector]:
        """Return the nanoseconds of an inference, and how far beyond its cache it is (0 to 1, mean over its time)."""
        latency_ns: float | Vector = 0.0
        beyond: float | Vector = 0.0
        for phase, of_phase in totals.items():
            correction = self.corrections[phase]
            ns = self.runs[phase] * correction.apply(of_phase)
            latency_ns = latency_ns + ns
            beyond = beyond + ns * correction.ramp(of_phase)
        return latency_ns, beyond / latency_ns

    def predict(self, architecture: Architecture) -> LatencyPrediction:
        """Return the predicted latency; raise `MissingEntry` naming the first call without a valid entry."""
        whole = self.totals(architecture)
        breakdown: list[tuple[str, float]] = []
        phases: dict[Phase, float] = {}
        overhead_ms = 0.0
        for phase, totals in whole.items():
            correction, runs = self.corrections[phase], self.runs[phase]
            phases[phase] = float(correction.apply(totals)) / NS_PER_MS
            ramp = float(correction.ramp(totals))
            shares = []
            for call in calls(architecture, self.table.workload, phase):
                own = self.totals_of_call(call)
                ns = float(own.sum_ns) + float(correction.beyond(own)) * ramp
                shares.append((call.key, runs * ns / NS_PER_MS))
            breakdown += shares
            overhead_ms += runs * phases[phase] - sum(ms for _, ms in shares)
        breakdown.append((OVERHEAD, overhead_ms))
        latency_ms = sum(self.runs[phase] * ms for phase, ms in phases.items())
        margin = float(self.margin.at(self.latency_and_beyond(whole)[1]))
        return LatencyPrediction(
            latency_ms, latency_ms * (1 - margin), latency_ms * (1 + margin), tuple(breakdown), phases
        )

    def missing(self, space: SearchSpace) -> list[str]:
        """Return the keys of the space's calls that have no valid entry."""
        return [call.key for call in calls_of_space(space, self.table.workload) if call.key not in self._latencies_ns]

    def coverage(self, space: SearchSpace) -> float:
        """Return the share of the space's calls that have a valid entry, 0 to 1."""
        return 1 - len(self.missing(space)) / len(calls_of_space(space, self.table.workload))

    def errors(self) -> dict[str, float]:
        """Return how far off the correction is on each whole model when fitted on all the others.

        `mean_absolute_percent` and `bias_percent` (above zero: predicted too slow) in percent,
        `within_7_percent` and `within_15_percent` as shares 0 to 1, `interval_percent` of the 90 % interval (mean),
        and `whole_models`, their number.
        """
        errors = self.left_out_errors
        return {
            "mean_absolute_percent": 100 * sum(map(abs, errors)) / len(errors),
            "bias_percent": 100 * sum(errors) / len(errors),
            "within_7_percent": sum(abs(e) <= 0.07 for e in errors) / len(errors),
            "within_15_percent": sum(abs(e) <= 0.15 for e in errors) / len(errors),
            "interval_percent": 100 * float(np.mean(self.margin.at(self._beyond))),
            "whole_models": float(len(errors)),
        }

    def held_out(self) -> tuple[HeldOut, ...]:
        """Return each whole model beside its prediction by a fit on all the others: what `errors` sums up."""
        margins = np.broadcast_to(self.margin.at(self._beyond), self._beyond.shape)
        result = []
        for model, truth_ns, error, margin in zip(
            self._fitted, self._truth_ns, self.left_out_errors, margins, strict=True
        ):
            predicted_ms = float(truth_ns) * (1 + error) / NS_PER_MS
            result.append(
                HeldOut(
                    model,
                    float(truth_ns) / NS_PER_MS,
                    predicted_ms,
                    predicted_ms * (1 - float(margin)),
                    predicted_ms * (1 + float(margin)),
                )
            )
        return tuple(result)
