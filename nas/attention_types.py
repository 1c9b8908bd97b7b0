"""The attention types that an architecture can name: what each needs and supports.

This is the registry: one line a type. It holds no torch code, so that reading a space or an architecture
stays cheap; `implementation` names the module that `nas.models` imports when it builds the layer. How to add a
type: docs/extending.md.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AttentionType:
    """What an attention type is called, where it is implemented, which choices it reads, and what it supports."""

    name: str
    implementation: str
    """`package.module:Class` of the self-attention, imported only by `nas.models`."""
    choices: tuple[str, ...]
    """The fields of an `Attention` that this type needs beside its name; what it neither needs nor may have is
    refused."""
    optional: tuple[str, ...] = ()
    """The fields that may be left out."""
    causal: bool = False
    """Whether it can hide later tokens and decode with a cache: then decoders may use it."""
    cross: str | None = None
    """`package.module:Class` of its cross-attention, if it has one."""
    rotary: bool = False
    """Whether it may stand in a stack with rotary positions: it turns them into order, or has an order of its own."""
    heads_over: int = 1
    """The heads share hidden_size / `heads_over` dimensions among them."""
    fixed_length: bool = False
    """Whether its weights depend on the longest input."""


ATTENTION_TYPES: dict[str, AttentionType] = {
    kind.name: kind
    for kind in (
        AttentionType(
            "softmax",
            "nas.models.attention.softmax:SoftmaxAttention",
            ("heads",),
            ("head_size",),
            causal=True,
            cross="nas.models.attention.softmax:SoftmaxCrossAttention",
            rotary=True,
        ),
        AttentionType(
            "grouped-query",
            "nas.models.attention.grouped_query:GroupedQueryAttention",
            ("heads", "key_value_heads"),
            ("head_size",),
            causal=True,
            cross="nas.models.attention.grouped_query:GroupedQueryCrossAttention",
            rotary=True,
        ),
        AttentionType(
            "linear",
            "nas.models.attention.linear:LinearAttention",
            ("heads",),
            ("head_size",),
            causal=True,
            cross="nas.models.attention.linear:LinearCrossAttention",
        ),
        AttentionType(
            "local",
            "nas.models.attention.local:LocalAttention",
            ("heads", "window"),
            ("head_size",),
            causal=True,
            rotary=True,
        ),
        AttentionType(
            "long-short",
            "nas.models.attention.long_short:LongShortAttention",
            ("heads", "kernel_size"),
            causal=True,
            rotary=True,
            heads_over=2,
        ),
        AttentionType(
            "gated-convolution",
            "nas.models.attention.gated_convolution:GatedConvolution",
            (),
            causal=True,
            rotary=True,
        ),
        AttentionType(
            "low-rank",
            "nas.models.attention.low_rank:LowRankAttention",
            ("heads", "rank"),
            ("head_size",),
            fixed_length=True,
        ),
    )
}
