"""Files as people have them, and preparing them as a worker does."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

from nas.quality.datasets.dataset import Dataset
from nas.quality.datasets.own.decoding import file_source
from nas.quality.datasets.own.document import OwnData, PinnedData
from nas.quality.datasets.own.prepared import open_prepared, prepared_folder
from nas.quality.datasets.own.preparing import prepare

WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat;",
    "Mäuse",
    "fraßen",
    "Käse,",
    "while",
    "犬",
    "slept",
    "far",
    "away",
    "and",
    "nobody",
    "knew",
    "what",
    "it",
    "was",
    "for",
]

REVIEWS: dict[str, Any] = {
    "file": "reviews.csv",
    "task": "sequence-classification",
    "columns": {"text": "review", "label": "stars"},
}
PAIRS: dict[str, Any] = {
    "file": "pairs.jsonl",
    "task": "sequence-to-sequence",
    "columns": {"source": "from", "target": "to"},
}
STORY: dict[str, Any] = {"file": "story.txt", "task": "language-model"}


def sentences(count: int, seed: int = 0) -> list[str]:
    """Return different sentences."""
    rng = random.Random(seed)
    return [f"{' '.join(rng.choices(WORDS, k=rng.randint(3, 12)))} no {number}" for number in range(count)]


def reviews(count: int = 400, classes: int = 3) -> bytes:
    """Return a CSV of texts, quoted where they must be, that tell their class by a word."""
    rows = [f'"{text}, ""really"" {["great", "bad", "odd", "fine"][i % classes]}",{i % classes + 1}'
            for i, text in enumerate(sentences(count))]  # fmt: skip
    return "\n".join(["review,stars", *rows, ""]).encode()


def pairs(count: int = 400) -> bytes:
    """Return a JSONL of texts, and the same in capitals."""
    every = sentences(count)
    return "".join(
        json.dumps({"from": text, "to": text.upper(), "id": i}) + "\n" for i, text in enumerate(every)
    ).encode()


def story(paragraphs: int = 400) -> bytes:
    """Return a plain text of paragraphs of two lines."""
    every = sentences(2 * paragraphs)
    return "\n\n".join(f"{a}\n{b}" for a, b in zip(every[::2], every[1::2], strict=True)).encode()


def prepared(folder: Path, document: dict[str, Any], content: bytes) -> Dataset:
    """Return the dataset that a file makes; raise as `prepare`."""
    path = folder / document["file"]
    path.write_bytes(content)
    own = OwnData.model_validate(document)
    pinned = PinnedData(own=own, file_sha256=hashlib.sha256(content).hexdigest())
    prepare(file_source(path), pinned, prepared_folder(pinned))
    return open_prepared(pinned)
