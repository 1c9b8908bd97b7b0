"""The attention types that an architecture can name: what each needs and supports.

This is the registry: one line a type. It holds no torch code, so that reading a space or an architecture
stays cheap; `implementation` names the module that `nas.models` imports when it builds the layer.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AttentionType:
    """What an attention type is called, where it is implemented, and which choices of a layer it reads."""

    name: str
    implementation: str
    """`package.module:Class`, imported only by `nas.models`."""
    choices: tuple[str, ...]
    """The fields of a `Layer` that this type reads beside its name; the others must be left out."""
    families: tuple[str, ...]
    """The model families whose layers may use it."""


ATTENTION_TYPES: dict[str, AttentionType] = {
    kind.name: kind
    for kind in (
        AttentionType("softmax", "nas.models.attention.softmax:SoftmaxAttention", ("heads",), ("encoder",)),
        AttentionType(
            "grouped-query",
            "nas.models.attention.grouped_query:GroupedQueryAttention",
            ("heads", "key_value_heads"),
            ("encoder",),
        ),
        AttentionType("linear", "nas.models.attention.linear:LinearAttention", ("heads",), ("encoder",)),
    )
}
