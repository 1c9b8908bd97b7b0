"""Neighbours: the architectures of a space that differ from one in a single choice."""

from __future__ import annotations

import random
from collections.abc import Iterator

from nas.space.combinations import Combinations
from nas.space.frames import Frame
from nas.space.genotype import Genotype, PartKey


def neighbours(space: Combinations, genotype: Genotype) -> Iterator[Genotype]:
    """Yield the choices that differ in one.

    A change of what is chosen once keeps the layers where they stay valid; one more layer repeats the last; a change
    of attention type keeps what both types can have.
    """
    for index in space.frames_beside(genotype.frame):
        if _stays_valid(space, space.frames[index], genotype):
            yield Genotype(index, genotype.layers)
    for stack in space.stacks:
        yield from _of_depth(space, genotype, stack)
    for key, part in space.parts.items():
        for place in range(1 if part.uniform else len(genotype.layers[key])):
            yield from _of_part(space, genotype, key, place)


def random_neighbour(space: Combinations, genotype: Genotype, rng: random.Random) -> Genotype | None:
    """Return one of the `neighbours` without listing them all, every choice equally likely to be the one that differs.

    None where the choice that was drawn leaves no other way; another draw may.
    """
    frame = space.frames[genotype.frame]
    once = [name for name, _ in frame.path]
    places: list[tuple[PartKey, int]] = []
    for key, part in space.parts.items():
        places += [(key, place) for place in range(1 if part.uniform else len(genotype.layers[key]))]
    drawn = rng.randrange(len(once) + len(space.stacks) + len(places))
    if drawn < len(once):
        found = [
            Genotype(index, genotype.layers)
            for index in space.frames_beside(genotype.frame, once[drawn])
            if _stays_valid(space, space.frames[index], genotype)
        ]
    elif drawn < len(once) + len(space.stacks):
        found = list(_of_depth(space, genotype, space.stacks[drawn - len(once)]))
    else:
        key, place = places[drawn - len(once) - len(space.stacks)]
        found = list(_of_part(space, genotype, key, place))
    return rng.choice(found) if found else None


def _of_part(space: Combinations, genotype: Genotype, key: PartKey, place: int) -> Iterator[Genotype]:
    part, options = space.parts[key], genotype.layers[key]
    depths = tuple(genotype.depth(stack) for stack in space.stacks)
    beside = part.beside[options[place]]
    for index in space.valid(space.frames[genotype.frame], key, depths):
        if index in beside:
            changed = (index,) * len(options) if part.uniform else (*options[:place], index, *options[place + 1 :])
            yield Genotype(genotype.frame, {**genotype.layers, key: changed})


def _of_depth(space: Combinations, genotype: Genotype, stack: str) -> Iterator[Genotype]:
    for depth in space.choices(stack).depth:
        if depth != genotype.depth(stack):
            layers = {
                key: options[:depth] + options[-1:] * max(0, depth - len(options)) if key.stack == stack else options
                for key, options in genotype.layers.items()
            }
            changed = Genotype(genotype.frame, layers)
            if _stays_valid(space, space.frames[genotype.frame], changed):
                yield changed


def _stays_valid(space: Combinations, frame: Frame, genotype: Genotype) -> bool:
    depths = tuple(genotype.depth(stack) for stack in space.stacks)
    return all(set(options) <= set(space.valid(frame, key, depths)) for key, options in genotype.layers.items())
