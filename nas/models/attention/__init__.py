"""One file an attention type. The registry of their names is `nas.attention_types.ATTENTION_TYPES`."""

from __future__ import annotations

from importlib import import_module

from torch import nn

from nas.attention_types import ATTENTION_TYPES
from nas.errors import InvalidInput


def build_attention(name: str, hidden_size: int, choices: dict[str, int]) -> nn.Module:
    """Return the module of one attention type: forward(x (B, T, D), padding_mask (B, T) | None) -> (B, T, D).

    `choices` holds exactly the fields that the type's registry line names. A padding mask is True at real
    tokens; at least one token of every sequence is real.
    """
    kind = ATTENTION_TYPES.get(name)
    if kind is None:
        raise InvalidInput.of("attention", name, ", ".join(ATTENTION_TYPES), "name one of these attention types")
    module, _, class_name = kind.implementation.partition(":")
    built = getattr(import_module(module), class_name)(hidden_size, **choices)
    assert isinstance(built, nn.Module)
    return built
