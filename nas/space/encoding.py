"""Architectures as arrays of indices, so that a million of them are sampled and costed at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from nas.errors import InvalidInput
from nas.space.combinations import Combinations
from nas.space.genotype import Genotype, PartKey

Indices = NDArray[np.int16]
NONE = -1
"""Stands behind the last layer."""


@dataclass(frozen=True)
class Encoded:
    """N architectures of one space."""

    frames: NDArray[np.int32]
    """(N,) indices into `SearchSpace.frames`."""
    layers: dict[PartKey, Indices]
    """By part (N, most layers of the stack): indices into the part's options, -1 behind the last layer."""

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> Encoded:
        return Encoded(self.frames[rows], {key: options[rows] for key, options in self.layers.items()})


def encode(space: Combinations, genotypes: Sequence[Genotype]) -> Encoded:
    """Return genotypes as arrays."""
    layers = {}
    for key in space.parts:
        table = np.full((len(genotypes), max(space.choices(key.stack).depth)), NONE, dtype=np.int16)
        for row, genotype in enumerate(genotypes):
            table[row, : len(genotype.layers[key])] = genotype.layers[key]
        layers[key] = table
    return Encoded(np.array([g.frame for g in genotypes], dtype=np.int32), layers)


def decode(space: Combinations, encoded: Encoded) -> list[Genotype]:
    """Return arrays as genotypes; raise `InvalidInput` for indices that are not choices of the space."""
    result = []
    for row in range(len(encoded)):
        layers = {key: tuple(int(i) for i in options[row] if i != NONE) for key, options in encoded.layers.items()}
        genotype = Genotype(int(encoded.frames[row]), layers)
        _refuse_invalid(space, genotype, row)
        result.append(genotype)
    return result


def _refuse_invalid(space: Combinations, genotype: Genotype, row: int) -> None:
    depths = tuple(genotype.depth(stack) for stack in space.stacks)
    fits = 0 <= genotype.frame < len(space.frames) and set(genotype.layers) == set(space.parts)
    fits = fits and depths in space.depths
    for key, part in space.parts.items():
        if fits:
            options = genotype.layers[key]
            valid = space.valid(space.frames[genotype.frame], key, depths)
            fits = set(options) <= set(valid) and (not part.uniform or len(set(options)) == 1)
            fits = fits and len(options) == depths[space.stacks.index(key.stack)]
    if not fits:
        raise InvalidInput.of(
            f"encoded[{row}]", f"frame {genotype.frame}, {depths} layers", "choices of the space", "encode it anew"
        )


def sample_encoded(space: Combinations, count: int, rng: np.random.Generator) -> Encoded:
    """Return `count` architectures drawn uniformly (frames and depths in proportion up to a float's 16 digits)."""
    cells = [(index, depths) for index in range(len(space.frames)) for depths in space.depths]
    ways = [space.ways(space.frames[index], depths) for index, depths in cells]
    total = sum(ways)
    shares = np.array([float(Fraction(way, total)) for way in ways])
    drawn = rng.choice(len(cells), size=count, p=shares / shares.sum())
    frames = np.array([index for index, _ in cells], dtype=np.int32)[drawn]
    layers = {}
    for key, part in space.parts.items():
        position = space.stacks.index(key.stack)
        most = max(space.choices(key.stack).depth)
        valid, known = _valid_table(space, key, cells)
        numbers = np.array([len(options) for options in known])
        row_of_cell = valid[drawn]
        shape = (count, 1 if part.uniform else most)
        picked = (rng.random(shape) * numbers[row_of_cell][:, None]).astype(np.int64)
        padded = np.full((len(known), max(1, numbers.max())), NONE, dtype=np.int16)
        for row, valid_options in enumerate(known):
            padded[row, : len(valid_options)] = valid_options
        options = np.broadcast_to(padded[row_of_cell[:, None], picked], (count, most))
        depth = np.array([depths[position] for _, depths in cells])[drawn]
        layers[key] = np.where(np.arange(most) < depth[:, None], options, np.int16(NONE))
    return Encoded(frames, layers)


def _valid_table(
    space: Combinations, key: PartKey, cells: Sequence[tuple[int, tuple[int, ...]]]
) -> tuple[NDArray[np.int64], list[tuple[int, ...]]]:
    """Return for each cell the row of its valid options in the list of different ones."""
    known: dict[tuple[int, ...], int] = {}
    rows = [known.setdefault(space.valid(space.frames[i], key, depths), len(known)) for i, depths in cells]
    return np.array(rows, dtype=np.int64), list(known)
