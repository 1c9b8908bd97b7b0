"""The least and the greatest predicted latency of a whole space."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nas.architecture import Architecture
from nas.latency.predict import LatencyPredictor
from nas.latency.vectorised import VectorisedLatency
from nas.space import Genotype, PartKey, SearchSpace
from nas.space.encoding import encode
from nas.space.frames import Frame
from nas.space.neighbours import neighbours
from nas.sub_blocks.space_calls import calls_of_part

_LEVELS = 5
"""Of the ramp of the corrections, from none to all."""
_PRICES = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Of a byte, in units of what one takes on average: fewer bytes bring a whole model down its ramp."""
_STARTS = 6

Vector = NDArray[np.float64]
Bound = Literal["latency_ms", "lower_ms", "upper_ms"]
"""Of a prediction: what is most likely, or an end of its interval."""


def extreme(
    predictor: LatencyPredictor, space: SearchSpace, *, least: bool, bound: Bound = "latency_ms"
) -> tuple[float, Architecture]:
    """Return (ms, architecture): the least or greatest predicted latency of the space, or end of its interval.

    Were the corrections' ramp the same for all models, a prediction would be a sum over layers, and the best option of
    each part would be best everywhere. So for a grid of ramps, and of prices of a byte, the best of every frame and
    depth is put together part by part. From the best few of all these, by their exact prediction, single choices are
    changed until no change is better. What is returned is an architecture that there is, and near the extreme to a
    fraction of a percent. Raises `MissingEntry` for a space that is not covered.
    """
    sign = 1 if least else -1
    vectorised = VectorisedLatency(predictor, space)

    def rated(genotypes: Sequence[Genotype]) -> Vector:
        predicted: Vector = getattr(vectorised.of(encode(space, genotypes)), bound)
        return sign * predicted

    candidates = list(_candidates(predictor, space, sign))
    ratings = rated(candidates)
    best, rating = candidates[int(ratings.argmin())], float(ratings.min())
    for place in np.argsort(ratings, kind="stable")[:_STARTS]:
        found, its = _descended(space, candidates[place], float(ratings[place]), rated)
        if its < rating:
            best, rating = found, its
    architecture = space.architecture(best)
    ms: float = getattr(predictor.predict(architecture), bound)
    return ms, architecture


def _descended(
    space: SearchSpace, genotype: Genotype, rating: float, rated: Callable[[Sequence[Genotype]], Vector]
) -> tuple[Genotype, float]:
    """Return the genotype where no single change is better, and its rating."""
    while True:
        around = list(neighbours(space, genotype))
        ratings = rated(around)
        if not len(ratings) or ratings.min() >= rating:
            return genotype, rating
        genotype, rating = around[int(ratings.argmin())], float(ratings.min())


def _candidates(predictor: LatencyPredictor, space: SearchSpace, sign: int) -> Iterator[Genotype]:
    seen = set()
    for index, frame in enumerate(space.frames):
        costs = {key: _costs(predictor, space, frame, key) for key in space.parts}
        every = np.concatenate(list(costs.values()))
        ns_per_byte = float(every[:, 0].sum() / max(every[:, 2].sum(), 1.0))
        for depths in space.depths:
            valid = {key: space.valid(frame, key, depths) for key in space.parts}
            if not all(valid.values()):
                continue
            for share, price in product(np.linspace(0, 1, _LEVELS), _PRICES):
                weights = np.array([1.0, share, price * ns_per_byte])
                layers = {}
                for key, options in valid.items():
                    ratings = sign * costs[key][list(options)] @ weights
                    best = options[int(ratings.argmin())]
                    layers[key] = (best,) * depths[space.stacks.index(key.stack)]
                identity = (index, tuple(layers.values()))
                if identity not in seen:
                    seen.add(identity)
                    yield Genotype(index, layers)


def _costs(predictor: LatencyPredictor, space: SearchSpace, frame: Frame, key: PartKey) -> Vector:
    """Return by option (options, 3) what one layer takes in an inference.

    Nanoseconds below the lower knees, what is added above the upper ones, and the bytes that it moves.
    """
    result = np.zeros((len(space.parts[key].options), 3))
    for phase, runs in predictor.runs.items():
        fitted = predictor.corrections[phase]
        for index, run in calls_of_part(space, frame, key, predictor.table.workload, phase).items():
            for call in run:
                own = predictor.totals_of_call(call, frame.stacks[key.stack].repeats)
                near = own.sum_ns + fitted.call_ns * own.calls
                result[index] += runs * np.array([near, fitted.beyond(own), own.working_set])
    return result
