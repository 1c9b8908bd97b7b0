"""Genotype: an architecture as the choices of a space that lead to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from nas.space.options import Option


class PartKey(NamedTuple):
    """A part of the layers of a stack."""

    stack: str
    """`encoder` or `decoder`."""
    part: str
    """`attention`, `cross` or `feed_forward`."""


@dataclass(frozen=True)
class Part:
    """What the layers of a stack choose from for one part."""

    key: PartKey
    uniform: bool
    """Whether it is chosen once for all layers of the stack."""
    options: tuple[Option, ...]
    """All of them; which are valid depends on the frame."""


@dataclass(frozen=True)
class Genotype:
    """The frame and, by part, the option of every layer: indices into `SearchSpace.frames` and `Part.options`."""

    frame: int
    layers: Mapping[PartKey, tuple[int, ...]]

    def depth(self, stack: str) -> int:
        """Return the number of layers of a stack, repeats not counted."""
        return next(len(options) for key, options in self.layers.items() if key.stack == stack)
