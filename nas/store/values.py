"""Values on their way into the database: refused or mended so that both engines keep the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from nas.errors import InvalidInput

LARGEST_NUMBER = 2**31 - 1
LARGEST_SEQUENCE = 2**63 - 1


def plain(value: Any, field: str) -> Any:
    """Return a copy of `value` made of JSON values only, as it will be read back.

    Raises `InvalidInput` for what JSON does not have (NaN, infinities, objects) and for text that PostgreSQL
    can't keep (NUL characters, lone surrogates).
    """
    try:
        encoded = json.dumps(value, allow_nan=False, ensure_ascii=False)
        encoded.encode()
    except UnicodeEncodeError as error:
        raise _not_text(field) from error
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput.of(field, value, "JSON values, with finite numbers", str(error)) from error
    if "\\u0000" in encoded and any("\0" in text for text in _texts(value)):
        raise _not_text(field)
    return json.loads(encoded)


def plain_text(value: Any, field: str) -> str:
    """Return `value`; raise `InvalidInput` unless it is text that both engines can keep."""
    if not isinstance(value, str):
        raise InvalidInput.of(field, value, "text", "correct it")
    plain(value, field)
    return value


def mended_text(value: str | None) -> str | None:
    """Return a message of ours with what a database can't keep replaced: an error report is never refused."""
    return value and value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def within_range(number: int, largest: int = LARGEST_NUMBER) -> int:
    """Return `number`, or the nearest one that a column of up to `largest` can be compared with."""
    return max(-largest, min(number, largest))


def check_limit(limit: int, largest: int = 10_000) -> int:
    """Return a page's size; raise `InvalidInput` outside 1 … `largest`."""
    if not 1 <= limit <= largest:
        raise InvalidInput.of("limit", limit, f"1 to {largest}", "ask for smaller pages")
    return limit


def _not_text(field: str) -> InvalidInput:
    return InvalidInput.of(field, "unprintable text", "text without NUL characters and lone surrogates", "remove them")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(key)
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
