"""Options: what a part of a layer (attention, cross-attention, feed-forward) can be, as the space's document names it.

An option is abstract: under one hidden size 8 heads of an `attention_size` of 512 are heads of the usual size, under
another they aren't. `resolve_…` gives what stands in an architecture, or None where the option is not valid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, cast

from nas.architecture import Activation, Attention, CrossAttention, StackSettings
from nas.attention_types import ATTENTION_TYPES
from nas.errors import InvalidInput
from nas.space_document import TOTAL_SIZE, CrossChoices, LayerChoices

Value = int | str | bool

CHOICE_ORDER = ("heads", "head_size", TOTAL_SIZE, "key_value_heads", "window", "kernel_size", "rank")


@dataclass(frozen=True)
class Option:
    """One option of a part of a layer: the choices that lead to it, in the order in which they are made."""

    path: tuple[tuple[str, Value], ...]

    def get(self, name: str) -> Any:
        """Return the value chosen under a name, or None."""
        return dict(self.path).get(name)


def _of_attention(attention: dict[str, dict[str, tuple[int, ...]]]) -> Iterator[Option]:
    for name, choices in attention.items():
        names = [choice for choice in CHOICE_ORDER if choice in choices]
        for values in product(*(choices[choice] for choice in names)):
            yield Option((("attention", name), *zip(names, values, strict=True)))


def attention_options(layer: LayerChoices) -> tuple[Option, ...]:
    """Return the options of the self-attention, those that no hidden size makes valid among them."""
    return tuple(_of_attention(layer.attention))


def cross_options(cross: CrossChoices) -> tuple[Option, ...]:
    """Return the options of the cross-attention."""
    kinds = _of_attention(cross.attention)
    return tuple(Option((*kind.path, ("reads", reads))) for kind in kinds for reads in cross.reads)


def feed_forward_options(layer: LayerChoices) -> tuple[Option, ...]:
    """Return the options of the feed-forward network: its size or ratio, and its activation if chosen per layer."""
    name = "feed_forward_ratio" if layer.feed_forward_ratio else "feed_forward_size"
    activations = [(("activation", a),) for a in layer.activation] if layer.activation else [()]
    return tuple(Option(((name, size), *activation)) for size in getattr(layer, name) for activation in activations)


def resolve_attention(option: Option, stack: StackSettings, *, causal: bool, max_length: int) -> Attention | None:
    """Return the self-attention of this option in a stack, or None where it can't stand there."""
    return _resolve(option, stack, Attention, causal, max_length)


def resolve_cross(option: Option, stack: StackSettings) -> CrossAttention | None:
    """Return the cross-attention of this option in a decoder, or None where it can't stand there."""
    return cast(CrossAttention | None, _resolve(option, stack, CrossAttention, False, None))


def _resolve(
    option: Option, stack: StackSettings, model: type[Attention], causal: bool, max_length: int | None
) -> Attention | None:
    fields: dict[str, Any] = dict(option.path)
    total = fields.pop(TOTAL_SIZE, None)
    room = stack.hidden_size // ATTENTION_TYPES[fields["attention"]].heads_over
    if total is not None:
        if total % fields["heads"]:
            return None
        fields["head_size"] = total // fields["heads"]
    if fields.get("head_size") and fields["heads"] * fields["head_size"] == room:
        del fields["head_size"]
    rotary = stack.positions == "rotary" and model is Attention
    try:
        attention = model(**fields)
        attention.check_within(stack.hidden_size, rotary=rotary, causal=causal, max_length=max_length)
    except (ValueError, InvalidInput):  # pydantic wraps the errors of our validators in its own, a ValueError
        return None
    return attention


@dataclass(frozen=True)
class FeedForward:
    """The feed-forward network of a layer."""

    size: int
    activation: Activation


def resolve_feed_forward(option: Option, stack: StackSettings) -> FeedForward:
    """Return the feed-forward network of this option in a stack."""
    ratio = option.get("feed_forward_ratio")
    size = ratio * stack.hidden_size if ratio else option.get("feed_forward_size")
    return FeedForward(size, option.get("activation") or stack.activation)
