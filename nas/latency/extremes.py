"""The least and the greatest predicted latency of a whole space."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nas.architecture import Architecture
from nas.latency.predict import LatencyPredictor
from nas.latency.vectorised import VectorisedLatency
from nas.models.space_calls import calls_of_part
from nas.space import Genotype, PartKey, SearchSpace
from nas.space.encoding import encode
from nas.space.frames import Frame

_LEVELS = 7
"""Of the ramp of the corrections, from none to all."""


def extreme(predictor: LatencyPredictor, space: SearchSpace, *, least: bool) -> tuple[float, Architecture]:
    """Return (ms, architecture): the least or greatest predicted latency of the space, and who has it.

    Were the corrections' ramp the same for all models, a prediction would be a sum over layers, and the best option of
    each part would be best everywhere. So for a grid of ramps the best of every frame and depth is put together part
    by part, and the best of all these by their exact prediction is returned: an architecture that there is, and near
    the extreme to a fraction of a percent. Raises `MissingEntry` for a space that is not covered.
    """
    vectorised = VectorisedLatency(predictor, space)
    genotypes = list(_candidates(predictor, space, least))
    found = vectorised.of(encode(space, genotypes)).latency_ms
    best = int(np.argmin(found) if least else np.argmax(found))
    architecture = space.architecture(genotypes[best])
    return predictor.predict(architecture).latency_ms, architecture


def _candidates(predictor: LatencyPredictor, space: SearchSpace, least: bool) -> Iterator[Genotype]:
    sign = 1 if least else -1
    for index, frame in enumerate(space.frames):
        costs = {key: _costs(predictor, space, frame, key) for key in space.parts}
        for depths in space.depths:
            valid = {key: space.valid(frame, key, depths) for key in space.parts}
            if not all(valid.values()):
                continue
            for share in np.linspace(0, 1, _LEVELS):
                layers = {}
                for key in space.parts:
                    best = min(valid[key], key=lambda i: sign * float(costs[key][i] @ (1.0, share)))
                    layers[key] = (best,) * depths[space.stacks.index(key.stack)]
                yield Genotype(index, layers)


def _costs(
    predictor: LatencyPredictor, space: SearchSpace, frame: Frame, key: PartKey
) -> dict[int, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Return option → (nanoseconds below the lower knees, what is added above the upper ones) of one layer."""
    result = {index: np.zeros(2) for index in space.resolved(frame, key)}
    for phase, runs in predictor.runs.items():
        fitted = predictor.corrections[phase]
        for index, run in calls_of_part(space, frame, key, predictor.table.workload, phase).items():
            for call in run:
                own = predictor.totals_of_call(call)
                beyond = fitted.slowdown * own.sum_ns + fitted.byte_ns * own.moved_bytes
                result[index] += runs * np.array([own.sum_ns + fitted.call_ns, beyond])
    return result
