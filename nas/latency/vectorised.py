"""All latencies of many architectures at once: rows of a table gathered and added up, then corrected."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.architecture import MOST_READS, StackSettings
from nas.latency.correction import Totals
from nas.latency.predict import NS_PER_MS, LatencyPredictor
from nas.space import Encoded, PartKey, SearchSpace
from nas.space.encoding import NONE
from nas.space.frames import Frame
from nas.sub_blocks.calls import Call, Phase
from nas.sub_blocks.space_calls import calls_around, calls_of_memory, calls_of_part

ROWS_AT_ONCE = 8_192
"""Few enough for the gathered rows to stay in the cache."""
_WIDTH = len(Totals._fields)

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Latencies:
    """Predictions (N,) in milliseconds, as `LatencyPredictor.predict` gives them one at a time."""

    latency_ms: Vector
    lower_ms: Vector
    upper_ms: Vector


@dataclass(frozen=True)
class _Part:
    rows: NDArray[np.int64]
    """(frames,): the row of each frame; frames whose layers are alike share one."""
    width: int
    """Options, and one more for the layers that are not there."""
    totals: Vector
    """(rows · width, phases · len(Totals))."""


class VectorisedLatency:
    """The predicted latency of any architectures of one space, from one table."""

    def __init__(self, predictor: LatencyPredictor, space: SearchSpace) -> None:
        """Raise `MissingEntry` if a call of the space has no valid entry."""
        self._predictor, self.space = predictor, space
        self._phases: tuple[Phase, ...] = tuple(predictor.runs)
        self._parts = {key: self._part(key) for key in space.parts}
        self._fixed = np.stack([self._of_frame(frame) for frame in space.frames])  # (frames, reads, columns)
        self._reads = {
            key: np.array([*(option.get("reads") or 0 for option in part.options), 0], dtype=np.int64)
            for key, part in space.parts.items()
            if key.part == "cross"
        }

    def of(self, encoded: Encoded) -> Latencies:
        """Return the predictions of architectures as `SearchSpace.encode` and `sample_encoded` give them."""
        starts = range(0, len(encoded), ROWS_AT_ONCE)
        chunks = [self._predicted(encoded[start : start + ROWS_AT_ONCE]) for start in starts]
        latency_ms, margin = np.concatenate(chunks, axis=1) if chunks else np.zeros((2, 0))
        return Latencies(latency_ms, latency_ms * (1 - margin), latency_ms * (1 + margin))

    def _predicted(self, encoded: Encoded) -> Vector:
        """Return (2, N): milliseconds, and the margin."""
        reads = np.zeros(len(encoded), dtype=np.int64)
        for key, reads_of in self._reads.items():
            reads = reads_of[encoded.layers[key]].max(axis=1) - 1
        total = self._fixed[encoded.frames, reads]
        for key, options in encoded.layers.items():
            part = self._parts[key]
            index = np.where(options == NONE, part.width - 1, options) + part.rows[encoded.frames][:, None] * part.width
            for layer in range(index.shape[1]):  # one gather a layer is quicker than one of three dimensions
                total += part.totals[index[:, layer]]
        totals = {
            phase: Totals(*total[:, place * _WIDTH : (place + 1) * _WIDTH].T)
            for place, phase in enumerate(self._phases)
        }
        latency_ns, beyond = self._predictor.latency_and_beyond(totals)
        return np.stack([np.asarray(latency_ns) / NS_PER_MS, np.asarray(self._predictor.margin.at(beyond))])

    def _part(self, key: PartKey) -> _Part:
        known: dict[tuple[StackSettings, int], int] = {}
        rows, tables = [], []
        width = len(self.space.parts[key].options) + 1
        for frame in self.space.frames:
            memory = frame.stacks["encoder"].hidden_size if key.part == "cross" else 0
            identity = (frame.stacks[key.stack], memory)
            if identity not in known:
                known[identity] = len(known)
                tables.append(self._options(frame, key, width))
            rows.append(known[identity])
        return _Part(np.array(rows, dtype=np.int64), width, np.concatenate(tables))

    def _options(self, frame: Frame, key: PartKey, width: int) -> Vector:
        result = np.zeros((width, len(self._phases) * _WIDTH))
        for place, phase in enumerate(self._phases):
            columns = slice(place * _WIDTH, (place + 1) * _WIDTH)
            of_option = calls_of_part(self.space, frame, key, self._predictor.table.workload, phase)
            for index, run in of_option.items():
                result[index, columns] = self._sum(run, frame.stacks[key.stack].repeats)
        return result

    def _of_frame(self, frame: Frame) -> Vector:
        workload = self._predictor.table.workload
        result = np.zeros((MOST_READS, len(self._phases) * _WIDTH))
        for place, phase in enumerate(self._phases):
            columns = slice(place * _WIDTH, (place + 1) * _WIDTH)
            around = self._sum(calls_around(self.space, frame, workload, phase))
            memory = self._sum(calls_of_memory(self.space, frame, workload, phase))
            for reads in range(MOST_READS):
                result[reads, columns] = around + (reads + 1) * memory
        return result

    def _sum(self, run: list[Call], repeats: int = 1) -> Vector:
        result = np.zeros(_WIDTH)
        for call in run:
            result += np.array(self._predictor.totals_of_call(call, repeats))
        return result
