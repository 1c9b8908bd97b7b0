"""Language identification in subwords: the texts and splits of `language_identification`, three letters a token.

Bytes leave it to the model to find out which sequences of letters a language is known by, which takes small models
longer than most searches train; subwords hand it the frequent ones. Learned from train alone.
"""

from __future__ import annotations

from nas.quality.datasets import language_identification
from nas.quality.datasets.dataset import Dataset
from nas.quality.datasets.subwords import learned_subwords

NAME = "language-identification-subwords"
TOKENS = 1000
"""Of the vocabulary. With more of them the table of embeddings outweighs the rest of a small encoder."""


def load() -> Dataset:
    """Parse the installed catalogues and learn the subwords; raises `MissingPackage` without Django or polib."""
    return language_identification.dataset_of(
        NAME,
        f"Language identification (35 languages, user-interface messages, {TOKENS:,} subwords)",
        lambda texts: learned_subwords(texts, TOKENS),
    )
