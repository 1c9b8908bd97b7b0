"""From a file to the examples of its task, each with the split that its text belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import NamedTuple

from nas.quality.datasets.own.decoding import lines
from nas.quality.datasets.own.document import OwnData
from nas.quality.datasets.own.reading import label_in, rows, text_in
from nas.quality.datasets.splits import SplitName, comparison_key, split_of

UNIT_CHARACTERS = 1 << 16
"""A longer paragraph of plain text is cut at the end of a line; a longer line, or row of a table, anywhere."""
LOOKED_AT_CHARACTERS = 1 << 20
"""Of the beginning of a plain text, to see whether blank lines part it."""


class Example(NamedTuple):
    """One example of a task."""

    split: SplitName
    text: str
    """What is read; of a language model, all of it."""
    label: str | None = None
    target: str | None = None
    """What is to be written."""


def examples(pieces: Iterable[bytes], own: OwnData) -> Iterator[Example | None]:
    """Yield the examples of a file in its order, and None for each row that lacks a text or a label.

    The split is a hash of the text under `comparison_key` (of what is read, of a pair): equal texts stand in one
    split, and none moves when others are added. Raises `InvalidInput` with fields of `OwnData`.
    """
    if own.table_format == "txt":
        for unit in units(pieces):
            yield Example(split_of_text(unit), unit)
        return
    named = own.columns or {}
    for row in rows(pieces, own.table_format):
        text, label, target = "", None, None
        for role, column in named.items():
            value = (label_in if role == "label" else text_in)(row, column, f"columns.{role}")
            if role == "label":
                label = value
            elif role == "target":
                target = value
            else:
                text = value
        if not text.strip() or label == "" or (target is not None and not target.strip()):
            yield None
        elif own.task == "language-model":
            split = split_of_text(text)
            for start in range(0, len(text), UNIT_CHARACTERS):
                yield Example(split, text[start : start + UNIT_CHARACTERS])
        else:
            yield Example(split_of_text(text), text, label, target)


def split_of_text(text: str) -> SplitName:
    """Return the split of a text; one without any letter or digit goes by its other characters."""
    return split_of(comparison_key(text) or text.strip())


def units(pieces: Iterable[bytes], looked_at: int = LOOKED_AT_CHARACTERS) -> Iterator[str]:
    """Yield the paragraphs of a plain text, or its lines where its beginning has no blank line between them.

    Only the beginning decides, `looked_at` characters, so that the units there stay what they are when text is added.
    """
    every = lines(pieces, cut_at=UNIT_CHARACTERS)
    beginning: list[str] = []
    seen = 0
    for line in every:
        beginning.append(line)
        seen += len(line)
        if seen >= looked_at:
            break
    first = next((index for index, line in enumerate(beginning) if line.strip()), 0)
    last = next((len(beginning) - i for i, line in enumerate(reversed(beginning)) if line.strip()), 0)
    parted = any(not line.strip() for line in islice(beginning, first, last))
    unit: list[str] = []
    length = 0
    for line in chain(beginning, every):
        blank = not line.strip()
        if unit and (blank or not parted or length + len(line) > UNIT_CHARACTERS):
            yield "".join(unit).rstrip("\r\n")
            unit, length = [], 0
        if not blank:
            unit.append(line.replace("\r\n", "\n"))
            length += len(line)
    if unit:
        yield "".join(unit).rstrip("\r\n")
