"""The exact lowest and highest value of a cost over a whole space, however large.

Every cost here is a sum over sub-blocks, so the extreme over a space is found without listing it: at each choice
of stack and depth all layers take the cheapest (or dearest) layer option.
"""

from __future__ import annotations

from collections.abc import Callable

from nas.architecture import Architecture
from nas.costs.costs import costs_of
from nas.errors import InvalidInput
from nas.space import SearchSpace
from nas.workload import Workload

COST_NAMES = ("parameters", "parameters_without_embeddings", "macs", "size_mb")


def reach(
    space: SearchSpace, cost: str, workload: Workload
) -> tuple[tuple[float, Architecture], tuple[float, Architecture]]:
    """Return ((lowest, an architecture that has it), (highest, an architecture that has it)) of one cost.

    Raises `InvalidInput` if `cost` is not one of `COST_NAMES`.
    """
    if cost not in COST_NAMES:
        raise InvalidInput.of("cost", cost, ", ".join(COST_NAMES), "name one of these costs")
    value: Callable[[Architecture], float] = lambda a: getattr(costs_of(a, workload), cost)  # noqa: E731
    candidates = []
    for stack in space.stack_options():
        # Within one stack the layers' costs add up, so options compare by a model of one such layer
        priced = sorted(
            (value(space.architecture(stack, (option,))), index)
            for index, option in enumerate(space.layer_options(stack["hidden_size"]))
        )
        for _, index in (priced[0], priced[-1]):
            option = space.layer_options(stack["hidden_size"])[index]
            for depth in (min(space.depths), max(space.depths)):
                architecture = space.architecture(stack, (option,) * depth)
                candidates.append((value(architecture), architecture))
    return (
        min(candidates, key=lambda pair: (pair[0], pair[1].id)),
        max(candidates, key=lambda pair: (pair[0], pair[1].id)),
    )
