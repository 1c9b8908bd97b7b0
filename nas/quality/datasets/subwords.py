"""A vocabulary of subwords: byte-pair encoding over the bytes of UTF-8 (Sennrich et al. 2016, arXiv 1508.07909).

Learned and applied by the package `tokenizers`, with GPT-2's bytes and word pattern. It is described by its merges
alone, one text, from which any release of that package (or a reader with a page of code) builds it anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from nas.quality.datasets.vocabulary import DESCRIBED_SPECIAL, SPECIAL, Tokens

LEARNED_FROM_CHARACTERS = 10_000_000
"""Of the beginning of train: more changes little, and costs minutes."""
MIN_FREQUENCY = 2


@dataclass(frozen=True)
class SubwordVocabulary:
    """256 bytes and the subwords that merges make of them; never an unknown token."""

    merges: str
    """One merge a line in the order learned: two parts, a space between; bytes are written as GPT-2 writes them."""

    @cached_property
    def _numbers(self) -> dict[str, int]:
        """The package's numbers, ours without the special tokens before them."""
        tokens = sorted(pre_tokenizers.ByteLevel.alphabet())
        tokens += ["".join(pair) for pair in self._pairs]
        return {token: number for number, token in enumerate(dict.fromkeys(tokens))}

    @cached_property
    def _pairs(self) -> list[tuple[str, str]]:
        return [(left, right) for left, _, right in (line.partition(" ") for line in self.merges.split("\n")) if left]

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        tokenizer = Tokenizer(models.BPE(self._numbers, self._pairs))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        return tokenizer

    @property
    def size(self) -> int:
        """See `Vocabulary`."""
        return SPECIAL + len(self._numbers)

    def encode(self, text: str) -> Tokens:
        """See `Vocabulary`."""
        return self.encode_many([text])[0]

    def encode_many(self, texts: Sequence[str]) -> list[Tokens]:
        """See `Vocabulary`."""
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.int32) + SPECIAL for encoding in encodings]

    def decode(self, tokens: Iterable[int]) -> str:
        """See `Vocabulary`; a character cut in the middle becomes U+FFFD."""
        return str(self._tokenizer.decode([int(t) - SPECIAL for t in tokens if t >= SPECIAL]))

    def describe(self) -> dict[str, Any]:
        """See `Vocabulary`."""
        return {"type": "subwords", "algorithm": "byte-level BPE", "merges": self.merges, "special": DESCRIBED_SPECIAL}


def learned_subwords(texts: Iterable[str], most: int) -> SubwordVocabulary:
    """Return at most `most` tokens (special ones included) learned from the first texts: the same from the same."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=most - SPECIAL,
        min_frequency=MIN_FREQUENCY,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_beginning(texts), trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]  # the package has no other way to read them
    return SubwordVocabulary("\n".join(" ".join(pair) for pair in merges))


def _beginning(texts: Iterable[str]) -> Iterator[str]:
    left = LEARNED_FROM_CHARACTERS
    for text in texts:
        yield text[:left]
        left -= len(text)
        if left <= 0:
            return
