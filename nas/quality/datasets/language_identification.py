"""Language identification: which of 35 languages is this text? From the translations that Django ships.

The texts are the user-interface messages of Django's own applications, translated by people, in the gettext
catalogues (`.po`) of the installed Django package. Django is found, never imported or configured. What is in
them differs a little by Django release, so the version names it and `sha256` tells whether two are the same.

From message to example:
1. Only translations that count: not obsolete, not fuzzy, not empty; every plural form is a text of its own.
2. Format placeholders and markup say nothing about the language and are taken out, white space is collapsed.
3. Texts are compared by their *comparison key*: letters and digits only, in lower case. A translation whose key is
   that of its English message is untranslated; it and texts of fewer than three letters are dropped.
4. A text that stands under several of the languages has no one label; it is dropped from all of them.
5. The split is chosen by a hash of the English message's comparison key, so all translations of a message, and
   of messages that differ in punctuation or placeholders only, stand in one split.
6. Two messages may still share a translation, or a beginning so long that a truncated input can't tell them apart.
   Of texts in one language with equal first `SHARED_PREFIX` characters of the key, those of one split are kept:
   test before validation before train. So nothing that is scored has been trained on.
"""

from __future__ import annotations

import html
import json
import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata, util
from itertools import chain
from pathlib import Path

import numpy as np

from nas.errors import MissingPackage
from nas.quality.datasets.dataset import Dataset, DatasetInfo, Split, content_sha256, majority_error_rate
from nas.quality.datasets.sequences import Sequences
from nas.quality.datasets.splits import SPLITS, SplitName, comparison_key, split_of
from nas.quality.datasets.vocabulary import ByteVocabulary, Vocabulary

NAME = "language-identification"
RULES_VERSION = 1
"""Goes up when the steps above give other examples from the same catalogues."""

# The 35 Latin-script languages with the most translated messages in Django 5.2. Left out although larger than the
# last: national variants of a language that is here (es_AR, es_CO, es_MX, es_VE, pt_BR), which no reader could tell
# apart in a short text. Serbian is here in its Latin script. Norwegian stands twice since nb and nn are two
# written standards; Upper and Lower Sorbian (hsb, dsb) are two languages.
LANGUAGES: tuple[str, ...] = (
    "af", "az", "ca", "cs", "da", "de", "dsb", "eo", "es", "et", "eu", "fi", "fr", "ga", "gd", "gl", "hsb", "hu",
    "id", "it", "lt", "lv", "ms", "nb", "nl", "nn", "pl", "pt", "ro", "sk", "sl", "sq", "sr_Latn", "sv", "tr",
)  # fmt: skip

SHARED_PREFIX = 24
"""Characters; texts that differ later only are as good as equal to a model that reads 32 to 64 bytes."""
MIN_LETTERS = 3

_PLACEHOLDER = re.compile(
    r"""%\([A-Za-z0-9_ ]*\)[-#0+ ]*[0-9.]*[A-Za-z]   # %(name)s
      | %[-#0+]*[0-9.]*[sdifr] | %%                   # %s, %02d
      | \{\{.*?\}\} | \{%.*?%\} | \{[^{}]*\}          # {{ template }}, {% tag %}, {name}
      | </?[A-Za-z][^<>]*>                            # <a href="…">
      | https?://\S+
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, order=True)
class Translation:
    """One text of one language, with its comparison key and the split that its English message belongs to."""

    language: str
    text: str
    key: str
    split: SplitName


def load() -> Dataset:
    """Parse the installed catalogues; raises `MissingPackage` without Django or polib."""
    return dataset_of(
        NAME, "Language identification (35 languages, user-interface messages)", lambda _: ByteVocabulary()
    )


def dataset_of(name: str, title: str, vocabulary_from: Callable[[list[str]], Vocabulary]) -> Dataset:
    """Return the dataset in a vocabulary made from the texts of train; raises as `load`."""
    parts = _texts(_django_folder(name))
    vocabulary = vocabulary_from([t.text for t in parts["train"]])
    splits = {
        split: Split(
            Sequences.of(vocabulary.encode_many([t.text for t in part])),
            np.array([LANGUAGES.index(t.language) for t in part], dtype=np.int64),
        )
        for split, part in parts.items()
    }
    for split in splits.values():
        assert split.labels is not None
        split.labels.flags.writeable = False
    train, validation = splits["train"], splits["validation"]
    assert train.labels is not None
    assert validation.labels is not None
    described = vocabulary.describe()
    # What was learned from the texts is content as they are; what never changes is not
    learned = () if isinstance(vocabulary, ByteVocabulary) else (json.dumps(described, sort_keys=True),)
    texts = (f"{split}\t{t.language}\t{t.text}" for split, part in parts.items() for t in part)
    info = DatasetInfo(
        name=name,
        title=title,
        version=f"django-{metadata.version('Django')}/{RULES_VERSION}",
        sha256=content_sha256(chain(texts, learned)),
        licence="BSD-3-Clause",
        source="gettext catalogues of the Django package (django/**/locale/*/LC_MESSAGES/*.po)",
        task="sequence-classification",
        outputs=len(LANGUAGES),
        classes=LANGUAGES,
        vocabulary=described,
        output_vocabulary=None,
        vocabulary_size=vocabulary.size,
        examples={split: len(part) for split, part in splits.items()},
        metrics=("error_rate", "loss"),
        chance={
            "error_rate": majority_error_rate(train.labels, validation.labels),
            "loss": math.log(len(LANGUAGES)),
        },
        length_percentiles=train.inputs.percentiles(),
    )
    return Dataset(info, splits)


@lru_cache(maxsize=1)  # the dataset in bytes and the one in subwords have the same
def _texts(folder: Path) -> dict[SplitName, list[Translation]]:
    texts = without_leaks(without_ambiguous(sorted(set(translations(folder)))))
    return {name: [t for t in texts if t.split == name] for name in SPLITS}


def _django_folder(name: str) -> Path:
    spec = util.find_spec("django")  # finds the package without running any of it
    if spec is None or spec.origin is None or util.find_spec("polib") is None:
        raise MissingPackage(
            f"The dataset {name} is read from the packages Django and polib: pip install 'pocketformer[datasets]'"
        )
    return Path(spec.origin).parent


def translations(folder: Path) -> Iterator[Translation]:
    """Yield what counts (steps 1 to 3) in every catalogue `**/locale/LANGUAGE/LC_MESSAGES/*.po` below a folder."""
    import polib  # noqa: PLC0415  (of an extra: only whoever loads this dataset needs it)

    catalogues = sorted(path for locale in folder.glob("**/locale") for path in locale.glob("*/LC_MESSAGES/*.po"))
    for path in catalogues:
        language = path.parent.parent.name
        if language in LANGUAGES:
            for entry in polib.pofile(str(path), encoding="utf-8"):
                if entry.obsolete or entry.fuzzy:
                    continue
                english, split = {_key(entry.msgid), _key(entry.msgid_plural)}, split_of_message(entry.msgid)
                for translated in (entry.msgstr, *entry.msgstr_plural.values()):
                    text = clean(translated)
                    key = comparison_key(text)
                    if key not in english and sum(map(str.isalpha, key)) >= MIN_LETTERS:
                        yield Translation(language, text, key, split)


def clean(text: str) -> str:
    """Return `text` without placeholders and markup, in Unicode's composed form, white space collapsed."""
    plain = html.unescape(_PLACEHOLDER.sub(" ", text))
    return " ".join(unicodedata.normalize("NFC", plain).split())


@lru_cache(maxsize=4096)  # each English message is met once a language
def _key(message: str) -> str:
    return comparison_key(clean(message))


def split_of_message(message: str) -> SplitName:
    """Return the split of every translation of this English message."""
    return split_of(_key(message))


def without_ambiguous(texts: list[Translation]) -> list[Translation]:
    """Drop every text that stands under several languages (step 4)."""
    languages: dict[str, set[str]] = defaultdict(set)
    for t in texts:
        languages[t.key].add(t.language)
    return [t for t in texts if len(languages[t.key]) == 1]


def without_leaks(texts: list[Translation]) -> list[Translation]:
    """Keep one text a comparison key, and of texts that begin alike those of the most held-out split (step 6)."""
    held_out: dict[tuple[str, str], int] = defaultdict(int)
    for t in texts:
        beginning = (t.language, t.key[:SHARED_PREFIX])
        held_out[beginning] = max(held_out[beginning], SPLITS.index(t.split))
    kept: dict[tuple[str, str], Translation] = {}
    for t in texts:
        if SPLITS.index(t.split) == held_out[t.language, t.key[:SHARED_PREFIX]]:
            kept.setdefault((t.language, t.key), t)
    return list(kept.values())
