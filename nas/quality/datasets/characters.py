"""A vocabulary of the commonest characters of a text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.quality.datasets.vocabulary import DESCRIBED_SPECIAL, SPECIAL, UNKNOWN, Tokens

CODE_POINTS = 0x110000


@dataclass(frozen=True)
class CharacterVocabulary:
    """Single characters (code points of Unicode), each a token; all others are `UNKNOWN`."""

    characters: str
    """In the order of their tokens."""

    @property
    def size(self) -> int:
        """See `Vocabulary`."""
        return SPECIAL + len(self.characters)

    @cached_property
    def _tokens(self) -> Tokens:
        """The token of every code point, shape (CODE_POINTS,)."""
        tokens = np.full(CODE_POINTS, UNKNOWN, dtype=np.int32)
        tokens[code_points(self.characters)] = SPECIAL + np.arange(len(self.characters), dtype=np.int32)
        return tokens

    def encode(self, text: str) -> Tokens:
        """See `Vocabulary`."""
        return self._tokens[code_points(text)]

    def encode_many(self, texts: Sequence[str]) -> list[Tokens]:
        """See `Vocabulary`."""
        return [self.encode(text) for text in texts]

    def decode(self, tokens: Iterable[int]) -> str:
        """See `Vocabulary`."""
        return "".join(self.characters[int(t) - SPECIAL] for t in tokens if t >= SPECIAL)

    def describe(self) -> dict[str, Any]:
        """See `Vocabulary`."""
        return {"type": "characters", "characters": self.characters, "special": DESCRIBED_SPECIAL}


def commonest_characters(texts: Iterable[str], most: int) -> str:
    """Return the `most` commonest characters of the texts, the commonest first, those as common by code point.

    NUL is none of them: it would part a text that is kept in a database.
    """
    counts = np.zeros(CODE_POINTS, dtype=np.int64)
    for batch in _batches(texts):
        counts += np.bincount(code_points(batch), minlength=CODE_POINTS)
    counts[0] = 0
    order = np.lexsort((np.arange(CODE_POINTS), -counts))[:most]
    return "".join(chr(code) for code in order if counts[code])


def code_points(text: str) -> NDArray[np.uint32]:
    """Return the code points of a text, shape (length,)."""
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")


def _batches(texts: Iterable[str], characters: int = 1 << 20) -> Iterable[str]:
    """Yield the texts joined to about so many characters: counting has a price a call."""
    batch: list[str] = []
    length = 0
    for text in texts:
        batch.append(text)
        length += len(text)
        if length >= characters:
            yield "".join(batch)
            batch, length = [], 0
    yield "".join(batch)
