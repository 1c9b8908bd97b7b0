"""Calls as modules with inputs, for what counts, exports and measures them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nas.models.blocks import AttentionBlock, CrossAttentionBlock
from nas.models.sub_block_modules import build_sub_block
from nas.sub_blocks.calls import Call, Method


class CalledBlock(nn.Module):
    """A sub-block of which `forward` is one of its methods: for tracers, which know no other.

    It reads a mask, its last input, where it is built to, and where the method reads more than one token.
    """

    def __init__(self, block: nn.Module, method: Method, *, masked: bool = False) -> None:
        super().__init__()
        self.block = block
        self.method = method
        self.masked = masked

    def forward(self, *inputs: Tensor) -> Any:
        """Call the method with the inputs that `call_with_inputs` returns beside this module."""
        mask = None
        if self.masked:
            *inputs, mask = inputs  # type: ignore[assignment]
        match self.block, self.method:
            case AttentionBlock(), "prefill":
                return self.block.prefill(inputs[0], mask, *inputs[1:])
            case CrossAttentionBlock(), "forward":
                return self.block(inputs[0], mask, *inputs[1:])
            case CrossAttentionBlock(), "prepare":
                return self.block.prepare(inputs[0], mask)
            case _, "step":
                return self.block.step(*inputs)  # type: ignore[operator]
        return self.block(inputs[0], mask, *inputs[1:])


def call_with_inputs(call: Call, seed: int = 0, *, masked: bool = False) -> tuple[CalledBlock, tuple[Tensor, ...]]:
    """Return the module of a call and random inputs of its sizes: float32, tokens and positions int64.

    With `masked`, what may read shorter texts also gets their mask, as in a whole model that takes their lengths:
    (B, T) bool, True at all tokens.
    """
    called, inputs = _call_with_inputs(call, seed)
    read = call.context if call.sub_block.kind == "cross_attention" else call.tokens
    if not masked or (call.method == "step" or read == 1 or call.sub_block.kind in _UNMASKED):
        return called, inputs
    return CalledBlock(called.block, called.method, masked=True), (
        *inputs,
        torch.ones(call.batch, read, dtype=torch.bool),
    )


_UNMASKED = ("embedding", "feed_forward", "memory")
"""What reads every token by itself."""


def _call_with_inputs(call: Call, seed: int) -> tuple[CalledBlock, tuple[Tensor, ...]]:
    block = build_sub_block(call.sub_block).eval()
    settings: dict[str, Any] = dict(call.sub_block.settings)
    generator = torch.Generator().manual_seed(seed)
    b, t = call.batch, call.tokens

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    if call.sub_block.kind == "embedding":
        rows, table = settings["vocabulary_size"], tuple[Tensor, ...]()
        if settings.get("shared"):
            table = (random(rows, settings.get("embedding_size", settings["hidden_size"])),)
        tokens = torch.randint(rows, (b, t), generator=generator)
        if call.method == "step":
            return CalledBlock(block, "step"), (tokens, torch.zeros(b, dtype=torch.int64), *table)
        return CalledBlock(_Shared(block) if table else block, "forward"), (tokens, *table)
    if call.method == "prepare":
        return CalledBlock(block, "prepare"), (random(b, call.context, settings["memory_size"]),)
    x = random(b, t, settings["hidden_size"])
    extra: tuple[Tensor, ...] = ()
    if isinstance(block, AttentionBlock) and call.method != "forward":
        extra = block.empty_cache(b, call.context)
        if call.method == "step":
            extra = (torch.full((b,), call.context - 1), *extra)
    elif isinstance(block, CrossAttentionBlock):
        with torch.no_grad():
            extra = block.prepare(random(b, call.context, settings["memory_size"]))
    elif settings.get("tied"):
        extra = (random(settings["outputs"], settings.get("embedding_size", settings["hidden_size"])),)
    elif call.sub_block.kind == "memory":
        return CalledBlock(_Unmasked(block), "forward"), (x,)
    return CalledBlock(block, call.method), (x, *extra)


class _Shared(nn.Module):
    """An embedding that is given its table."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, tokens: Tensor, _mask: None, table: Tensor) -> Any:
        return self.block(tokens, None, None, table)


class _Unmasked(nn.Module):
    """A block that takes no mask."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor, _mask: None) -> Any:
        return self.block(x)
