"""SearchSpace: which architectures may be proposed; its exact size, sampling, enumeration and neighbours.

A space is walked as a sequence of decisions, each made by a chooser. Sampling, Optuna's suggestions and
reading an architecture back are three choosers over the same walk, so they can't disagree about what is valid:
a decision only ever offers options that some valid architecture has.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from nas.architecture import Architecture, ClassificationHead, Layer, Stack, TaskShape, divides_properly
from nas.documents import validate
from nas.errors import InvalidInput
from nas.space_document import SpaceDocument
from search_spaces import bundled_document

MOST_DIFFERENT_LAYERS = 10_000
"""Different layers, over all stacks, that a space may have: its bounds and latency tables list them."""

Scalar = int | str
LAYER_CHOICES = ("attention", "heads", "key_value_heads", "feed_forward_ratio")
LayerOption = tuple[str, int | None, int | None, int]
"""The values of `LAYER_CHOICES` for one layer; None where the attention type has no such choice."""


@dataclass(frozen=True)
class Decision:
    """One step of the walk through a space."""

    name: str
    """Stable name; two decisions of one name always have the same options."""
    options: tuple[Scalar, ...]
    weights: tuple[int, ...]
    """How many architectures lie behind each option; sampling in proportion to them is uniform."""


Chooser = Callable[[Decision], int]
"""Returns the index of the option taken."""


class SearchSpace:
    """The set of architectures that a job may propose, for one task shape."""

    def __init__(self, document: SpaceDocument, task_shape: TaskShape | None = None) -> None:
        self._document = document
        self._choices = document.encoder
        self.name = document.name
        self.description = document.description
        self.family = document.family
        self.task_shape = task_shape or TaskShape(**document.task_shape.model_dump())
        self._refuse_too_many_layers()
        self._options = {d: self._valid_layer_options(d) for d in self._choices.hidden_size}
        self.hidden_sizes = tuple(d for d, options in self._options.items() if options)
        if not self.hidden_sizes:
            heads = sorted({h for c in self._choices.layer.attention.values() for h in c.get("heads", ())})
            raise InvalidInput.of(
                "encoder.layer.attention",
                f"heads {heads} with hidden_size {list(self._choices.hidden_size)}",
                "at least one head count that divides a hidden size (for grouped-query also key_value_heads "
                "below heads that divides it)",
                "add a head count or a hidden size that fit each other",
            )

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
        """Return the same choices for another vocabulary, number of outputs and longest input."""
        return SearchSpace(self._document, task_shape)

    def to_document(self) -> dict[str, Any]:
        """Return the document that `from_document` takes, as plain JSON values."""
        return self._document.model_dump(mode="json", by_alias=True)

    # Structure ---------------------------------------------------------------------------------------------

    def layer_options(self, hidden_size: int) -> tuple[LayerOption, ...]:
        """Return every valid (attention, heads, key_value_heads, feed_forward_ratio) at this hidden size."""
        return self._options[hidden_size]

    def stack_options(self) -> Iterator[dict[str, Any]]:
        """Yield every combination of the choices made once for the stack, depth excepted."""
        c = self._choices
        for d, positions, norm, activation in product(self.hidden_sizes, c.positions, c.norm_position, c.activation):
            yield {"hidden_size": d, "positions": positions, "norm_position": norm, "activation": activation}

    @property
    def depths(self) -> tuple[int, ...]:
        """The numbers of layers that may be chosen."""
        return self._choices.depth

    def _refuse_too_many_layers(self) -> None:
        c = self._choices
        ways = sum(math.prod(len(values) for values in choices.values()) for choices in c.layer.attention.values())
        stacks = len(c.hidden_size) * len(c.positions) * len(c.norm_position) * len(c.activation)
        count = stacks * ways * len(c.layer.feed_forward_ratio)
        if count > MOST_DIFFERENT_LAYERS:
            raise InvalidInput.of(
                "encoder.layer",
                f"{count} different layers",
                f"at most {MOST_DIFFERENT_LAYERS} (stacks × attention choices × feed_forward_ratio)",
                "leave out choices that are close to others",
            )

    def _valid_layer_options(self, hidden_size: int) -> tuple[LayerOption, ...]:
        options: list[LayerOption] = []
        for attention, choices in self._choices.layer.attention.items():
            for heads in choices.get("heads", (None,)):
                if heads is not None and hidden_size % heads:
                    continue
                for kv in choices.get("key_value_heads", (None,)):
                    if kv is not None and (heads is None or not divides_properly(kv, heads)):
                        continue
                    options.extend((attention, heads, kv, ratio) for ratio in self._choices.layer.feed_forward_ratio)
        return tuple(options)

    @cached_property
    def size(self) -> int:
        """The exact number of different architectures."""
        c = self._choices
        stacks = len(c.positions) * len(c.norm_position) * len(c.activation)
        per_depth = (int(len(self._options[d]) ** depth) for d in self.hidden_sizes for depth in c.depth)
        return stacks * sum(per_depth)

    def architecture(self, stack: Mapping[str, Any], layers: tuple[LayerOption, ...]) -> Architecture:
        """Build the architecture of these choices, for this space's task shape."""
        d = stack["hidden_size"]
        return Architecture(
            family="encoder",
            vocabulary_size=self.task_shape.vocabulary_size,
            max_length=self.task_shape.max_length,
            encoder=Stack(
                hidden_size=d,
                positions=stack["positions"],
                norm_position=stack["norm_position"],
                activation=stack["activation"],
                layers=tuple(
                    Layer(attention=a, heads=h, key_value_heads=kv, feed_forward_size=ratio * d)
                    for a, h, kv, ratio in layers
                ),
            ),
            head=ClassificationHead(outputs=self.task_shape.outputs),
        )

    # The walk ----------------------------------------------------------------------------------------------

    def walk(self, choose: Chooser) -> Architecture:
        """Make every decision of the space in turn and return the architecture they lead to."""
        c = self._choices

        def pick(name: str, weights: Mapping[Any, int], all_options: tuple[Any, ...]) -> Any:
            # Samplers want one set of options a name: where some options drop out, the name says which are left
            options = tuple(weights)
            if options != all_options:
                name += "{" + ",".join(map(str, options)) + "}"
            return options[choose(Decision(name, options, tuple(weights.values())))]

        per_depth = {d: {depth: len(self._options[d]) ** depth for depth in c.depth} for d in self.hidden_sizes}
        d = pick("hidden_size", {d: sum(per_depth[d].values()) for d in self.hidden_sizes}, self.hidden_sizes)
        depth = pick("depth", per_depth[d], c.depth)
        stack = {"hidden_size": d}
        for name in ("positions", "norm_position", "activation"):
            options = getattr(c, name)
            stack[name] = pick(name, dict.fromkeys(options, 1), options)
        layers = []
        for index in range(depth):
            prefix, remaining = f"layers.{index}.", self._options[d]
            taken: tuple[Any, ...] = ()
            for choice in LAYER_CHOICES:
                position = len(taken)
                counts = Counter(option[position] for option in remaining)  # in the order of the space
                if tuple(counts) == (None,):  # this attention type has no such choice
                    taken = (*taken, None)
                    continue
                if choice in ("heads", "key_value_heads"):
                    value = pick(f"{prefix}{taken[0]}.{choice}", counts, c.layer.attention[taken[0]][choice])
                elif choice == "attention":
                    value = pick(prefix + choice, counts, tuple(c.layer.attention))
                else:
                    value = pick(prefix + choice, counts, c.layer.feed_forward_ratio)
                taken = (*taken, value)
                remaining = tuple(option for option in remaining if option[: len(taken)] == taken)
            layers.append(taken)
        return self.architecture(stack, tuple(layers))

    def follow(self, architecture: Architecture) -> Chooser:
        """Return the chooser that leads `walk` to `architecture`; raise `InvalidInput` outside the space."""
        stack, layers = self._choices_in_space(architecture)

        def choose(decision: Decision) -> int:
            path = decision.name.partition("{")[0].split(".")
            if path[0] == "layers":
                value = layers[int(path[1])][LAYER_CHOICES.index(path[-1])]
            else:
                value = len(layers) if path[0] == "depth" else stack[path[0]]
            return decision.options.index(value)

        return choose

    def sample(self, rng: random.Random) -> Architecture:
        """Return an architecture drawn uniformly from the whole space."""
        return self.walk(lambda decision: _weighted_index(decision.weights, rng))

    def enumerate(self) -> Iterator[Architecture]:
        """Yield every architecture once, in a fixed order."""
        for stack in self.stack_options():
            for depth in self.depths:
                for layers in product(self._options[stack["hidden_size"]], repeat=depth):
                    yield self.architecture(stack, layers)

    def choices_of(self, architecture: Architecture) -> tuple[dict[str, Any], tuple[LayerOption, ...]] | None:
        """Return the stack and layer choices behind `architecture`, or None if it isn't in the space."""
        e = architecture.encoder
        c = self._choices
        if (
            architecture.task_shape != self.task_shape
            or e.hidden_size not in self.hidden_sizes
            or len(e.layers) not in c.depth
            or e.positions not in c.positions
            or e.norm_position not in c.norm_position
            or e.activation not in c.activation
        ):
            return None
        layers = tuple(
            (x.attention, x.heads, x.key_value_heads, x.feed_forward_size // e.hidden_size) for x in e.layers
        )
        exact = all(x.feed_forward_size % e.hidden_size == 0 for x in e.layers)
        if not exact or any(layer not in self._options[e.hidden_size] for layer in layers):
            return None
        return e.model_dump(include={"hidden_size", "positions", "norm_position", "activation"}), layers

    def _choices_in_space(self, architecture: Architecture) -> tuple[dict[str, Any], tuple[LayerOption, ...]]:
        found = self.choices_of(architecture)
        if found is None:
            allowed = f"an architecture of the space {self.name} for {self.task_shape}"
            raise InvalidInput.of("architecture", architecture.id, allowed, "see `nas space show`")
        return found

    def __contains__(self, architecture: object) -> bool:
        return isinstance(architecture, Architecture) and self.choices_of(architecture) is not None

    def neighbours(self, architecture: Architecture) -> list[Architecture]:
        """Return the architectures of the space that differ from `architecture` in one choice.

        A change of hidden size keeps heads and ratios where they stay valid; one more layer repeats the last.
        """
        stack, layers = self._choices_in_space(architecture)
        c = self._choices
        result = []
        for d in self.hidden_sizes:
            if d != stack["hidden_size"] and all(layer in self._options[d] for layer in layers):
                result.append(self.architecture({**stack, "hidden_size": d}, layers))
        for name in ("positions", "norm_position", "activation"):
            result += [
                self.architecture({**stack, name: option}, layers)
                for option in getattr(c, name)
                if option != stack[name]
            ]
        for depth in c.depth:
            if depth != len(layers):
                fewer_or_more = layers[:depth] + layers[-1:] * max(0, depth - len(layers))
                result.append(self.architecture(stack, fewer_or_more))
        for index, layer in enumerate(layers):
            result += [
                self.architecture(stack, (*layers[:index], option, *layers[index + 1 :]))
                for option in self._options[stack["hidden_size"]]
                if _one_choice_apart(layer, option)
            ]
        return result


def _weighted_index(weights: tuple[int, ...], rng: random.Random) -> int:
    ticket = rng.randrange(sum(weights))  # exact for integers of any size, unlike random.choices
    for index, weight in enumerate(weights):
        ticket -= weight
        if ticket < 0:
            return index
    raise AssertionError("randrange stays below the sum")


def _one_choice_apart(a: LayerOption, b: LayerOption) -> bool:
    if a[3] != b[3]:
        return a[:3] == b[:3]
    if a[0] != b[0]:
        return a[1] == b[1]
    return a != b and (a[1] == b[1] or a[2] == b[2])
