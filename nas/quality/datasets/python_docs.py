"""Python's own reference: the help topics of the standard library, as text for a language model.

A document is a section, from one heading to the next; sections of one title (several topics hold the same) stand in
one split. What is in them differs by Python release, so the version names it.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator

from nas.quality.datasets.dataset import Dataset
from nas.quality.datasets.documents import Document, Origin, document_dataset
from nas.quality.datasets.splits import comparison_key
from nas.quality.datasets.vocabulary import ByteVocabulary

NAME = "python-docs"
RULES_VERSION = 1
"""Goes up when other documents come from the same topics."""
_HEADING = re.compile(r"^(?P<title>\S.*)\n(?P<line>[*=\-^~])(?P=line){2,}$", re.MULTILINE)
_BETWEEN = re.compile(r"\n\s*\n")


def load() -> Dataset:
    """Parse the installed topics."""
    from pydoc_data.topics import topics  # noqa: PLC0415  (half a megabyte: only whoever loads this dataset needs it)

    documents = [document for name in sorted(topics) for document in sections(topics[name])]
    version = ".".join(platform.python_version_tuple()[:2])
    origin = Origin(
        name=NAME,
        title="Python's reference (help topics of the standard library)",
        version=f"python-{version}/{RULES_VERSION}",
        licence="PSF-2.0",
        source="pydoc_data/topics.py of the standard library",
    )
    return document_dataset(documents, ByteVocabulary(), origin)


def sections(topic: str) -> Iterator[Document]:
    """Yield the sections of a topic, each from its heading to the next one."""
    headings = list(_HEADING.finditer(topic))
    starts = [0, *(heading.start() for heading in headings)]
    titles = ["", *(heading["title"] for heading in headings)]
    for start, end, title in zip(starts, [*starts[1:], len(topic)], titles, strict=True):
        paragraphs = tuple(part.strip("\n") for part in _BETWEEN.split(topic[start:end]) if part.strip())
        if paragraphs:
            yield Document(comparison_key(title or paragraphs[0]), paragraphs)
