"""Gathering the three splits of own data: each example goes to its split, classes are numbered, sizes are checked."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from nas.errors import InvalidInput
from nas.quality.datasets.own.document import OwnData
from nas.quality.datasets.own.examples import Example
from nas.quality.datasets.own.limits import (
    HELD_OUT_EXAMPLES,
    HELD_OUT_TABLE_TOKENS,
    HELD_OUT_TOKENS,
    LEAST_ROWS,
    MOST_CLASSES,
    TRAIN_EXAMPLES,
    TRAIN_TOKENS,
)
from nas.quality.datasets.own.split_writer import SplitWriter, renumber_labels
from nas.quality.datasets.splits import SPLITS, SplitName
from nas.quality.datasets.vocabulary import Vocabulary


class Gathering:
    """Takes the examples of a file in its order, up to the limits of each split.

    Which are kept depends only on what stands before them, so adding rows at the end of a file moves nothing.
    """

    def __init__(self, folder: Path, own: OwnData, vocabulary: Vocabulary) -> None:
        self._folder, self._task, self._vocabulary = folder, own.task, vocabulary
        self.writers = {name: SplitWriter(folder, name, vocabulary, own.task) for name in SPLITS}
        self.left_out = dict.fromkeys(SPLITS, 0)
        """Examples beyond the limits, as far as the file was read."""
        self.is_full = False
        """Whether no split takes any more, so that the rest of the file need not be understood."""
        self.rows = 0
        self.incomplete = 0
        """Rows without a text or an answer."""
        self._numbers: dict[str, int] = {}
        self._rows_of: list[int] = []

    def add(self, example: Example | None) -> None:
        """Take one example, or a row that is none. Raises `InvalidInput` for a class too many."""
        self.rows += 1
        if example is None:
            self.incomplete += 1
            return
        label = None if example.label is None else self._number(example.label)
        if self._is_full(example.split):
            self.left_out[example.split] += 1
            self.is_full = all(map(self._is_full, SPLITS))
        else:
            self.writers[example.split].add(example.text, example.target, label)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in the order of their final numbers: whole numbers by value, then others by their text."""
        return tuple(sorted(self._numbers, key=_class_order))

    def close(self) -> str:
        """Write everything out and give classes their final numbers; return the SHA-256 of it all.

        It is of all that a model is trained on and scored by. Raises `InvalidInput` where there is too little of
        something.
        """
        for writer in self.writers.values():
            writer.close()
        if self.rows == 0:
            raise InvalidInput.of("file", "no rows", "a file with rows of data", "check that it is the right file")
        if self._task == "sequence-classification":
            self._check_classes()
        self._check_sizes()
        digest = hashlib.sha256()
        facts = {"vocabulary": self._vocabulary.describe(), "classes": self.classes}
        digest.update(json.dumps(facts, sort_keys=True).encode())
        final = {self._numbers[label]: number for number, label in enumerate(self.classes)}
        for name, writer in self.writers.items():
            digest.update(writer.inputs.sha256().encode())
            if writer.targets is not None:
                digest.update(writer.targets.sha256().encode())
            if self._task == "sequence-classification":
                digest.update(renumber_labels(self._folder / f"{name}.labels", final).encode())
        return digest.hexdigest()

    def class_counts(self, split: SplitName) -> list[int]:
        """Return how many examples of each class a split holds, in the order of `classes`."""
        counts = self.writers[split].label_counts
        return [counts[self._numbers[label]] for label in self.classes]

    def _number(self, label: str) -> int:
        """Return a class's number by first appearance."""
        number = self._numbers.setdefault(label, len(self._numbers))
        if number == MOST_CLASSES:
            shown = ", ".join(repr(known[:30]) for known in list(self._numbers)[:5])
            raise InvalidInput.of(
                "columns.label",
                f"more than {MOST_CLASSES} classes ({shown}, …)",
                f"a column of at most {MOST_CLASSES} classes",
                "it looks like free text or numbers: name the column that holds the class, or put values in groups",
            )
        if number == len(self._rows_of):
            self._rows_of.append(0)
        self._rows_of[number] += 1
        return number

    def _is_full(self, name: SplitName) -> bool:
        writer, text = self.writers[name], self._task == "language-model"
        if name == "train":
            examples, tokens = TRAIN_EXAMPLES, TRAIN_TOKENS
        else:
            examples, tokens = HELD_OUT_EXAMPLES, HELD_OUT_TOKENS if text else HELD_OUT_TABLE_TOKENS
        return writer.has_tokens(tokens) or (not text and writer.taken >= examples)

    def _check_classes(self) -> None:
        if len(self._numbers) == 1:
            raise InvalidInput.of(
                "columns.label",
                f"one class only: {next(iter(self._numbers))!r}",
                "at least 2 classes",
                "there is nothing to tell apart: name another column, or add rows of other classes",
            )
        few = {label: count for label, count in zip(self._numbers, self._rows_of, strict=True) if count < LEAST_ROWS}
        if few:
            shown = ", ".join(f"{label[:30]!r} {count}" for label, count in list(few.items())[:10])
            raise InvalidInput.of(
                "columns.label",
                f"classes with too few rows: {shown}{' …' if len(few) > 10 else ''}",
                f"at least {LEAST_ROWS} rows of each class",
                "add rows, or put rare classes together",
            )
        unseen = [label for label, count in zip(self.classes, self.class_counts("train"), strict=True) if not count]
        if unseen:
            raise InvalidInput.of(
                "columns.label",
                f"classes of which no row stands in train: {', '.join(repr(label[:30]) for label in unseen[:10])}",
                "classes with enough different texts",
                "equal texts stand in one split: add rows with other texts",
            )

    def _check_sizes(self) -> None:
        sizes = {name: writer.examples for name, writer in self.writers.items()}
        if min(sizes.values()) < LEAST_ROWS:
            found = ", ".join(f"{count} in {name}" for name, count in sizes.items())
            raise InvalidInput.of(
                "file",
                f"{sum(sizes.values())} examples ({found})",
                f"at least {LEAST_ROWS} in each of train, validation and test (80, 10 and 10 % of the different texts)",
                "give some hundred rows or paragraphs",
            )


def _class_order(label: str) -> tuple[int, int, str]:
    whole = label.removeprefix("-").isdecimal() and len(label) < 20
    return (0, int(label), label) if whole else (1, 0, label)
