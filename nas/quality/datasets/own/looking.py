"""Looking at a file before anybody trains on it: its beginning at once, all of it in one pass."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from nas.errors import InvalidInput
from nas.quality.datasets.own.document import Format
from nas.quality.datasets.own.examples import LOOKED_AT_CHARACTERS, units
from nas.quality.datasets.own.reading import rows

SHOWN_ROWS = 3
SHOWN_CHARACTERS = 80
MOST_VALUES = 1_000
LONGEST_VALUE = 200
"""Characters of a value that is counted among others; a longer one is free text."""
PLAIN_TEXT = "text"
"""What the one column of plain text is called."""


@dataclass(frozen=True)
class Beginning:
    """The columns of a file and its first rows, values cut short."""

    columns: tuple[str, ...]
    first_rows: tuple[dict[str, str], ...]


@dataclass
class Column:
    """What stands in one column, over all rows."""

    name: str
    filled: int = 0
    """Rows that have a value here."""
    values: dict[str, int] | None = field(default_factory=dict)
    """How often each value stands here; None where there are more than `MOST_VALUES`, or free text."""
    lengths: Counter[int] = field(default_factory=Counter)
    """How many values have so many characters."""

    def add(self, value: Any) -> None:
        """Count one value."""
        text = _text(value)
        if not text.strip():
            return
        self.filled += 1
        self.lengths[len(text)] += 1
        if self.values is not None:
            self.values[text] = self.values.get(text, 0) + 1
            if len(text) > LONGEST_VALUE or len(self.values) > MOST_VALUES:
                self.values = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values: the ten commonest values, and characters at four percentiles."""
        commonest = None
        if self.values is not None:
            commonest = dict(sorted(self.values.items(), key=lambda item: (-item[1], item[0]))[:10])
        return {
            "name": self.name,
            "filled": self.filled,
            "distinct": None if self.values is None else len(self.values),
            "commonest": commonest,
            "length_percentiles": self._percentiles(),
        }

    def _percentiles(self) -> dict[str, int]:
        if not self.lengths:
            return {}
        lengths = np.array(sorted(self.lengths))
        seen = np.cumsum([self.lengths[int(length)] for length in lengths])
        last = int(seen[-1]) - 1
        return {str(p): int(lengths[np.searchsorted(seen, last * p // 100, side="right")]) for p in (50, 90, 99, 100)}


class _BeginningEnds(Exception):
    """More is asked for than the beginning holds."""


def look_at_beginning(first: bytes, form: Format, *, whole: bool) -> dict[str, Any]:
    """Return columns and first rows (the fields of `Beginning`) from the first bytes of a file, or all of them.

    Raises `InvalidInput` (field `file`) for what is no text, no such table, or empty.
    """

    def pieces() -> Iterator[bytes]:
        yield first
        if not whole:
            raise _BeginningEnds

    found: list[dict[str, str]] = []
    columns: tuple[str, ...] = ()
    try:
        for values in islice(_values(pieces(), form, looked_at=len(first) // 8), SHOWN_ROWS):
            columns = columns or tuple(values)
            found.append({name: _cut(_text(value)) for name, value in values.items()})
        if not found:
            raise _empty()
    except _BeginningEnds:
        """A row is longer than the beginning: nothing is known of it yet."""
    return asdict(Beginning(columns, tuple(found)))


def survey(pieces: Iterable[bytes], form: Format) -> dict[str, Any]:
    """Return `rows` and `columns` of a whole file, each column as `Column.to_dict`; raise `InvalidInput`."""
    columns: dict[str, Column] = {}
    count = 0
    for values in _values(pieces, form):
        count += 1
        for name, value in values.items():
            if name not in columns and len(columns) >= MOST_VALUES:
                raise InvalidInput.of("file", f"more than {MOST_VALUES} columns", "a table", "check the format")
            columns.setdefault(name, Column(name)).add(value)
    if not count:
        raise _empty()
    return {"rows": count, "columns": [column.to_dict() for column in columns.values()]}


def _values(pieces: Iterable[bytes], form: Format, looked_at: int = LOOKED_AT_CHARACTERS) -> Iterator[dict[str, Any]]:
    if form == "txt":
        return ({PLAIN_TEXT: unit} for unit in units(pieces, looked_at))
    return (row.values for row in rows(pieces, form))


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"


def _empty() -> InvalidInput:
    return InvalidInput.of("file", "no rows", "a file with rows of data", "check that it is the right file")
