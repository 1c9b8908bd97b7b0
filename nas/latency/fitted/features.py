"""Features: what a fitted latency reads of an architecture, and the additive terms made of it.

Architectures come in two forms, ours and the averages of HAT's data sets (Wang et al. 2020, arXiv 2005.14187). Both
become the same *fields*: per stack its hidden size, layers, mean feed-forward size and so on. A stack that is not
there has zeros, and so contributes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from nas.architecture import Architecture, Attention, Stack
from nas.attention_types import ATTENTION_TYPES

Vector = NDArray[np.float64]
Columns = Mapping[str, Vector]
"""Fields by name, each of shape (rows,)."""

STACKS = ("encoder", "decoder")
_OF_A_STACK = ("hidden_size", "layers", "feed_forward_size", "heads", "attention_size")
_OF_CROSS_ATTENTION = ("cross_heads", "cross_attention_size", "cross_reads")
FIELDS = (
    *(f"{stack}.{name}" for stack in STACKS for name in _OF_A_STACK),
    *(f"decoder.{name}" for name in _OF_CROSS_ATTENTION),
    *(f"{stack}.{kind}_layers" for stack in STACKS for kind in ATTENTION_TYPES),
    "outputs",
    "vocabulary_size",
)
"""Sizes are means over the layers, `layers` counts repeats, `…_layers` the layers of one attention type."""


@dataclass(frozen=True)
class Term:
    """One addend of the latency, without its coefficient."""

    name: str
    quantity: str
    """What the coefficient's milliseconds are per."""
    values: Vector
    detail: bool
    """Whether it only says how a stack's work is shared among its parts: few rows tell little of that."""


@dataclass(frozen=True)
class Value:
    """What an architecture has in one field."""

    mean: float
    lowest: float
    highest: float
    """Over the layers: a term is a sum over layers, so a layer of each size is what has to have been measured."""

    @classmethod
    def over(cls, values: Iterable[float]) -> Value:
        """Return mean and extremes of the layers' values."""
        listed = [float(value) for value in values]
        return cls(fmean(listed), min(listed), max(listed))

    @classmethod
    def one(cls, value: float) -> Value:
        """Return the value of what is not per layer."""
        return cls(float(value), float(value), float(value))


def fields_of(architecture: Architecture) -> dict[str, Value]:
    """Return the value of every field of `FIELDS`."""
    values = dict.fromkeys(FIELDS, Value.one(0))
    for name, stack in architecture.stacks:
        values |= {f"{name}.{field}": value for field, value in _fields_of_stack(stack).items()}
    values["outputs"] = Value.one(architecture.head.outputs)
    values["vocabulary_size"] = Value.one(architecture.vocabulary_size)
    return values


def _fields_of_stack(stack: Stack) -> dict[str, Value]:
    layers, width = stack.layers, stack.hidden_size
    values = {
        "hidden_size": Value.one(width),
        "layers": Value.one(stack.depth),
        "feed_forward_size": Value.over(layer.feed_forward_size for layer in layers),
        "heads": Value.over(layer.heads or 0 for layer in layers),
        "attention_size": Value.over(_attention_size(layer, width) for layer in layers),
    }
    crosses = [layer.cross for layer in layers if layer.cross is not None]
    if crosses:
        values["cross_heads"] = Value.over(cross.heads or 0 for cross in crosses)
        values["cross_attention_size"] = Value.over(_attention_size(cross, width) for cross in crosses)
        values["cross_reads"] = Value.over(cross.reads for cross in crosses)
    counts = Counter(layer.attention for layer in layers)
    return values | {f"{kind}_layers": Value.one(count * stack.repeats) for kind, count in counts.items()}


def _attention_size(attention: Attention, hidden_size: int) -> int:
    """Return the dimensions of all heads together."""
    if attention.heads and attention.head_size:
        return attention.heads * attention.head_size
    return hidden_size // attention.kind.heads_over


def terms_of(columns: Columns) -> list[Term]:
    """Return the terms of some rows. All grow with the architecture, so that no coefficient needs to be negative.

    Of each stack the layers and the multiply-adds for one token; then details: parts of the same work whose speed
    may differ. The output's term is that of the last stack's hidden size, times the outputs where these are known.
    """
    ones = np.ones_like(columns["encoder.layers"])
    terms = [Term("constant", "model", ones, detail=False)]
    for stack in STACKS:
        terms += _terms_of_stack(stack, columns)
    last = np.where(columns["decoder.layers"] > 0, columns["decoder.hidden_size"], columns["encoder.hidden_size"])
    terms.append(Term("output", "hidden size × outputs", last * columns.get("outputs", ones), detail=False))
    return terms


def _terms_of_stack(stack: str, columns: Columns) -> list[Term]:
    d, layers, f, heads, a = (columns[f"{stack}.{name}"] for name in _OF_A_STACK)
    macs = layers * d * (4 * a + 2 * f)
    details = [
        ("heads", "layer × head", layers * heads),
        ("widths", "layer × hidden size", layers * d),
        ("attention", "layer × hidden size × attention size", layers * d * a),
        ("feed-forward", "layer × hidden size × feed-forward size", layers * d * f),
        ("embedding", "hidden size", d),
    ]
    if stack == "decoder":
        cross_heads, cross_a, reads = (columns[f"decoder.{name}"] for name in _OF_CROSS_ATTENTION)
        read = reads * columns["encoder.hidden_size"]
        macs = macs + layers * cross_a * (2 * d + 2 * read)
        details += [
            ("cross heads", "layer × head", layers * cross_heads),
            ("cross reads", "layer × encoder layer read × its hidden size", layers * read),
        ]
    for kind in ATTENTION_TYPES:
        count = columns[f"{stack}.{kind}_layers"]
        details += [(f"{kind} layers", "layer", count), (f"{kind} widths", "layer × hidden size", count * d)]
    return [
        Term(f"{stack} layers", "layer", layers, detail=False),
        Term(f"{stack} multiply-adds", "multiply-add for a token", macs, detail=False),
        *(Term(f"{stack} {name}", quantity, values, detail=True) for name, quantity, values in details),
    ]
