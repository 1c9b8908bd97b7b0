"""The bundled search spaces: one YAML file each, and this loader."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from nas.documents import parse_document
from nas.errors import InvalidInput


@cache
def bundled() -> dict[str, dict[str, Any]]:
    """Return every bundled space document by name, in alphabetical order."""
    documents = {}
    for entry in sorted(resources.files(__name__).iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".yaml"):
            document = parse_document(entry.read_bytes(), entry.name)
            documents[str(document["name"])] = document
    return documents


def bundled_document(name: str) -> dict[str, Any]:
    """Return the document of one bundled space; raise `InvalidInput` naming the known ones."""
    try:
        return bundled()[name]
    except (KeyError, TypeError):
        raise InvalidInput.of(
            "search_space", name, ", ".join(bundled()), "name one of these or give the space inline"
        ) from None
