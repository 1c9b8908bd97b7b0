"""Combinations: which choices of a space fit each other, how many they are, and which architecture each is.

An architecture is a frame (what is chosen once), a depth for each stack, and for every layer an option of each part
(attention, cross-attention, feed-forward). The parts of a layer are independent of each other and of other layers, so
the space is counted by products; what is valid depends on the frame alone, but for cross-attention, which can't read
more layers than the encoder has.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import product
from typing import Any

from nas.architecture import (
    Architecture,
    Attention,
    CrossAttention,
    Head,
    Layer,
    Stack,
    StackSettings,
    TaskShape,
)
from nas.errors import InvalidInput
from nas.space.frames import STACK_FIELDS, Frame, field_values, frames_of, stack_names
from nas.space.genotype import Genotype, Part, PartKey
from nas.space.options import (
    FeedForward,
    attention_options,
    cross_options,
    feed_forward_options,
    resolve_attention,
    resolve_cross,
    resolve_feed_forward,
)
from nas.space_document import SpaceDocument, StackChoices

MOST_DIFFERENT_LAYERS = 20_000
"""Different sub-blocks of layers, over all stacks, that a space may have: its bounds and tables list them."""
MOST_FRAMES = 20_000
MOST_DIGITS = 4_000
"""Python writes no whole number of more than 4,300 digits as text."""

Resolved = Attention | CrossAttention | FeedForward
Depths = tuple[int, ...]
"""Layers of each stack, in the order of `Combinations.stacks`."""


class Combinations:
    """The valid combinations of a document's choices, for one task shape."""

    def __init__(self, document: SpaceDocument, task_shape: TaskShape | None = None) -> None:
        self._document = document
        self.name = document.name
        self.description = document.description
        self.family = document.family
        self.stacks = stack_names(document)
        self.task_shape = task_shape or _own_shape(document)
        self._resolutions: dict[tuple[StackSettings, PartKey], dict[int, Resolved]] = {}
        self._valid: dict[tuple[Frame, PartKey, int], tuple[int, ...]] = {}
        self._refuse_too_large()
        self.parts: dict[PartKey, Part] = {part.key: part for part in self._parts()}
        self.frames: tuple[Frame, ...] = tuple(f for f in frames_of(document, self.task_shape) if self._has_layers(f))
        if not self.frames:
            raise self._nothing_valid()

    # What may be chosen ------------------------------------------------------------------------------------

    def choices(self, stack: str) -> StackChoices:
        """Return what the document lists for the stack of that name."""
        found: StackChoices = getattr(self._document, stack)
        return found

    def _parts(self) -> Iterator[Part]:
        for stack in self.stacks:
            choices = self.choices(stack)
            options = {"attention": attention_options(choices.layer)}
            if choices.layer.cross is not None:
                options["cross"] = cross_options(choices.layer.cross)
            options["feed_forward"] = feed_forward_options(choices.layer)
            for part, listed in options.items():
                yield Part(PartKey(stack, part), part in choices.uniform, listed)

    def resolved(self, frame: Frame, key: PartKey) -> dict[int, Resolved]:
        """Return the options of a part that are valid in a frame, by index: what stands in an architecture.

        Of options that come to the same in this frame only the first is there. A cross-attention is there even if it
        reads more layers than the encoder may have: that depends on the depth, see `valid`.
        """
        stack = frame.stacks[key.stack]
        found = self._resolutions.get((stack, key))
        if found is None:
            distinct: dict[Resolved, int] = {}
            for index in range(len(self.parts[key].options)):
                value = self._resolve(stack, key, index)
                if value is not None:
                    distinct.setdefault(value, index)
            found = self._resolutions[stack, key] = {index: value for value, index in distinct.items()}
        return found

    def _resolve(self, stack: StackSettings, key: PartKey, index: int) -> Resolved | None:
        option = self.parts[key].options[index]
        if key.part == "attention":
            causal, longest = key.stack == "decoder", self.length_of(key.stack)
            return resolve_attention(option, stack, causal=causal, max_length=longest)
        return resolve_cross(option, stack) if key.part == "cross" else resolve_feed_forward(option, stack)

    def valid(self, frame: Frame, key: PartKey, depths: Depths) -> tuple[int, ...]:
        """Return the options of a part that are valid in a frame with these numbers of layers."""
        encoder_layers = depths[0] * frame.stacks["encoder"].repeats if key.part == "cross" else 0
        found = self._valid.get((frame, key, encoder_layers))
        if found is None:
            found = self._valid[frame, key, encoder_layers] = tuple(
                index
                for index, value in self.resolved(frame, key).items()
                if not (isinstance(value, CrossAttention) and value.reads > encoder_layers)
            )
        return found

    def length_of(self, stack: str) -> int:
        """Return the longest sequence that a stack sees, in tokens."""
        shape = self.task_shape
        return shape.max_output_length if stack == "decoder" and shape.max_output_length else shape.max_length

    @cached_property
    def depths(self) -> tuple[Depths, ...]:
        """Every combination of numbers of layers, in the order of `stacks`."""
        return tuple(product(*(self.choices(stack).depth for stack in self.stacks)))

    def ways(self, frame: Frame, depths: Depths) -> int:
        """Return the exact number of architectures of a frame with these numbers of layers."""
        result = 1
        for key, part in self.parts.items():
            options = len(self.valid(frame, key, depths))
            result *= options if part.uniform else options ** depths[self.stacks.index(key.stack)]
        return result

    @cached_property
    def frame_sizes(self) -> tuple[int, ...]:
        """The exact number of architectures of each frame."""
        return tuple(sum(self.ways(frame, depths) for depths in self.depths) for frame in self.frames)

    @cached_property
    def size(self) -> int:
        """The exact number of different architectures."""
        return sum(self.frame_sizes)

    def frames_beside(self, index: int, name: str | None = None) -> list[int]:
        """Return the frames, ascending, that differ from one in a single choice: in any, or in the one of that name."""
        found = self._beside.get(index)
        if found is None:
            path = self.frames[index].path
            found = self._beside[index] = {
                step: [
                    other
                    for value in self._frame_values[step]
                    if value != taken
                    and (other := self._frame_of_path.get((*path[:at], (step, value), *path[at + 1 :]))) is not None
                ]
                for at, (step, taken) in enumerate(path)
            }
        return sorted(o for step, others in found.items() if name in {None, step} for o in others)

    @cached_property
    def _beside(self) -> dict[int, dict[str, list[int]]]:
        return {}

    @cached_property
    def _frame_of_path(self) -> dict[Any, int]:
        return {frame.path: index for index, frame in enumerate(self.frames)}

    @cached_property
    def _frame_values(self) -> dict[str, list[Any]]:
        values: dict[str, dict[Any, None]] = {}
        for frame in self.frames:
            for step, value in frame.path:
                values.setdefault(step, {})[value] = None
        return {step: list(found) for step, found in values.items()}

    # Genotypes and architectures ---------------------------------------------------------------------------

    def architecture(self, genotype: Genotype) -> Architecture:
        """Build the architecture of these choices, for this space's task shape."""
        frame, shape = self.frames[genotype.frame], self.task_shape
        stacks: dict[str, Stack] = {}
        for name in self.stacks:
            layers = self._layers(frame, name, genotype)
            settings = frame.stacks[name].model_dump()
            settings["activation"] = layers[0][1].activation
            stacks[name] = Stack(
                **settings,
                layers=tuple(
                    _layer(attention, feed, cross, settings["activation"]) for attention, feed, cross in layers
                ),
            )
        return Architecture(
            family=self.family,
            vocabulary_size=shape.vocabulary_size,
            max_length=shape.max_length,
            max_output_length=shape.max_output_length or None,
            tied_embeddings=frame.tied_embeddings,
            head=Head(type=shape.task, outputs=shape.outputs),  # type: ignore[arg-type]
            **stacks,
        )

    def _layers(self, frame: Frame, stack: str, genotype: Genotype) -> list[Any]:
        """Return (attention, feed-forward, cross-attention or None) of every layer."""
        values = {
            key.part: [self.resolved(frame, key)[index] for index in options]
            for key, options in genotype.layers.items()
            if key.stack == stack
        }
        crosses = values.get("cross", [None] * genotype.depth(stack))
        return list(zip(values["attention"], values["feed_forward"], crosses, strict=True))

    def genotype(self, architecture: Architecture) -> Genotype | None:
        """Return the choices behind `architecture`, or None if it isn't in the space."""
        if architecture.family != self.family or architecture.task_shape != self.task_shape:
            return None
        if architecture.head.pooling != "mean" or any(stack.segments for _, stack in architecture.stacks):
            return None
        frame = self._frame_index.get(self._frame_key(dict(architecture.stacks), architecture.tied_embeddings))
        depths = tuple(len(stack.layers) for _, stack in architecture.stacks)
        if frame is None or depths not in self.depths:
            return None
        layers: dict[PartKey, tuple[int, ...]] = {}
        for key, part in self.parts.items():
            known = self._index(self.frames[frame], key)
            stack = dict(architecture.stacks)[key.stack]
            found = [known.get(_part_of(layer, key.part, stack)) for layer in stack.layers]
            valid = self.valid(self.frames[frame], key, depths)
            if any(index not in valid for index in found) or (part.uniform and len(set(found)) > 1):
                return None
            layers[key] = tuple(index for index in found if index is not None)
        return Genotype(frame, layers)

    def _index(self, frame: Frame, key: PartKey) -> dict[Resolved, int]:
        return {value: index for index, value in self.resolved(frame, key).items()}

    @cached_property
    def _frame_index(self) -> dict[Any, int]:
        return {self._frame_key(f.stacks, f.tied_embeddings): i for i, f in enumerate(self.frames)}

    def _frame_key(self, stacks: Mapping[str, StackSettings], tied: str) -> Any:
        fields = {
            name: tuple(
                getattr(stack, field)
                for field in STACK_FIELDS
                if field != "activation" or self.choices(name).activation is not None
            )
            for name, stack in stacks.items()
        }
        return (tied, *sorted(fields.items()))

    def __contains__(self, architecture: object) -> bool:
        return isinstance(architecture, Architecture) and self.genotype(architecture) is not None

    def genotype_in_space(self, architecture: Architecture) -> Genotype:
        """Return the choices behind `architecture`; raise `InvalidInput` if it isn't in the space."""
        found = self.genotype(architecture)
        if found is None:
            allowed = f"an architecture of the space {self.name} for {self.task_shape}"
            raise InvalidInput.of("architecture", architecture.id, allowed, "see `nas space show`")
        return found

    def genotypes(self) -> Iterator[Genotype]:
        """Yield every choice once, in a fixed order."""
        for index, frame in enumerate(self.frames):
            for depths in self.depths:
                keys = list(self.parts)
                ranges = []
                for key in keys:
                    valid, depth = self.valid(frame, key, depths), depths[self.stacks.index(key.stack)]
                    uniform = self.parts[key].uniform
                    ranges.append([(i,) * depth for i in valid] if uniform else list(product(valid, repeat=depth)))
                for combination in product(*ranges):
                    yield Genotype(index, dict(zip(keys, combination, strict=True)))

    def enumerate(self) -> Iterator[Architecture]:
        """Yield every architecture once, in a fixed order."""
        return map(self.architecture, self.genotypes())

    def spread(self, rng: random.Random, kinds: int) -> Genotype:
        """Return random choices, every frame and every depth equally likely, of at most `kinds` options a part.

        Unlike a uniform sample, which is nearly always deep; with one kind all layers are alike.
        """
        while True:
            index, depths = rng.randrange(len(self.frames)), rng.choice(self.depths)
            frame = self.frames[index]
            layers: dict[PartKey, tuple[int, ...]] = {}
            for key, part in self.parts.items():
                valid, depth = self.valid(frame, key, depths), depths[self.stacks.index(key.stack)]
                if not valid:
                    break
                few = rng.choices(valid, k=1 if part.uniform else kinds)
                layers[key] = tuple(rng.choices(few, k=depth))
            else:
                return Genotype(index, layers)

    # Refusals ----------------------------------------------------------------------------------------------

    def _has_layers(self, frame: Frame) -> bool:
        return any(all(self.valid(frame, key, depths) for key in self.parts) for depths in self.depths)

    def _refuse_too_large(self) -> None:
        frames = len(self._document.tied_embeddings)
        layers, digits = 0, 0.0
        for name in self.stacks:
            c = self.choices(name)
            once = math.prod(len(field_values(c, field)) for field in STACK_FIELDS)
            ways = [_ways(c.layer.attention), len(c.layer.feed_forward_ratio or c.layer.feed_forward_size or ())]
            ways[1] *= len(c.layer.activation or (None,))
            if c.layer.cross is not None:
                ways.append(_ways(c.layer.cross.attention) * len(c.layer.cross.reads))
            frames *= once
            layers += once * sum(ways)
            digits += max(c.depth) * sum(math.log10(w) for w in ways)
        if layers > MOST_DIFFERENT_LAYERS:
            raise InvalidInput.of(
                f"{self.stacks[-1]}.layer",
                f"{layers} different layers",
                f"at most {MOST_DIFFERENT_LAYERS} (what is chosen once × the options of attention and feed-forward)",
                "leave out choices that are close to others",
            )
        if digits > MOST_DIGITS:
            raise InvalidInput.of(
                f"{self.stacks[-1]}.depth",
                f"about 10^{digits:.0f} architectures",
                f"at most 10^{MOST_DIGITS}",
                "leave out the greatest depths, or choices that are close to others",
            )
        if frames > MOST_FRAMES:
            raise InvalidInput.of(
                f"{self.stacks[-1]}",
                f"{frames} combinations of what is chosen once",
                f"at most {MOST_FRAMES}",
                "leave out choices that are close to others",
            )

    def _nothing_valid(self) -> InvalidInput:
        if not any(True for _ in self._all_frames()):
            return self._nothing_fits()
        stack = next(
            (
                name
                for name in self.stacks
                if not any(self.resolved(f, PartKey(name, "attention")) for f in self._all_frames())
            ),
            None,
        )
        if stack is None:
            return InvalidInput.of(
                "decoder.layer.cross" if "decoder" in self.stacks else "encoder",
                "no combination of these choices",
                "choices of which some fit each other (heads that divide the hidden size, reads up to the encoder's "
                "depth, for `all` tied embeddings of one size, embedding_size up to hidden_size)",
                "add choices that fit each other",
            )
        choices = self.choices(stack)
        kinds = "; ".join(
            " ".join([name, *(f"{choice} {list(options)}" for choice, options in values.items())])
            for name, values in choices.layer.attention.items()
        )
        return InvalidInput.of(
            f"{stack}.layer.attention",
            f"{kinds} with hidden_size {list(choices.hidden_size)} and positions {list(choices.positions)}",
            "at least one head count that divides a hidden size (for grouped-query also key_value_heads "
            "below heads that divides it; for rotary positions an even head size and a type that takes them)",
            "add a type, a head count or a hidden size that fit each other",
        )

    def _nothing_fits(self) -> InvalidInput:
        """Return why no combination of what is chosen once is valid."""
        for name in self.stacks:
            choices = self.choices(name)
            if choices.embedding_size and min(choices.embedding_size) > max(choices.hidden_size):
                return InvalidInput.of(
                    f"{name}.embedding_size",
                    list(choices.embedding_size),
                    f"at least one up to the largest hidden_size ({max(choices.hidden_size)})",
                    "add a smaller one, or remove it for embeddings of the hidden size",
                )
        return InvalidInput.of(
            "tied_embeddings",
            list(self._document.tied_embeddings),
            "none or output; all where encoder and decoder can have one hidden_size (or embedding_size) and vocabulary",
            "add one of these, or a size that both have",
        )

    def _all_frames(self) -> Iterator[Frame]:
        return frames_of(self._document, self.task_shape)


def _own_shape(document: SpaceDocument) -> TaskShape:
    task = "classification" if document.family == "encoder" else "language-model"
    return TaskShape(**document.task_shape.model_dump(), task=task)


def _ways(attention: Mapping[str, Mapping[str, tuple[int, ...]]]) -> int:
    return sum(math.prod(len(values) for values in choices.values()) for choices in attention.values())


def _layer(attention: Attention, feed: FeedForward, cross: CrossAttention | None, stack_activation: str) -> Layer:
    return Layer(
        attention=attention.attention,
        **attention.choices,
        feed_forward_size=feed.size,
        activation=feed.activation if feed.activation != stack_activation else None,
        cross=cross,
    )


def _part_of(layer: Layer, part: str, stack: Stack) -> Any:
    if part == "attention":
        return Attention(attention=layer.attention, **layer.choices)
    if part == "cross":
        return layer.cross
    return FeedForward(layer.feed_forward_size, layer.activation or stack.activation)
