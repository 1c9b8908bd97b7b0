"""Rows: a CSV file of whole architectures and what they took, in our form or in that of HAT's data sets.

Ours has a column `architecture` (JSON as `Architecture.to_dict` gives it) and one `latency_ms` (or `_s`, `_us`,
`_ns`, or `latency` with the unit given beside it). HAT's has averages (`decoder_ffn_embed_dim_avg` …) and the latencies
of encoder and decoder, in milliseconds as its measuring script writes them, which are summed.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nas.architecture import Architecture
from nas.documents import parse_json
from nas.errors import InvalidInput, TooLarge
from nas.latency.fitted.features import FIELDS, STACKS, Columns, Vector, fields_of

Unit = Literal["s", "ms", "us", "ns"]
UNITS: dict[Unit, float] = {"s": 1e3, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
"""Milliseconds in one."""
MAX_BYTES = 50_000_000
MAX_ROWS = 20_000
PLAUSIBLE_MS = (0.02, 100_000.0)
"""Where the median of a file must lie: nanoseconds taken for milliseconds are far above, seconds mostly below."""

_HAT = {
    "embed_dim": "hidden_size",
    "layer_num": "layers",
    "ffn_embed_dim_avg": "feed_forward_size",
    "self_attention_heads_avg": "heads",
}
_HAT_CROSS = {"decoder_ende_attention_heads_avg": "cross_heads", "decoder_arbitrary_ende_attn_avg": "cross_reads"}
_HAT_ATTENTION_SIZE = 512.0
"""All heads together, whatever the hidden size: `qkv-dim` in each of HAT's configurations."""


@dataclass(frozen=True)
class Rows:
    """The rows of a file, in its order."""

    columns: Columns
    """By field, means over the layers; a field that the form doesn't tell is missing."""
    lowest: Columns
    highest: Columns
    """By field, of the layers; of HAT's form, which tells no layers, the means again."""
    latencies_ms: Vector
    form: Literal["hat", "architecture"]
    families: tuple[str, ...]
    activations: tuple[str, ...]
    """All that occur, sorted."""
    latency_column: str
    """Its name, or the names of those that were summed."""
    sha256: str
    """Of the file's bytes, hexadecimal."""

    def __len__(self) -> int:
        return len(self.latencies_ms)

    def taken(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> tuple[Columns, Vector]:
        """Return (columns, latencies in ms) of the chosen rows: flags or numbers counted from 0."""
        return {name: values[chosen] for name, values in self.columns.items()}, self.latencies_ms[chosen]


def read_rows(raw: bytes, unit: Unit | None = None, field: str = "rows") -> Rows:
    """Read a CSV file's bytes; `unit` of the latencies where no column's name states it.

    Raises `InvalidInput` naming row (the first below the header is 1) and column of each thing that is wrong.
    """
    header, lines = _table(raw, field)
    ours = "architecture" in header
    column_ms = _latency_columns(header, ours, unit, field)
    latencies = np.array(
        [sum(_positive(line[name], row, name) for name in column_ms.names) * column_ms.ms for row, line in lines]
    )
    _check_plausible(latencies, column_ms, field)
    sha256 = hashlib.sha256(raw).hexdigest()
    if not ours:
        columns, family = _hat_columns(header, lines, field)
        return Rows(columns, columns, columns, latencies, "hat", (family,), ("relu",), column_ms.name, sha256)
    architectures = [_architecture(line["architecture"], row) for row, line in lines]
    values = [fields_of(architecture) for architecture in architectures]
    return Rows(
        {name: np.array([value[name].mean for value in values]) for name in FIELDS},
        {name: np.array([value[name].lowest for value in values]) for name in FIELDS},
        {name: np.array([value[name].highest for value in values]) for name in FIELDS},
        latencies,
        "architecture",
        tuple(sorted({a.family for a in architectures})),
        tuple(sorted({activation for a in architectures for activation in activations_of(a)})),
        column_ms.name,
        sha256,
    )


def activations_of(architecture: Architecture) -> set[str]:
    """Return the activations of all layers."""
    return {layer.activation or stack.activation for _, stack in architecture.stacks for layer in stack.layers}


Line = tuple[int, dict[str, str]]


def _table(raw: bytes, field: str) -> tuple[list[str], list[Line]]:
    """Return the header and (row, cells by column) of every row."""
    if len(raw) > MAX_BYTES:
        raise TooLarge.of(field, f"{len(raw)} bytes", f"at most {MAX_BYTES} bytes", "give fewer rows")
    try:
        table = list(csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput.of(field, f"{len(raw)} bytes", "a CSV file in UTF-8", f"mend it ({error})") from error
    table = [line for line in table if line]
    if len(table) < 2:
        raise InvalidInput.of(field, f"{len(table)} lines", "a header and a line for each row", "add the rows")
    if len(table) - 1 > MAX_ROWS:
        raise TooLarge.of(field, f"{len(table) - 1} rows", f"at most {MAX_ROWS} rows", "give fewer rows")
    header = [name.strip() for name in table[0]]
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise InvalidInput.of(f"{field}, header", twice[0], "each column once", "remove one of them")
    lines = []
    for row, cells in enumerate(table[1:], start=1):
        if len(cells) != len(header):
            allowed = f"{len(header)} cells, as the header has"
            raise InvalidInput.of(f"row {row}", f"{len(cells)} cells", allowed, "is the file cut off?")
        lines.append((row, dict(zip(header, cells, strict=True))))
    return header, lines


@dataclass(frozen=True)
class _LatencyColumns:
    names: tuple[str, ...]
    ms: float
    """Milliseconds in one of their unit."""

    @property
    def name(self) -> str:
        return " + ".join(self.names)


def _latency_columns(header: list[str], ours: bool, unit: Unit | None, field: str) -> _LatencyColumns:
    if not ours:
        names = tuple(name for stack in STACKS if (name := f"latency_mean_{stack}") in header)
        if not names:
            allowed = "architecture and latency_ms, or HAT's columns with latency_mean_encoder, latency_mean_decoder"
            raise InvalidInput.of(f"{field}, header", ", ".join(header), allowed, "name the columns so")
        return _LatencyColumns(names, UNITS[unit or "ms"])
    stated = {f"latency_{known}": known for known in UNITS if f"latency_{known}" in header}
    if len(stated) + ("latency" in header) != 1:
        given = ", ".join([*stated, *(["latency"] if "latency" in header else [])]) or None
        allowed = "one column latency_ms, latency_s, latency_us, latency_ns, or latency with --unit"
        raise InvalidInput.of(f"{field}, header", given, allowed, "keep or add the one that holds the latency")
    if not stated:
        if unit is None:
            raise InvalidInput.of("--unit", None, ", ".join(UNITS), "state the unit of the column `latency`")
        return _LatencyColumns(("latency",), UNITS[unit])
    ((name, known),) = stated.items()
    if unit not in (None, known):
        raise InvalidInput.of("--unit", unit, f"{known}, as the column {name} says", "remove --unit or rename it")
    return _LatencyColumns((name,), UNITS[known])


def _hat_columns(header: list[str], lines: list[Line], field: str) -> tuple[Columns, str]:
    """Return the columns by field, and the family."""
    there = [stack for stack in STACKS if f"latency_mean_{stack}" in header]
    wanted = {f"{stack}_{name}": f"{stack}.{known}" for stack in there for name, known in _HAT.items()}
    if len(there) == len(STACKS):
        wanted |= {name: f"decoder.{known}" for name, known in _HAT_CROSS.items()}
    missing = [name for name in wanted if name not in header]
    if missing:
        raise InvalidInput.of(f"{field}, header", None, f"a column {missing[0]}", "add it")
    zeros = np.zeros(len(lines))
    columns = {name: zeros for name in FIELDS if "." in name}
    for name, known in wanted.items():
        columns[known] = np.array([_positive(line[name], row, name) for row, line in lines])
    for stack in there:
        columns[f"{stack}.attention_size"] = zeros + _HAT_ATTENTION_SIZE
        columns[f"{stack}.softmax_layers"] = columns[f"{stack}.layers"]
    if len(there) == len(STACKS):
        columns["decoder.cross_attention_size"] = zeros + _HAT_ATTENTION_SIZE
    return columns, "-".join(there)


def _architecture(cell: str, row: int) -> Architecture:
    place = f"row {row}.architecture"
    return Architecture.from_dict(parse_json(cell, place), place)


def _positive(cell: str, row: int, column: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        place = f"row {row}.{column}"
        raise InvalidInput.of(place, cell, "a finite number above zero", "measure it again or remove the row")
    return value


def _check_plausible(latencies: Vector, columns: _LatencyColumns, field: str) -> None:
    low, high = PLAUSIBLE_MS
    median = float(np.median(latencies))
    if not low <= median <= high:
        place = f"{field}, {columns.name}"
        allowed = f"a median from {low:g} to {high:,.0f} ms: so long does a Transformer take"
        raise InvalidInput.of(place, f"{median:.6g} ms", allowed, "state the unit in which the values are")
