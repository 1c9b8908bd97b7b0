"""Neighbours: the architectures of a space that differ from one in a single choice."""

from __future__ import annotations

from collections.abc import Iterator

from nas.space.combinations import Combinations
from nas.space.frames import Frame
from nas.space.genotype import Genotype, Part
from nas.space.options import Option, Value


def neighbours(space: Combinations, genotype: Genotype) -> Iterator[Genotype]:
    """Yield the choices that differ in one.

    A change of what is chosen once keeps the layers where they stay valid; one more layer repeats the last; a change
    of attention type keeps what both types can have.
    """
    frame = space.frames[genotype.frame]
    for index, other in enumerate(space.frames):
        if _differ_once(frame, other) and _stays_valid(space, other, genotype):
            yield Genotype(index, genotype.layers)
    yield from _of_depth(space, genotype)
    for key, part in space.parts.items():
        depths = tuple(genotype.depth(stack) for stack in space.stacks)
        valid = space.valid(frame, key, depths)
        options = genotype.layers[key]
        for place in range(1 if part.uniform else len(options)):
            for index in valid:
                if _one_choice_apart(part.options[options[place]], part.options[index], part):
                    changed = (
                        (index,) * len(options) if part.uniform else (*options[:place], index, *options[place + 1 :])
                    )
                    yield Genotype(genotype.frame, {**genotype.layers, key: changed})


def _of_depth(space: Combinations, genotype: Genotype) -> Iterator[Genotype]:
    for stack in space.stacks:
        for depth in space.choices(stack).depth:
            if depth != genotype.depth(stack):
                layers = {
                    key: options[:depth] + options[-1:] * max(0, depth - len(options))
                    if key.stack == stack
                    else options
                    for key, options in genotype.layers.items()
                }
                changed = Genotype(genotype.frame, layers)
                if _stays_valid(space, space.frames[genotype.frame], changed):
                    yield changed


def _differ_once(a: Frame, b: Frame) -> bool:
    first, second = dict(a.path), dict(b.path)
    return sum(first[name] != second[name] for name in first) == 1


def _stays_valid(space: Combinations, frame: Frame, genotype: Genotype) -> bool:
    depths = tuple(genotype.depth(stack) for stack in space.stacks)
    return all(set(options) <= set(space.valid(frame, key, depths)) for key, options in genotype.layers.items())


def _one_choice_apart(a: Option, b: Option, part: Part) -> bool:
    """Return whether two options of a part differ in one choice.

    Two types of attention are one choice apart where all choices that both have are equal, or have no value in common.
    """
    first, second = dict(a.path), dict(b.path)
    differing = [name for name in first.keys() & second.keys() if first[name] != second[name]]
    if first.get("attention") == second.get("attention"):
        return len(differing) == 1
    others = [name for name in differing if name != "attention"]
    return not any(
        first[name] in _values(part, second["attention"], name)
        or second[name] in _values(part, first["attention"], name)
        for name in others
    )


def _values(part: Part, attention: Value, name: str) -> set[Value]:
    """Return the values that a choice has for one type of attention."""
    return {option.get(name) for option in part.options if option.get("attention") == attention}
