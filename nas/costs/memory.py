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
ALIGNMENT = 128


def peak_bytes(module: nn.Module, inputs: tuple[Any, ...]) -> int:
    """Return the most bytes that one run allocates at a time, inputs, weights and buffers not counted."""
    given = [*module.parameters(), *module.buffers(), *(x for x in tree_iter(inputs) if isinstance(x, Tensor))]
    with torch.no_grad(), _Tracker(given) as tracker, _Kernels(tracker):
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
            self.need(_blocked_convolution_bytes(*args[:3]))
        result = func(*args, **(kwargs or {}))
        for tensor in tree_iter(result):
            if isinstance(tensor, Tensor):
                self._follow(tensor)
        self.peak = max(self.peak, self._now)
        if func is torch.ops.aten._safe_softmax.default:
            # It looks for rows of nothing but −∞: a truth value an element and a row, and a zero to write there
            self.need(result.numel() + result.numel() // result.shape[-1] + result.element_size())
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


class _Kernels(TorchFunctionMode):
    """Stands in for functions of which torch shows a dispatch mode other parts than it runs without one."""

    def __init__(self, tracker: _Tracker) -> None:
        super().__init__()
        self._tracker = tracker

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is functional.linear:
            # Torch adds a bias in place, but under a mode to a new tensor; the product alone allocates the same
            return func(*args[:2])
        # The fused kernel reads dense rows only; where they are not, torch itself takes attention apart
        if func is functional.scaled_dot_product_attention and all(x.stride(-1) == 1 for x in args[:3]):
            return self._fused_attention(args[0], args[1], kwargs.get("attn_mask"))
        return func(*args, **kwargs)

    def _fused_attention(self, q: Tensor, k: Tensor, mask: Tensor | None) -> Tensor:
        """Allocate what scaled dot-product attention does on a CPU, as one kernel (FlashAttentionKernel.cpp).

        It makes the output, laid out as the queries are, and the logarithm of each row's sum; a mask of truth values
        becomes one of numbers; and for a block of queries it holds their scores against a block of keys, the sum and
        maximum of each row, and the output, one thread.
        """
        b, h, t, e = q.shape
        numbers = None if mask is None else torch.empty(mask.shape, device=q.device)
        output, row_sums = torch.empty_like(q), q.new_empty(b, h, t)
        rows, columns = min(_query_block(t), t), min(KEY_BLOCK, k.shape[-2])
        self._tracker.need(4 * rows * (columns + e + 2))
        del numbers, row_sums
        return output


def _query_block(tokens: int) -> int:
    """Return how many queries the kernel takes at once."""
    return 256 if tokens >= 768 else 64 if tokens >= 192 else 32


def _blocked_convolution_bytes(x: Tensor, weight: Tensor, bias: Tensor | None) -> int:
    """Return what oneDNN's depthwise convolution of x (B, C, T) holds before it gives the output.

    Input, weight (C, 1, K) and output in its own layout, channels in blocks of 16; and the bias (C,), if there is one
    and a block is not full, in aligned memory.
    """
    b, c, t = x.shape
    width = weight.shape[-1]
    channels = -(-c // CHANNEL_BLOCK) * CHANNEL_BLOCK
    filled_up = 4 * channels + ALIGNMENT if bias is not None and channels != c else 0
    return int(4 * channels * (b * t + width + b * (t - width + 1)) + filled_up)
