"""A vocabulary from its description: what a downloaded configuration needs to feed its model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas.errors import InvalidInput
from nas.quality.datasets.characters import CharacterVocabulary
from nas.quality.datasets.vocabulary import ByteVocabulary, SymbolVocabulary, Vocabulary


def vocabulary_from(description: Mapping[str, Any]) -> Vocabulary:
    """Return the vocabulary that `Vocabulary.describe` described; raise `InvalidInput` for an unknown type."""
    match description.get("type"):
        case "bytes":
            return ByteVocabulary()
        case "symbols":
            return SymbolVocabulary(tuple(description["symbols"]), description["separator"])
        case "characters":
            return CharacterVocabulary(description["characters"])
        case "subwords":
            from nas.quality.datasets.subwords import SubwordVocabulary  # noqa: PLC0415  (only who has such a one)

            return SubwordVocabulary(description["merges"])
        case other:
            raise InvalidInput.of(
                "vocabulary.type", other, "bytes, symbols, characters, subwords", "use a release that knows this type"
            )
