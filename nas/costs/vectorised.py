"""All costs of many architectures at once: table rows gathered and added up, exact to the unit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas.architecture import MOST_READS
from nas.costs.costs import BYTES_PER_MB, cost_names
from nas.costs.sub_block_costs import BYTES_PER_WEIGHT
from nas.costs.tables import SUMS, CostTables, Integers
from nas.space import Encoded, PartKey, SearchSpace
from nas.space.encoding import NONE
from nas.workload import Workload

ROWS_AT_ONCE = 8_192
"""Few enough for the gathered rows to stay in the cache."""
_LARGEST_SUM = 2**62


class VectorisedCosts:
    """The costs of any architectures of one space at one workload, as `costs_of` gives them."""

    def __init__(self, space: SearchSpace, workload: Workload, tables: CostTables | None = None) -> None:
        """Count every sub-block of the space once, unless `tables` of it are given."""
        self.tables = tables or CostTables(space, workload)
        self._names = cost_names(space.family)
        # A column that is 0 everywhere is not gathered
        used = self.tables.fixed_sums.any(axis=(0, 1))
        for part in self.tables.parts.values():
            used |= part.sums.any(axis=(0, 1))
        self._columns = np.flatnonzero(used)
        self._rows = {key: self._flat(key) for key in self.tables.parts}
        self._kept = space.family == "encoder-decoder"

    def _flat(self, key: PartKey) -> tuple[Integers, Integers]:
        """Return sums (rows · (options + 1), columns) and peaks (rows · (options + 1), reads); the last option is 0."""
        part = self.tables.parts[key]
        padded = [np.pad(table, ((0, 0), (0, 1), (0, 0))) for table in (part.sums[:, :, self._columns], part.peaks)]
        sums, peaks = (np.ascontiguousarray(table.reshape(-1, table.shape[-1])) for table in padded)
        deepest = max(self.tables.space.choices(key.stack).depth)
        if float(sums.max(initial=0)) * deepest > _LARGEST_SUM:
            sums = sums.astype(object)  # Python's integers: slow, and right
        return sums, peaks

    def of(self, encoded: Encoded) -> dict[str, NDArray[np.float64] | Integers]:
        """Return each cost of `cost_names(family)` as an array (N,): counts int64, megabytes float64.

        The indices must be choices of the space, as `SearchSpace.encode` and `sample_encoded` give them.
        """
        chunks = [self._sums(encoded[start : start + ROWS_AT_ONCE]) for start in range(0, len(encoded), ROWS_AT_ONCE)]
        if not chunks:
            chunks = [(np.zeros((0, len(SUMS)), dtype=np.int64), np.zeros(0, dtype=np.int64))]
        sums = np.concatenate([chunk for chunk, _ in chunks])
        peaks = np.concatenate([chunk for _, chunk in chunks])
        column = dict(zip(SUMS, sums.T, strict=True))
        steps = self.tables.workload.output_length
        found = {
            "parameters": column["parameters"],
            "parameters_without_embeddings": column["parameters"] - column["embedding_parameters"],
            "macs": column["macs_prefill"] + steps * column["macs_step"],
            "macs_prefill": column["macs_prefill"],
            "macs_step": column["macs_step"],
            "size_mb": column["parameters"] * BYTES_PER_WEIGHT / BYTES_PER_MB,
            "size_int8_mb": column["int8_bytes"] / BYTES_PER_MB,
            "kv_cache_mb": column["cache_bytes"] / BYTES_PER_MB,
            "peak_activation_mb": peaks / BYTES_PER_MB,
        }
        return {name: found[name] for name in self._names}

    def _sums(self, encoded: Encoded) -> tuple[Integers, Integers]:
        """Return sums (n, len(SUMS)) and the peak bytes (n,)."""
        reads = self._most_reads(encoded)
        exact = any(sums.dtype == object for sums, _ in self._rows.values())
        total = self.tables.fixed_sums[encoded.frames, reads]
        total = total.astype(object) if exact else total.copy()
        peak = self.tables.fixed_peaks[encoded.frames, reads].copy()
        for key, options in encoded.layers.items():
            part = self.tables.parts[key]
            sums, peaks = self._rows[key]
            width = part.valid.shape[1] + 1
            index = np.where(options == NONE, width - 1, options) + part.rows[encoded.frames][:, None] * width
            for layer in range(index.shape[1]):  # one gather a layer is quicker than one of three dimensions
                total[:, self._columns] += sums[index[:, layer]]
            held = peaks[:, 0][index] if not self._kept else peaks[index, reads[:, None]]
            if self._kept and key.stack == "encoder":
                self._add_kept(held, key, encoded, reads)
            np.maximum(peak, held.max(axis=1), out=peak)
        return total, peak

    def _add_kept(self, held: Integers, key: PartKey, encoded: Encoded, reads: Integers) -> None:
        """Add to (n, layers) what the last encoder layers hold for the decoder."""
        depth = (encoded.layers[key] != NONE).sum(axis=1)
        for from_end in range(1, MOST_READS):
            rows = np.flatnonzero(depth >= from_end)
            kept = self.tables.kept_bytes(key, encoded.frames[rows].astype(np.int64), reads[rows] + 1, from_end)
            held[rows, depth[rows] - from_end] += kept

    def _most_reads(self, encoded: Encoded) -> Integers:
        """Return (n,): the most encoder layers that a decoder layer reads, less one."""
        result = np.zeros(len(encoded), dtype=np.int64)
        for key, options in encoded.layers.items():
            if key.part == "cross":
                reads = np.append(self.tables.parts[key].reads, 0)  # -1 finds the last
                result = reads[options].max(axis=1) - 1
        return result
