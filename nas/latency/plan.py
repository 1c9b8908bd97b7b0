"""What to measure: every call of a space, and whole models spread over its sizes."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from functools import lru_cache

from nas.architecture import Architecture
from nas.costs.sub_block_costs import cache_bytes_of_call, int8_bytes_of_sub_block, parameters_of_sub_block
from nas.latency.runtimes import Precision
from nas.space import SearchSpace
from nas.sub_blocks.calls import Call, Phase, calls, phases
from nas.workload import Workload

BYTES_PER_WEIGHT = 4  # fp32
CACHE_COPIES = 2
_CANDIDATES_PER_MODEL = 40
_MANY_KINDS = 256


def phase_runs(family: str, workload: Workload) -> dict[Phase, int]:
    """Return how often each phase runs in one inference: a decoder takes a step for every token that it writes."""
    runs = {phase: 1 if phase == "prefill" else workload.output_length for phase in phases(family)}
    return {phase: count for phase, count in runs.items() if count}


@lru_cache(maxsize=100_000)
def weight_bytes_of_call(call: Call, precision: Precision) -> int:
    """Return the bytes of weights that one run of a sub-block reads.

    Of an embedding nearly none: a table is not read in full. A cross-attention reads the weights of its keys and
    values when it is prepared and the others at every step: half of them each, to a good approximation.
    """
    block = call.sub_block
    if block.kind == "embedding":
        return 0
    full = precision == "fp32"
    weights = BYTES_PER_WEIGHT * parameters_of_sub_block(block) if full else int8_bytes_of_sub_block(block)
    return weights // 2 if block.kind == "cross_attention" else weights


@lru_cache(maxsize=100_000)
def kept_bytes_of_call(call: Call) -> int:
    """Return the bytes of caches that one run of a sub-block holds beside its weights: a step the old and the new."""
    return CACHE_COPIES * cache_bytes_of_call(call) if call.method == "step" else 0


def working_bytes(architecture: Architecture, workload: Workload, phase: Phase, precision: Precision) -> int:
    """Return the bytes of weights and caches that a phase of a whole model goes through, shared weights once."""
    once = calls(architecture, workload, phase, repeats=False)
    weights = sum(weight_bytes_of_call(call, precision) for call in once)
    return weights + sum(map(kept_bytes_of_call, calls(architecture, workload, phase)))


def whole_models_of(space: SearchSpace, workload: Workload, count: int, seed: int) -> tuple[Architecture, ...]:
    """Return up to `count` different architectures, smallest first.

    One half is even in the logarithm of the bytes, smallest and largest included: there the cache's knees are found.
    The other half is drawn at random, every frame and depth equally likely and every layer on its own: what people ask
    about (a model of layers that are all alike is a little quicker). The same for the same space, workload, count and
    seed; fewer than `count` only if the space has no more.
    """
    rng = random.Random(seed)
    # From few kinds of layer to many: all alike reaches the smallest and the largest models
    pool = _candidates(space, workload, count * _CANDIDATES_PER_MODEL, rng, (1, 2, 3, _MANY_KINDS))
    by_size = sorted(pool.values(), key=lambda pair: pair[0])
    if len(by_size) <= count:
        return tuple(architecture for _, architecture in by_size)
    low, high = math.log(by_size[0][0]), math.log(by_size[-1][0])
    even = (count + 1) // 2
    taken: dict[str, tuple[int, Architecture]] = {}
    for step in range(even):
        wanted = low + (high - low) * step / max(1, even - 1)
        nearest = min((p for p in by_size if p[1].id not in taken), key=lambda p: abs(math.log(p[0]) - wanted))
        taken[nearest[1].id] = nearest
    at_random = _candidates(space, workload, count, rng, (_MANY_KINDS,))
    rest = [key for key in (*at_random, *rng.sample(sorted(pool), len(pool))) if key not in taken]
    for key in list(dict.fromkeys(rest))[: count - even]:
        taken[key] = at_random.get(key) or pool[key]
    return tuple(architecture for _, architecture in sorted(taken.values(), key=lambda pair: pair[0]))


def _candidates(
    space: SearchSpace, workload: Workload, wanted: int, rng: random.Random, kinds: Sequence[int]
) -> dict[str, tuple[int, Architecture]]:
    """Return id → (bytes, architecture) of random architectures, every frame and depth equally often.

    Each has as many kinds of layers as one of `kinds` says, every one equally often.
    """
    found: dict[str, tuple[int, Architecture]] = {}
    for _ in range(wanted):
        architecture = space.architecture(space.spread(rng, kinds=rng.choice(kinds)))
        runs = phase_runs(space.family, workload)
        size = sum(working_bytes(architecture, workload, phase, "fp32") for phase in runs)
        found[architecture.id] = (size, architecture)
    return found
