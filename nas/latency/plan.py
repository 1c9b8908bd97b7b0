"""What to measure beside the sub-blocks of a space: whole models spread over its sizes."""

from __future__ import annotations

import math
import random

from nas.architecture import Architecture
from nas.costs import parameters_of_sub_block
from nas.models import SubBlock, weighted_blocks
from nas.space import SearchSpace

BYTES_PER_WEIGHT = 4  # fp32
_CANDIDATES_PER_MODEL = 40


def weight_bytes(sub_block: SubBlock) -> int:
    """Return the bytes of weights that one inference reads in full: an embedding's table is not."""
    return 0 if sub_block.kind == "embedding" else BYTES_PER_WEIGHT * parameters_of_sub_block(sub_block)


def model_weight_bytes(architecture: Architecture) -> int:
    """Return the bytes of weights that one inference of a whole model reads in full."""
    return sum(map(weight_bytes, weighted_blocks(architecture)))


def whole_models_of(space: SearchSpace, count: int, seed: int) -> tuple[Architecture, ...]:
    """Return up to `count` different architectures, smallest first, even in the logarithm of their weight bytes.

    The same for the same space, count and seed; fewer than `count` only if the space has no more.
    """
    rng = random.Random(seed)
    pool = sorted(_candidates(space, count * _CANDIDATES_PER_MODEL, rng).values(), key=lambda pair: pair[0])
    if len(pool) <= count:
        return tuple(architecture for _, architecture in pool)
    low, high = math.log(pool[0][0]), math.log(pool[-1][0])
    taken: dict[int, Architecture] = {}
    for step in range(count):
        wanted = low + (high - low) * step / max(1, count - 1)
        nearest = min(
            (i for i in range(len(pool)) if i not in taken),
            key=lambda i: (abs(math.log(pool[i][0]) - wanted), i),
        )
        taken[nearest] = pool[nearest][1]
    return tuple(taken[i] for i in sorted(taken))


def _candidates(space: SearchSpace, wanted: int, rng: random.Random) -> dict[str, tuple[int, Architecture]]:
    """Return id → (weight bytes, architecture) of random architectures, every frame and depth equally often."""
    found: dict[str, tuple[int, Architecture]] = {}
    for _ in range(wanted):
        # From few kinds of layer to many: all alike reaches the smallest and the largest models
        architecture = space.architecture(space.spread(rng, kinds=rng.randint(1, 3)))
        found[architecture.id] = (model_weight_bytes(architecture), architecture)
    return found
