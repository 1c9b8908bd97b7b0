"""Models designed by hand, of one kind of layer throughout, and models that share but one choice with another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nas.architecture import Architecture, TaskShape

HEAD_SIZE = 64
"""Of BERT and of GPT-2, whatever their width."""
FEED_FORWARD_RATIO = 4


@dataclass(frozen=True)
class Rung:
    """One model of a ladder."""

    name: str
    layers: int
    width: int


ENCODERS = (
    Rung("BERT tiny × 1/2", 1, 64),
    Rung("BERT small × 1/4", 1, 128),
    Rung("BERT tiny", 2, 128),
    Rung("BERT mini × 3/4", 3, 192),
)
"""Devlin et al. 2019 and Turc et al. 2019 (arXiv 1908.08962): tiny 2 × 128, mini 4 × 256, small 4 × 512."""
DECODERS = (
    Rung("GPT-2 × 1/12", 1, 64),
    Rung("GPT-2 XL × 1/16", 3, 96),
    Rung("GPT-2 × 1/6", 2, 128),
    Rung("GPT-2 XL × 1/12", 4, 128),
)
"""Radford et al. 2019: 12 × 768, XL 48 × 1600; layers and width by the same factor."""


def encoder(rung: Rung, shape: TaskShape) -> Architecture:
    """Return a model as BERT is built: softmax attention, learned positions, norm after the sub-blocks, gelu."""
    stack = {"positions": "learned", "norm_position": "post", "activation": "gelu"}
    return _uniform("encoder", rung, shape, stack)


def decoder(rung: Rung, shape: TaskShape) -> Architecture:
    """Return a model of GPT-2's proportions with today's parts: rotary positions, RMS norm first, no bias, tied."""
    stack = {"positions": "rotary", "norm": "rms", "norm_position": "pre", "activation": "gelu", "bias": False}
    return _uniform("decoder", rung, shape, stack, tied_embeddings="output")


def _uniform(family: str, rung: Rung, shape: TaskShape, stack: dict[str, Any], **fields: Any) -> Architecture:
    layer = {**_softmax(rung.width), "feed_forward_size": FEED_FORWARD_RATIO * rung.width}
    return Architecture.from_dict(
        {
            "family": family,
            "vocabulary_size": shape.vocabulary_size,
            "max_length": shape.max_length,
            family: {"hidden_size": rung.width, **stack, "layers": [layer] * rung.layers},
            "head": {"type": shape.task, "outputs": shape.outputs},
            **fields,
        }
    )


def _softmax(width: int) -> dict[str, Any]:
    return {"attention": "softmax", "heads": max(1, width // HEAD_SIZE)}


# One choice alone ----------------------------------------------------------------------------------------------


def with_softmax(found: Architecture) -> Architecture:
    """Return a found model with softmax attention in every layer: what is left is its shape."""
    (name, stack), *_ = found.stacks
    keep = ("feed_forward_size", "activation")
    layers = [
        {**_softmax(stack.hidden_size), **{k: v for k, v in layer.model_dump(exclude_none=True).items() if k in keep}}
        for layer in stack.layers
    ]
    return _changed(found, name, lambda document: {**document, "layers": layers})


def with_attention_of(designed: Architecture, found: Architecture) -> Architecture:
    """Return a designed model with a found one's attention, layer by layer from the input on, over and over."""
    (name, stack), *_ = designed.stacks
    (_, other), *_ = found.stacks
    attention = [
        layer.model_dump(exclude_none=True, exclude={"feed_forward_size", "activation", "cross"})
        for layer in other.layers
    ]
    layers = [
        {**attention[index % len(attention)], "feed_forward_size": layer.feed_forward_size}
        for index, layer in enumerate(stack.layers)
    ]
    return _changed(designed, name, lambda document: {**document, "layers": layers})


def _changed(
    architecture: Architecture, stack: str, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> Architecture:
    document = architecture.to_dict()
    del document["id"]
    return Architecture.from_dict({**document, stack: change(document[stack])})
