"""Genotype: an architecture as the choices of a space that lead to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from nas.space.options import Option, Value


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

    @cached_property
    def beside(self) -> tuple[frozenset[int], ...]:
        """Of each option those that differ from it in one choice.

        Two types of attention are one choice apart where all choices that both have are equal, or have no value in
        common.
        """
        chosen = [dict(option.path) for option in self.options]
        values: dict[tuple[Value, str], set[Value]] = {}
        for choices in chosen:
            for name, value in choices.items():
                values.setdefault((choices.get("attention", ""), name), set()).add(value)

        def apart(first: dict[str, Value], second: dict[str, Value]) -> bool:
            differing = [name for name in first.keys() & second.keys() if first[name] != second[name]]
            kinds = first.get("attention", ""), second.get("attention", "")
            if kinds[0] == kinds[1]:
                return len(differing) == 1
            others = [name for name in differing if name != "attention"]
            return not any(
                first[name] in values[kinds[1], name] or second[name] in values[kinds[0], name] for name in others
            )

        return tuple(frozenset(index for index, other in enumerate(chosen) if apart(one, other)) for one in chosen)


@dataclass(frozen=True)
class Genotype:
    """The frame and, by part, the option of every layer: indices into `SearchSpace.frames` and `Part.options`."""

    frame: int
    layers: Mapping[PartKey, tuple[int, ...]]

    def depth(self, stack: str) -> int:
        """Return the number of layers of a stack, repeats not counted."""
        return next(len(options) for key, options in self.layers.items() if key.stack == stack)
