"""Preparing own data: the file is read once or twice as a stream, and its splits are written as arrays of tokens.

A prepared dataset is a folder of its own that appears whole or not at all: `info.json`, and for each split the
tokens and offsets of `Sequences`, and labels.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from nas.quality.datasets.characters import CharacterVocabulary, commonest_characters
from nas.quality.datasets.own.decoding import Source, Tell, told, verified
from nas.quality.datasets.own.document import OwnData, PinnedData
from nas.quality.datasets.own.examples import Example, examples
from nas.quality.datasets.own.facts import facts_of
from nas.quality.datasets.own.gathering import Gathering
from nas.quality.datasets.own.limits import TRAIN_EXAMPLES, TRAIN_TOKENS
from nas.quality.datasets.own.split_writer import token_type
from nas.quality.datasets.vocabulary import SPECIAL, ByteVocabulary, Vocabulary

INFO = "info.json"


def prepare(source: Source, pinned: PinnedData, folder: Path, tell: Tell | None = None) -> None:
    """Write the prepared dataset into `folder`, unless it is there.

    Raises `InvalidInput` with fields of `OwnData` for a file that no dataset can be made of; nothing is left then.
    """
    if (folder / INFO).exists():
        return
    part = folder.with_name(f"{folder.name}.{os.getpid()}-{os.urandom(4).hex()}.part")
    part.mkdir(parents=True)
    try:
        _write(source, pinned, part, tell)
        try:
            part.rename(folder)
        except OSError:
            if not (folder / INFO).exists():  # otherwise another process was quicker, with the same
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(source: Source, pinned: PinnedData, folder: Path, tell: Tell | None) -> None:
    own = pinned.own
    vocabulary = vocabulary_for(source, own, tell)
    gathering = Gathering(folder, own, vocabulary)
    pieces = verified(told(source(), tell), pinned.file_sha256)
    for example in examples(pieces, own):
        gathering.add(example)
        if gathering.is_full:
            break
    deque(pieces, maxlen=0)  # to the end, where the SHA-256 is compared
    sha256 = gathering.close()
    facts = {
        "info": facts_of(gathering, pinned, vocabulary, sha256).to_dict(),
        "type": token_type(vocabulary).name,
        "text_bytes": {name: writer.text_bytes for name, writer in gathering.writers.items()},
    }
    (folder / INFO).write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")


def vocabulary_for(source: Source, own: OwnData, tell: Tell | None = None) -> Vocabulary:
    """Return the vocabulary that own data asks for, learned from train alone where it is learned."""
    choice = own.vocabulary
    if choice.kind == "byte":
        return ByteVocabulary()
    texts = _train_texts(examples(told(source(), tell), own))
    if choice.kind == "character":
        return CharacterVocabulary(commonest_characters(texts, choice.tokens - SPECIAL))
    from nas.quality.datasets.subwords import learned_subwords  # noqa: PLC0415  (only who asks for it)

    return learned_subwords(texts, choice.tokens)


def _train_texts(every: Iterable[Example | None]) -> Iterator[str]:
    """Yield the texts of train and what is to be written for them, of about as many as train can hold."""
    left = TRAIN_TOKENS
    train = (example for example in every if example is not None and example.split == "train")
    for example in islice(train, TRAIN_EXAMPLES):
        yield example.text
        if example.target is not None:
            yield example.target
        left -= len(example.text) + len(example.target or "")
        if left <= 0:
            return
