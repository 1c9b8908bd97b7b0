"""SearchSpace: which architectures may be proposed; its exact size, sampling, enumeration and neighbours."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nas.architecture import Architecture, TaskShape
from nas.documents import validate
from nas.errors import InvalidInput
from nas.space.combinations import Combinations
from nas.space.encoding import Encoded, decode, encode, sample_encoded
from nas.space.genotype import Genotype
from nas.space.neighbours import neighbours
from nas.space.walk import Chooser, Walk, follow, uniform_chooser
from nas.space_document import SpaceDocument
from search_spaces import bundled_document


class SearchSpace(Combinations):
    """The set of architectures that a job may propose, for one task shape."""

    def __init__(self, document: SpaceDocument, task_shape: TaskShape | None = None) -> None:
        super().__init__(document, task_shape)
        self._walk = Walk(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any], field: str = "search_space") -> SearchSpace:
        """Build from the plain values of a space document; raise `InvalidInput` naming each wrong field."""
        parsed = validate(SpaceDocument, dict(document), field)
        try:
            return cls(parsed)
        except InvalidInput as error:
            raise error.under(field) from error

    @classmethod
    def bundled(cls, name: str) -> SearchSpace:
        """Return a bundled space; raise `InvalidInput` naming the known ones."""
        return cls.from_document(bundled_document(name), name)

    def for_task(self, task_shape: TaskShape) -> SearchSpace:
        """Return the same choices for another vocabulary, number of outputs and longest sequences."""
        return SearchSpace(self._document, task_shape)

    def to_document(self) -> dict[str, Any]:
        """Return the document that `from_document` takes, as plain JSON values, defaults left out."""
        value = self._document.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return {"schema": self._document.schema_, **value}

    def walk(self, choose: Chooser) -> Architecture:
        """Make every decision of the space in turn and return the architecture they lead to."""
        return self.architecture(self._walk.take(choose))

    def follow(self, architecture: Architecture) -> Chooser:
        """Return the chooser that leads `walk` to `architecture`; raise `InvalidInput` outside the space."""
        return follow(self, architecture)

    def sample(self, rng: random.Random) -> Architecture:
        """Return an architecture drawn uniformly from the whole space."""
        return self.walk(uniform_chooser(rng))

    def neighbours(self, architecture: Architecture) -> list[Architecture]:
        """Return the architectures of the space that differ from `architecture` in one choice.

        See `nas.space.neighbours`; raise `InvalidInput` outside the space.
        """
        return list(map(self.architecture, neighbours(self, self.genotype_in_space(architecture))))

    def encode(self, architectures: list[Architecture]) -> Encoded:
        """Return architectures of the space as arrays; raise `InvalidInput` for one outside it."""
        return encode(self, [self.genotype_in_space(architecture) for architecture in architectures])

    def encode_genotypes(self, genotypes: Sequence[Genotype]) -> Encoded:
        """Return genotypes of the space as arrays."""
        return encode(self, genotypes)

    def decode(self, encoded: Encoded) -> list[Architecture]:
        """Return the architectures of arrays; raise `InvalidInput` for indices that are not choices of the space."""
        return list(map(self.architecture, decode(self, encoded)))

    def sample_encoded(self, count: int, rng: np.random.Generator) -> Encoded:
        """Return `count` architectures drawn uniformly from the whole space, as arrays: a million in a second."""
        return sample_encoded(self, count, rng)
