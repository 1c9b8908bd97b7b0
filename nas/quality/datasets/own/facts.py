"""The facts about prepared own data: sizes, lengths, chance levels, and what was left out."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nas.quality.datasets.dataset import DatasetInfo, TaskName
from nas.quality.datasets.own.document import RULES_VERSION, PinnedData
from nas.quality.datasets.own.examples import UNIT_CHARACTERS
from nas.quality.datasets.own.gathering import Gathering
from nas.quality.datasets.own.limits import LONGEST_TARGET, LONGEST_TEXT
from nas.quality.datasets.vocabulary import Vocabulary

METRICS: dict[TaskName, tuple[str, ...]] = {
    "sequence-classification": ("error_rate", "loss"),
    "language-model": ("bits_per_byte", "loss"),
    "sequence-to-sequence": ("token_error_rate", "exact_error_rate", "loss"),
}


def facts_of(gathered: Gathering, pinned: PinnedData, vocabulary: Vocabulary, sha256: str) -> DatasetInfo:
    """Return the facts about what was gathered and written out."""
    own, train = pinned.own, gathered.writers["train"]
    described = vocabulary.describe()
    return DatasetInfo(
        name=own.file,
        title=f"{own.file}, for {own.task}",
        version=f"{pinned.file_sha256[:12]}/{RULES_VERSION}",
        sha256=sha256,
        licence="not stated",
        source=f"the file {own.file} (sha256 {pinned.file_sha256})",
        task=own.task,
        outputs=len(gathered.classes) or vocabulary.size,
        classes=gathered.classes,
        vocabulary=described,
        output_vocabulary=described if train.targets is not None else None,
        vocabulary_size=vocabulary.size,
        examples={name: writer.examples for name, writer in gathered.writers.items()},
        metrics=METRICS[own.task],
        chance=dict(zip(METRICS[own.task], _chance(gathered, own.task), strict=True)),
        length_percentiles=train.inputs.percentiles(),
        output_length_percentiles=train.targets.percentiles() if train.targets is not None else None,
        notes=tuple(_notes(gathered, pinned)),
    )


def _chance(gathered: Gathering, task: TaskName) -> tuple[float, ...]:
    """Return each metric, in the order of `METRICS`, of a model that ignores its input.

    On validation, knowing the frequencies of train.
    """
    train, validation = gathered.writers["train"], gathered.writers["validation"]
    if train.targets is not None and validation.targets is not None:
        return 1.0, 1.0, _cross_entropy(train.targets.counts, validation.targets.counts)  # of writing nothing
    if task == "language-model":
        loss = _cross_entropy(train.inputs.counts, validation.inputs.counts)
        return loss * validation.inputs.total / math.log(2) / validation.text_bytes, loss
    known, met = (np.array(gathered.class_counts(name), dtype=np.int64) for name in ("train", "validation"))
    return 1 - int(met[int(known.argmax())]) / validation.examples, _cross_entropy(known, met)


def _cross_entropy(known: NDArray[np.int64], met: NDArray[np.int64]) -> float:
    """Return the nats an answer of `met` that the frequencies `known` cost, each counted once more. Shapes (size,)."""
    counts = known + 1
    return float(-(np.log(counts / counts.sum()) * met).sum() / met.sum())


def _notes(gathered: Gathering, pinned: PinnedData) -> Iterator[str]:
    if gathered.incomplete:
        yield f"{gathered.incomplete:,} of {gathered.rows:,} rows are left out: no text or no answer"
    for name, left in gathered.left_out.items():
        if left:
            writer = gathered.writers[name]
            held = f"{writer.examples:,} examples ({writer.tokens:,} tokens)"
            more = "the rest is" if gathered.is_full else f"{left:,} more examples are"
            yield f"{name} holds the first {held} of its share of the file; {more} left out"
    cut = sum(writer.cut for writer in gathered.writers.values())
    if cut:
        yield f"{cut:,} texts are cut to {LONGEST_TEXT:,} tokens"
    too_long = sum(writer.too_long for writer in gathered.writers.values())
    if too_long:
        yield f"{too_long:,} pairs are left out: more than {LONGEST_TARGET:,} tokens to write"
    if pinned.own.table_format == "txt":
        most = f"{UNIT_CHARACTERS:,} characters at most"
        yield f"an example is a paragraph, or a line where no blank lines part the text; {most}"
