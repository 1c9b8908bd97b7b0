"""One file an attention type. The registry of their names is `nas.attention_types.ATTENTION_TYPES`.

What every type promises is in `contract.py`; where it stands is a `Site`. Names are looked up in the registry when a
layer is built, so that a type added to it needs no change here.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from nas.attention_types import ATTENTION_TYPES, AttentionType
from nas.errors import InvalidInput
from nas.models.attention.contract import CrossAttention, SelfAttention
from nas.models.attention.site import Site

__all__ = ["Site", "build_attention", "build_cross_attention"]


def build_attention(name: str, site: Site, choices: dict[str, int]) -> SelfAttention:
    """Return the self-attention of that name: a `CachedAttention` where `site` is causal.

    `choices` holds the fields that the type's registry line names, those that may be left out only where they were
    given. Raises `InvalidInput` for an unknown name and for a site in which the type can't stand.
    """
    kind = _kind(name)
    if site.causal and not kind.causal:
        raise InvalidInput.of(
            "attention", name, _names(causal=True), "choose a type that can hide later tokens from a token"
        )
    if site.rotary and not kind.rotary:
        raise InvalidInput.of("attention", name, _names(rotary=True), "choose one of these, or other positions")
    if kind.fixed_length and site.max_length is None:
        raise InvalidInput.of(
            "max_length", None, f"a length in tokens for {name} attention", "state the longest sequence"
        )
    built = _implementation(kind.implementation)(site, **choices)
    assert isinstance(built, SelfAttention)
    return built


def build_cross_attention(name: str, site: Site, choices: dict[str, int]) -> CrossAttention:
    """Return the cross-attention of that name, from `site.hidden_size` to `site.memory_size` dimensions.

    Raises `InvalidInput` for an unknown name, a type without cross-attention, and a site without a memory.
    """
    kind = _kind(name)
    if kind.cross is None:
        allowed = ", ".join(kind.name for kind in ATTENTION_TYPES.values() if kind.cross)
        raise InvalidInput.of("attention", name, allowed, "choose a type with cross-attention")
    if site.memory_size is None:
        raise InvalidInput.of("memory_size", None, "the encoder's hidden size", "state what is attended to")
    built = _implementation(kind.cross)(site, **choices)
    assert isinstance(built, CrossAttention)
    return built


def _kind(name: str) -> AttentionType:
    kind = ATTENTION_TYPES.get(name)
    if kind is None:
        raise InvalidInput.of("attention", name, ", ".join(ATTENTION_TYPES), "name one of these attention types")
    return kind


def _implementation(path: str) -> Any:
    module, _, class_name = path.partition(":")
    return getattr(import_module(module), class_name)


def _names(**wanted: bool) -> str:
    return ", ".join(
        kind.name
        for kind in ATTENTION_TYPES.values()
        if all(getattr(kind, name) == value for name, value in wanted.items())
    )
