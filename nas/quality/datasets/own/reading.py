"""From lines to rows: CSV and TSV with a header, JSONL with an object a line. One pass, one row in memory."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

from nas.errors import InvalidInput
from nas.quality.datasets.own.decoding import LONGEST_ROW, lines
from nas.quality.datasets.own.document import Format


class Row(NamedTuple):
    """One row of a table."""

    line: int
    """Where it ends in the file, counted from 1."""
    values: dict[str, Any]
    """By column; text, and in JSONL whatever JSON has."""


def rows(pieces: Iterable[bytes], form: Format) -> Iterator[Row]:
    """Yield the rows of a table; blank lines are no rows.

    Raises `InvalidInput` (field `file`) where the file is no such table, naming the line. TSV has no quotes, as
    its media type has it: a field holds neither tabs nor line feeds.
    """
    match form:
        case "csv":
            yield from _delimited(lines(pieces), ",")
        case "tsv":
            yield from _delimited((line.rstrip("\r\n") for line in lines(pieces)), "\t")
        case "jsonl":
            yield from _objects(lines(pieces))
        case "txt":
            raise ValueError("plain text has no rows")


def text_in(row: Row, column: str, field: str) -> str:
    """Return the text in a column of a row; empty where there is none.

    Raises `InvalidInput` (`field`) for a column that the row does not have, and for values that are no text.
    """
    value = _value(row, column, field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidInput.of(
            field, f"{json.dumps(value)[:60]} in line {row.line}", f"text in the column {column}", "write it as text"
        )
    return value


def label_in(row: Row, column: str, field: str) -> str:
    """Return the label in a column of a row, as text; empty where there is none. Raises as `text_in`."""
    value = _value(row, column, field)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        raise InvalidInput.of(
            field,
            f"{json.dumps(value)[:60]} in line {row.line}",
            f"text, a whole number, true or false in the column {column}",
            "name the column that holds the class",
        )
    return value.strip()


def _value(row: Row, column: str, field: str) -> Any:
    try:
        return row.values[column]
    except KeyError:
        there = ", ".join(list(row.values)[:50]) or "none"
        raise InvalidInput.of(
            field, column, f"a column that the file has ({there})", f"name one of these (line {row.line} has no other)"
        ) from None


def _delimited(file_lines: Iterable[str], delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_ROW)  # of the whole process; Python's own is 128 KiB
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE
    reader = csv.reader(file_lines, delimiter=delimiter, quoting=quoting, strict=True)
    header: list[str] | None = None
    while True:
        start = reader.line_num + 1
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise _no_row(start, str(error)) from error
        if fields is None:
            return
        if len(fields) < 2 and not any(field.strip() for field in fields):
            continue
        if header is None:
            header = _header(fields)
        elif len(fields) != len(header):
            raise InvalidInput.of(
                "file",
                f"{len(fields)} fields in the row at line {start}",
                f"{len(header)} fields, as the header has ({', '.join(header[:20])})",
                "quote fields that hold a separator, and mend this row",
            )
        else:
            yield Row(reader.line_num, dict(zip(header, fields, strict=True)))


def _header(fields: list[str]) -> list[str]:
    names = [field.strip() for field in fields]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InvalidInput.of(
            "file", f"columns {sorted(twice)} twice in the header", "columns of different names", "rename them"
        )
    return names


def _no_row(line: int, reason: str) -> InvalidInput:
    if "field larger" in reason or "unexpected end" in reason:
        value, step = f"a quote that opens near line {line} and does not close", "close it, or double quotes inside"
    elif "new-line" in reason:
        value, step = f"a carriage return inside line {line}", "end lines with line feeds: dos2unix -c mac FILE"
    else:
        value, step = f"line {line}: {reason}", "quote the field, and double the quotes inside it"
    return InvalidInput.of("file", value, "CSV as in RFC 4180: a header, then rows of as many fields", step)


def _objects(file_lines: Iterable[str]) -> Iterator[Row]:
    for number, line in enumerate(file_lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _no_object(number, line, str(error)) from error
        if not isinstance(value, dict):
            raise _no_object(number, line, f"it holds {type(value).__name__}, not an object")
        if "\\u" in line:  # only an escape can bring in what no UTF-8 file holds
            for name, inner in value.items():
                _refuse_unprintable(inner, number, name)
        yield Row(number, value)


def _no_object(number: int, line: str, reason: str) -> InvalidInput:
    return InvalidInput.of(
        "file", f"line {number}: {line.strip()[:60]}", "one JSON object a line, such as {…}", f"mend it: {reason}"
    )


def _refuse_unprintable(value: Any, number: int, column: str) -> None:
    if isinstance(value, str) and ("\0" in value or not _encodable(value)):
        raise InvalidInput.of(
            "file",
            f"\\u0000 or half a surrogate pair in the column {column!r}, line {number}",
            "text without NUL characters and lone surrogates",
            "remove it",
        )


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
