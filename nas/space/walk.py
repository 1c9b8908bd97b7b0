"""The walk: a space as a sequence of decisions, each made by a chooser.

Sampling, Optuna's suggestions and reading an architecture back are three choosers over the same walk, so they can't
disagree about what is valid: a decision only ever offers options that some valid architecture has.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas.architecture import Architecture
from nas.space.combinations import Combinations, Depths
from nas.space.genotype import Genotype, Part, PartKey
from nas.space.options import Value

Path = Sequence[tuple[str, Value]]


@dataclass(frozen=True)
class Decision:
    """One step of the walk through a space."""

    name: str
    """Stable name; two decisions of one name always have the same options."""
    options: tuple[Value, ...]
    weights: tuple[int, ...]
    """How many architectures lie behind each option; sampling in proportion to them is uniform."""


Chooser = Callable[[Decision], int]
"""Returns the index of the option taken."""


class Walk:
    """The decisions of a space. What only has one option in the whole space is not decided."""

    def __init__(self, space: Combinations) -> None:
        self.space = space
        self._frames = _Tree([frame.path for frame in space.frames], space.frame_sizes)
        self._parts: dict[tuple[PartKey, tuple[int, ...]], _Tree] = {}
        self._ways: dict[int, dict[Depths, int]] = {}

    def take(self, choose: Chooser) -> Genotype:
        """Make every decision in turn and return where they lead."""
        space = self.space
        index = self._frames.descend(choose, "")
        frame = space.frames[index]
        depths = self._choose_depths(index, choose)
        layers: dict[PartKey, list[int]] = {key: [] for key in space.parts}
        for stack, depth in zip(space.stacks, depths, strict=True):
            prefix = f"{stack}.layers." if len(space.stacks) > 1 else "layers."
            parts = [part for key, part in space.parts.items() if key.stack == stack]
            for part in parts:
                if part.uniform:
                    tree = self._tree(part, space.valid(frame, part.key, depths))
                    layers[part.key] = [tree.descend(choose, f"{prefix}all.{_infix(part)}")] * depth
            for layer in range(depth):
                for part in parts:
                    if not part.uniform:
                        tree = self._tree(part, space.valid(frame, part.key, depths))
                        layers[part.key].append(tree.descend(choose, f"{prefix}{layer}.{_infix(part)}"))
        return Genotype(index, {key: tuple(options) for key, options in layers.items()})

    def _choose_depths(self, index: int, choose: Chooser) -> Depths:
        space, frame = self.space, self.space.frames[index]
        ways = self._ways.get(index)
        if ways is None:
            ways = self._ways[index] = {depths: space.ways(frame, depths) for depths in space.depths}
        chosen: Depths = ()
        for position, stack in enumerate(space.stacks):
            listed = space.choices(stack).depth
            weights = dict.fromkeys(listed, 0)
            for depths, count in ways.items():
                if depths[:position] == chosen:
                    weights[depths[position]] += count
            name = f"{stack}.depth" if len(space.stacks) > 1 else "depth"
            chosen = (*chosen, _decide(name, weights, listed, choose))
        return chosen

    def _tree(self, part: Part, valid: tuple[int, ...]) -> _Tree:
        known = self._parts.get((part.key, valid))
        if known is None:
            weights = [int(index in valid) for index in range(len(part.options))]
            known = self._parts[part.key, valid] = _Tree([option.path for option in part.options], weights)
        return known


def _infix(part: Part) -> str:
    return "cross." if part.key.part == "cross" else ""


def _decide(name: str, weights: Mapping[Any, int], listed: Sequence[Any], choose: Chooser) -> Any:
    """Return the value chosen; samplers want one set of options a name, so a name says which are left of them."""
    if len(listed) == 1:
        return listed[0]
    options = tuple(value for value in listed if weights.get(value))
    if len(options) < len(listed):
        name += "{" + ",".join(map(str, options)) + "}"
    return options[choose(Decision(name, options, tuple(weights[value] for value in options)))]


class _Tree:
    """Paths with weights, descended choice by choice."""

    def __init__(self, paths: Sequence[Path], weights: Sequence[int], listed: _Listed | None = None) -> None:
        self.weight = sum(weights)
        self._listed = _listed(paths) if listed is None else listed
        self._name = paths[0][0][0] if paths[0] else ""
        self._members: dict[Value, list[int]] = {}
        for index, path in enumerate(paths):
            if path:
                self._members.setdefault(path[0][1], []).append(index)
        self._branches = {
            value: _Tree([paths[i][1:] for i in members], [weights[i] for i in members], self._listed)
            for value, members in self._members.items()
        }

    def descend(self, choose: Chooser, prefix: str, kind: str = "") -> int:
        """Return the index of the path that the choices lead to; `kind` is the attention type chosen, if one was."""
        if not self._branches:
            return 0
        weights = {value: branch.weight for value, branch in self._branches.items()}
        name = f"{kind}.{self._name}" if kind else self._name
        value = _decide(prefix + name, weights, self._listed[name], choose)
        kind = str(value) if self._name == "attention" else kind
        return self._members[value][self._branches[value].descend(choose, prefix, kind)]


_Listed = dict[str, tuple[Value, ...]]


def _listed(paths: Sequence[Path]) -> _Listed:
    """Return every value of each choice; behind the type of attention the names of its choices are its own."""
    result: dict[str, dict[Value, None]] = {}
    for path in paths:
        kind = ""
        for name, value in path:
            result.setdefault(f"{kind}{name}", {})[value] = None
            kind = f"{value}." if name == "attention" else kind
    return {name: tuple(values) for name, values in result.items()}


def follow(space: Combinations, architecture: Architecture) -> Chooser:
    """Return the chooser that leads a walk to `architecture`; raise `InvalidInput` outside the space."""
    return follow_genotype(space, space.genotype_in_space(architecture))


def follow_genotype(space: Combinations, genotype: Genotype) -> Chooser:
    """Return the chooser that leads a walk to these choices of the space."""
    wanted: dict[str, Value] = dict(space.frames[genotype.frame].path)
    for stack in space.stacks:
        prefix = f"{stack}." if len(space.stacks) > 1 else ""
        wanted[f"{prefix}depth"] = genotype.depth(stack)
        for key, part in space.parts.items():
            if key.stack == stack:
                for place, option in enumerate(genotype.layers[key]):
                    where = f"{prefix}layers.{'all' if part.uniform else place}.{_infix(part)}"
                    for name, value in part.options[option].path:
                        wanted[where + name] = value
                        where = f"{where}{value}." if name == "attention" else where

    def choose(decision: Decision) -> int:
        return decision.options.index(wanted[decision.name.partition("{")[0]])

    return choose


def uniform_chooser(rng: random.Random) -> Chooser:
    """Return the chooser under which every architecture of a space is equally likely."""
    return lambda decision: _weighted_index(decision.weights, rng)


def _weighted_index(weights: tuple[int, ...], rng: random.Random) -> int:
    ticket = rng.randrange(sum(weights))  # exact for integers of any size, unlike random.choices
    for index, weight in enumerate(weights):
        ticket -= weight
        if ticket < 0:
            return index
    raise AssertionError("randrange stays below the sum")
