"""The bytes of activations that a module holds at its peak, followed operator by operator.

What is followed are tensors, as torch's eager execution makes and lets go of them. It works on shapes alone (the
`meta` device) as well as on numbers.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

KEY_BLOCK = 512
CHANNEL_BLOCK = 16


def peak_bytes(module: nn.Module, inputs: tuple[Any, ...]) -> int:
    """Return the most bytes that one run allocates at a time, inputs, weights and buffers not counted."""
    given = [*module.parameters(), *module.buffers(), *(x for x in tree_iter(inputs) if isinstance(x, Tensor))]
    with torch.no_grad(), _Tracker(given) as tracker, _FusedAttention(tracker):
        module(*inputs)
    return int(tracker.peak)


class _Tracker(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts every storage once, from the first tensor on it to the last."""

    def __init__(self, given: list[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._given = {tensor.untyped_storage()._cdata for tensor in given}
        self._tensors: dict[int, int] = {}
        """Live tensors on each storage."""
        self._now = 0
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.convolution.default:
            self.need(_blocked_convolution_bytes(*args[:2]))
        result = func(*args, **(kwargs or {}))
        for tensor in tree_iter(result):
            if isinstance(tensor, Tensor):
                self._follow(tensor)
        self.peak = max(self.peak, self._now)
        return result

    def need(self, size: int) -> None:
        """Note bytes that are held only inside an operator."""
        self.peak = max(self.peak, self._now + size)

    def _follow(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        name = storage._cdata
        if name in self._given:
            return
        if name not in self._tensors:
            self._tensors[name] = 0
            self._now += storage.nbytes()
        self._tensors[name] += 1
        weakref.finalize(tensor, self._let_go, name, storage.nbytes())

    def _let_go(self, name: int, size: int) -> None:
        self._tensors[name] -= 1
        if not self._tensors[name]:
            del self._tensors[name]
            self._now -= size


class _FusedAttention(TorchFunctionMode):
    """Stands in for scaled dot-product attention, which torch takes apart where there are shapes but no numbers.

    On a CPU it is one kernel (FlashAttentionKernel.cpp). It makes the output, with the heads of a token side by side,
    and the logarithm of each row's sum; a mask of truth values becomes one of numbers; and for a block of queries it
    holds their scores against a block of keys, the sum and maximum of each row, and the output, one thread.
    """

    def __init__(self, tracker: _Tracker) -> None:
        super().__init__()
        self._tracker = tracker

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not functional.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        q, k, v = args[:3]
        b, h, t, e = q.shape
        mask = (kwargs or {}).get("attn_mask")
        numbers = None if mask is None else torch.empty(mask.shape, device=q.device)
        output, row_sums = q.new_empty(b, t, h, v.shape[-1]), q.new_empty(b, h, t)
        rows, columns = min(_query_block(t), t), min(KEY_BLOCK, k.shape[-2])
        self._tracker.need(4 * rows * (columns + e + 2))
        del numbers, row_sums
        return output.transpose(1, 2)


def _query_block(tokens: int) -> int:
    """Return how many queries the kernel takes at once."""
    return 256 if tokens >= 768 else 64 if tokens >= 192 else 32


def _blocked_convolution_bytes(x: Tensor, weight: Tensor) -> int:
    """Return what oneDNN's depthwise convolution of x (B, C, T) holds before it gives the output.

    Input, weight (C, 1, K) and output in its own layout, channels in blocks of 16.
    """
    b, c, t = x.shape
    width = weight.shape[-1]
    channels = -(-c // CHANNEL_BLOCK) * CHANNEL_BLOCK
    return int(4 * channels * (b * t + width + b * (t - width + 1)))
