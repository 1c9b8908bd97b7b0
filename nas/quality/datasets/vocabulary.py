"""Vocabularies: text to token numbers and back. All share three special tokens, numbered as in ByT5 (arXiv 2105.13626).

A vocabulary describes itself as plain JSON values, which go with the dataset and every configuration that is
downloaded: without them nobody could feed the model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

PADDING = 0
"""Also opens what an encoder–decoder writes."""
END = 1
"""End of a text."""
UNKNOWN = 2
SPECIAL = 3
"""So many tokens are special; the first of a vocabulary's own has this number."""

Tokens = NDArray[np.int32]
DESCRIBED_SPECIAL = {"padding": PADDING, "end": END, "unknown": UNKNOWN}
"""The special tokens, as every vocabulary describes them."""


class Vocabulary(Protocol):
    """What every vocabulary offers."""

    @property
    def size(self) -> int:
        """Number of tokens, the special ones included."""

    def encode(self, text: str) -> Tokens:
        """Return the tokens of a text, shape (length,), without special ones but `UNKNOWN`."""

    def encode_many(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the tokens of each text."""

    def decode(self, tokens: Iterable[int]) -> str:
        """Return the text of tokens; special ones are left out."""

    def describe(self) -> dict[str, Any]:
        """Return what builds it anew, as plain JSON values."""


@dataclass(frozen=True)
class ByteVocabulary:
    """The bytes of UTF-8: 256 tokens after the special ones, and never an unknown one."""

    size: int = SPECIAL + 256

    def encode(self, text: str) -> Tokens:
        """See `Vocabulary`."""
        return np.frombuffer(text.encode("utf-8"), dtype=np.uint8).astype(np.int32) + SPECIAL

    def encode_many(self, texts: Sequence[str]) -> list[Tokens]:
        """See `Vocabulary`."""
        return [self.encode(text) for text in texts]

    def decode(self, tokens: Iterable[int]) -> str:
        """See `Vocabulary`; a character cut in the middle is left out, too."""
        return bytes(int(t) - SPECIAL for t in tokens if t >= SPECIAL).decode("utf-8", errors="ignore")

    def describe(self) -> dict[str, Any]:
        """See `Vocabulary`."""
        return {"type": "bytes", "special": DESCRIBED_SPECIAL}


@dataclass(frozen=True)
class SymbolVocabulary:
    """Symbols that a text is split into: at a separator (words, phonemes), or each character by itself."""

    symbols: tuple[str, ...]
    separator: str = " "
    """Between symbols of a text; empty where each character is a symbol."""
    _numbers: dict[str, int] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._numbers.update((symbol, SPECIAL + index) for index, symbol in enumerate(self.symbols))

    @property
    def size(self) -> int:
        """See `Vocabulary`."""
        return SPECIAL + len(self.symbols)

    def encode(self, text: str) -> Tokens:
        """See `Vocabulary`; a symbol that is not in it is `UNKNOWN`."""
        parts: Sequence[str] = text.split(self.separator) if self.separator else text
        return np.array([self._numbers.get(part, UNKNOWN) for part in parts if part], dtype=np.int32)

    def encode_many(self, texts: Sequence[str]) -> list[Tokens]:
        """See `Vocabulary`."""
        return [self.encode(text) for text in texts]

    def decode(self, tokens: Iterable[int]) -> str:
        """See `Vocabulary`."""
        return self.separator.join(self.symbols[int(t) - SPECIAL] for t in tokens if t >= SPECIAL)

    def describe(self) -> dict[str, Any]:
        """See `Vocabulary`."""
        symbols = list(self.symbols)
        return {"type": "symbols", "separator": self.separator, "symbols": symbols, "special": DESCRIBED_SPECIAL}
