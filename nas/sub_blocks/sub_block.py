"""Sub-blocks: the parts a model is the sum of, as values that can be counted and measured once and reused.

A model is its sub-blocks and nothing else, so parameters, operations and (up to what isolation hides) latency of a
model are sums over them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nas.architecture import Architecture, Attention, Head, Layer, Stack, StackSettings

Setting = int | str | bool

_DEFAULTS: dict[str, Setting] = {
    "norm": "layer",
    "bias": True,
    "causal": False,
    "rotary": False,
    "shared": False,
    "tied": False,
    "pooling": "mean",
    "segments": 0,
}
"""What a key leaves out, so that tables measured before a setting existed keep their keys."""


@dataclass(frozen=True, order=True)
class SubBlock:
    """One sub-block: its kind and the arguments of its module, sorted by name, those at their default left out."""

    kind: str
    settings: tuple[tuple[str, Setting], ...]

    @classmethod
    def of(cls, kind: str, **settings: Setting | None) -> SubBlock:
        """Build from keyword arguments; None stands for an argument that does not apply."""
        stated = {n: v for n, v in settings.items() if v is not None and v != _DEFAULTS.get(n)}
        return cls(kind, tuple(sorted(stated.items())))

    @cached_property
    def key(self) -> str:
        """The canonical text, e.g. `head(hidden_size=64,norm_position=pre,outputs=35)`."""
        return f"{self.kind}({','.join(f'{name}={value}' for name, value in self.settings)})"


def embedding_block(stack: StackSettings, rows: int, max_length: int, *, shared: bool = False) -> SubBlock:
    """Return the embedding of a stack: a token table of `rows` rows, and positions up to `max_length`."""
    return SubBlock.of(
        "embedding",
        hidden_size=stack.hidden_size,
        vocabulary_size=rows,
        max_length=max_length,
        positions=stack.positions,
        embedding_size=stack.embedding_size,
        embedding_norm=stack.norm if stack.embedding_norm else None,
        segments=stack.segments,
        shared=shared,
    )


def attention_block(stack: StackSettings, attention: Attention, *, causal: bool, max_length: int) -> SubBlock:
    """Return the self-attention of a layer; `max_length` is the longest sequence that the stack sees."""
    return SubBlock.of(
        "attention",
        hidden_size=stack.hidden_size,
        norm_position=stack.norm_position,
        attention=attention.attention,
        norm=stack.norm,
        bias=stack.bias,
        causal=causal,
        rotary=stack.positions == "rotary",
        max_length=max_length if attention.kind.fixed_length else None,
        **attention.choices,
    )


def cross_attention_block(stack: StackSettings, cross: Attention, memory_size: int) -> SubBlock:
    """Return the cross-attention of a decoder layer to an encoder of hidden size `memory_size`."""
    return SubBlock.of(
        "cross_attention",
        hidden_size=stack.hidden_size,
        memory_size=memory_size,
        norm_position=stack.norm_position,
        attention=cross.attention,
        norm=stack.norm,
        bias=stack.bias,
        **cross.choices,
    )


def feed_forward_block(stack: StackSettings, feed_forward_size: int, activation: str) -> SubBlock:
    """Return the feed-forward network of a layer."""
    return SubBlock.of(
        "feed_forward",
        hidden_size=stack.hidden_size,
        norm_position=stack.norm_position,
        feed_forward_size=feed_forward_size,
        activation=activation,
        norm=stack.norm,
        bias=stack.bias,
    )


def memory_block(stack: StackSettings) -> SubBlock | None:
    """Return the last norm of an encoder that a decoder reads, or None behind post-norm layers."""
    if stack.norm_position == "post":
        return None
    return SubBlock.of("memory", hidden_size=stack.hidden_size, norm=stack.norm)


def head_block(stack: StackSettings, head: Head, *, tied: bool) -> SubBlock:
    """Return the head behind a stack; `tied` if it uses the stack's token table."""
    language_model = head.type == "language-model"
    return SubBlock.of(
        "head",
        hidden_size=stack.hidden_size,
        norm_position=stack.norm_position,
        outputs=head.outputs,
        norm=stack.norm if stack.norm_position == "pre" else None,
        pooling="none" if head.type in ("language-model", "token-classification") else head.pooling,
        bias=not language_model,
        tied=tied,
        embedding_size=stack.embedding_size if tied else None,
    )


@dataclass(frozen=True)
class LayerBlocks:
    """The sub-blocks of one layer."""

    attention: SubBlock
    cross_attention: SubBlock | None
    feed_forward: SubBlock

    def __iter__(self) -> Any:
        return iter(block for block in (self.attention, self.cross_attention, self.feed_forward) if block is not None)


@dataclass(frozen=True)
class StackBlocks:
    """The sub-blocks of one stack, each that has weights once."""

    embedding: SubBlock
    layers: tuple[LayerBlocks, ...]
    repeats: int
    last: SubBlock | None
    """The head; of an encoder that a decoder reads the memory's norm, or None where that has none."""

    def __iter__(self) -> Any:
        yield self.embedding
        for layer in self.layers:
            yield from layer
        if self.last is not None:
            yield self.last

    def executed(self) -> Any:
        """Yield the sub-blocks in the order they run, repeats included."""
        yield self.embedding
        for layer in self.layers:
            for _ in range(self.repeats):
                yield from layer
        if self.last is not None:
            yield self.last


def stack_blocks(architecture: Architecture, name: str) -> StackBlocks:
    """Return the sub-blocks of the stack `encoder` or `decoder`."""
    stack = dict(architecture.stacks)[name]
    read = name == "encoder" and architecture.decoder is not None
    tied = architecture.tied_embeddings
    length = architecture.length_of(name)
    rows = architecture.head.outputs if name == "decoder" else architecture.vocabulary_size
    memory_size = architecture.encoder.hidden_size if architecture.encoder else 0
    return StackBlocks(
        embedding=embedding_block(stack, rows, length, shared=name == "decoder" and tied == "all"),
        layers=tuple(
            LayerBlocks(
                attention_block(stack, layer, causal=name == "decoder", max_length=length),
                cross_attention_block(stack, layer.cross, memory_size) if layer.cross else None,
                feed_forward_block(stack, layer.feed_forward_size, _activation(stack, layer)),
            )
            for layer in stack.layers
        ),
        repeats=stack.repeats,
        last=memory_block(stack) if read else head_block(stack, architecture.head, tied=tied != "none"),
    )


def _activation(stack: Stack, layer: Layer) -> str:
    return layer.activation or stack.activation


def sub_blocks(architecture: Architecture) -> tuple[SubBlock, ...]:
    """Return the sub-blocks of a model in the order they run once; equal ones are equal values."""
    return tuple(block for name, _ in architecture.stacks for block in stack_blocks(architecture, name).executed())


def weighted_blocks(architecture: Architecture) -> tuple[SubBlock, ...]:
    """Return the sub-blocks of a model, those that run repeatedly with the same weights once."""
    return tuple(block for name, _ in architecture.stacks for block in stack_blocks(architecture, name))
