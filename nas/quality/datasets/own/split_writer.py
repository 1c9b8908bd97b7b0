"""Writing one split of a prepared dataset: tokens and labels go to files as they come, figures stay here."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.quality.datasets.own.limits import LONGEST_TARGET, LONGEST_TEXT
from nas.quality.datasets.splits import SplitName
from nas.quality.datasets.vocabulary import END, SPECIAL, ByteVocabulary, Vocabulary

BATCH_BYTES = 1 << 20
BATCH_EXAMPLES = 8_192
LONGEST_CHARACTERS = 8 * LONGEST_TEXT
"""Of a text, looked at to take its first tokens."""
LARGEST_UTF8_BYTE = 0xF4
"""RFC 3629: so that tokens of bytes fit into one byte."""


def token_type(vocabulary: Vocabulary) -> np.dtype[np.unsignedinteger]:
    """Return the smallest type that holds the tokens of a vocabulary."""
    largest = SPECIAL + LARGEST_UTF8_BYTE if isinstance(vocabulary, ByteVocabulary) else vocabulary.size - 1
    return np.min_scalar_type(largest)


class SequenceFile:
    """Token sequences on their way to two files, `NAME.tokens` and `NAME.offsets`, as `Sequences` has them."""

    def __init__(self, folder: Path, name: str, vocabulary: Vocabulary, *, ends: bool) -> None:
        self._type, self._vocabulary, self._ends = token_type(vocabulary), vocabulary, ends
        self._stack = ExitStack()
        self._tokens = self._stack.enter_context((folder / f"{name}.tokens").open("wb"))
        self._offsets = self._stack.enter_context((folder / f"{name}.offsets").open("wb"))
        self._offsets.write(np.zeros(1, dtype="<i8").tobytes())
        self._digests = hashlib.sha256(), hashlib.sha256()
        self.counts: NDArray[np.int64] = np.zeros(vocabulary.size, dtype=np.int64)
        """Of each token, shape (size,)."""
        self.lengths: Counter[int] = Counter()
        """How many sequences have so many tokens."""
        self.total = 0

    def add(self, sequences: Sequence[NDArray[np.integer]]) -> None:
        """Write sequences behind those before."""
        ended = [np.append(sequence, END) for sequence in sequences] if self._ends else sequences
        if not ended:
            return
        joined = np.concatenate(ended)
        lengths = np.array([len(sequence) for sequence in ended], dtype=np.int64)
        offsets = self.total + np.cumsum(lengths)
        self.counts += np.bincount(joined, minlength=len(self.counts))
        self.lengths.update(lengths.tolist())
        self.total = int(offsets[-1])
        contents = joined.astype(self._type.newbyteorder("<")), offsets.astype("<i8")
        for file, digest, content in zip((self._tokens, self._offsets), self._digests, contents, strict=True):
            raw = content.tobytes()
            digest.update(raw)
            file.write(raw)

    def sha256(self) -> str:
        """Return the SHA-256 of tokens and offsets, however they came."""
        return hashlib.sha256(b"".join(digest.digest() for digest in self._digests)).hexdigest()

    def close(self) -> None:
        """Write out what is left."""
        self._stack.close()

    def percentiles(self) -> dict[str, int]:
        """Return tokens a sequence at four percentiles, as `Sequences.percentiles` does."""
        lengths = np.array(sorted(self.lengths), dtype=np.int64)
        seen = np.cumsum([self.lengths[int(length)] for length in lengths])
        last = int(seen[-1]) - 1
        return {str(p): int(lengths[np.searchsorted(seen, last * p // 100, side="right")]) for p in (50, 90, 99, 100)}


class SplitWriter:
    """One split on its way to its files: `inputs`, and `labels` or `targets` where the task has them."""

    def __init__(self, folder: Path, split: SplitName, vocabulary: Vocabulary, kind: str) -> None:
        """`kind` is the task's name."""
        self._vocabulary, self._kind = vocabulary, kind
        self.inputs = SequenceFile(folder, f"{split}.inputs", vocabulary, ends=kind == "language-model")
        pairs = kind == "sequence-to-sequence"
        self.targets = SequenceFile(folder, f"{split}.targets", vocabulary, ends=True) if pairs else None
        self._labels = (folder / f"{split}.labels").open("wb") if kind == "sequence-classification" else None
        self.label_counts: Counter[int] = Counter()
        self.examples = 0
        self.text_bytes = 0
        self.cut = 0
        """Texts that were longer than is taken."""
        self.too_long = 0
        """Pairs left out for their target."""
        self._texts: list[str] = []
        self._answers: list[str] = []
        self._numbers: list[int] = []
        self._waiting = 0

    @property
    def taken(self) -> int:
        """Examples taken so far, those that wait included."""
        return self.examples + self.too_long + len(self._texts)

    def has_tokens(self, tokens: int) -> bool:
        """Return whether there are so many tokens, read and written, those that wait included."""
        if self.tokens + self._waiting >= tokens:  # no vocabulary makes more tokens of a text than it has bytes
            self.flush()
        return self.tokens >= tokens

    @property
    def tokens(self) -> int:
        """Tokens written to files so far, read and to be written."""
        return self.inputs.total + (0 if self.targets is None else self.targets.total)

    def add(self, text: str, target: str | None, label: int | None) -> None:
        """Take one example; it is written with others like it."""
        self._texts.append(text[:LONGEST_CHARACTERS])
        if target is not None:
            self._answers.append(target[:LONGEST_CHARACTERS])
        if label is not None:
            self._numbers.append(label)
        self._waiting += len(text.encode()) + len((target or "").encode()) + 1
        if self._waiting >= BATCH_BYTES or len(self._texts) >= BATCH_EXAMPLES:
            self.flush()

    def flush(self) -> None:
        """Write the examples that wait."""
        inputs = self._vocabulary.encode_many(self._texts)
        if self._kind == "language-model":
            self.text_bytes += sum(len(text.encode()) for text in self._texts)
        else:
            self.cut += sum(len(tokens) > LONGEST_TEXT for tokens in inputs)
            inputs = [tokens[:LONGEST_TEXT] for tokens in inputs]
        if self.targets is not None:
            targets = self._vocabulary.encode_many(self._answers)
            kept = [index for index, tokens in enumerate(targets) if len(tokens) < LONGEST_TARGET]
            self.too_long += len(targets) - len(kept)
            inputs = [inputs[index] for index in kept]
            self.targets.add([targets[index] for index in kept])
        if self._labels is not None:
            self._labels.write(np.array(self._numbers, dtype="<u2").tobytes())
            self.label_counts.update(self._numbers)
        self.inputs.add(inputs)
        self.examples += len(inputs)
        self._texts, self._answers, self._numbers, self._waiting = [], [], [], 0

    def close(self) -> None:
        """Write out everything."""
        self.flush()
        self.inputs.close()
        if self.targets is not None:
            self.targets.close()
        if self._labels is not None:
            self._labels.close()


def renumber_labels(path: Path, numbers: Mapping[int, int]) -> str:
    """Give every label in a file its final number, in place; return the SHA-256 of the file."""
    table = np.zeros(max(numbers, default=0) + 1, dtype="<u2")
    for before, after in numbers.items():
        table[before] = after
    digest = hashlib.sha256()
    with path.open("r+b") as file:
        while raw := file.read(1 << 20):
            renumbered = table[np.frombuffer(raw, dtype="<u2")].tobytes()
            file.seek(-len(raw), 1)
            file.write(renumbered)
            digest.update(renumbered)
    return digest.hexdigest()
