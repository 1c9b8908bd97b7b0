"""Shapes as Python integers."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor


def fixed_shape(x: Tensor) -> tuple[int, ...]:
    """Return the shape in plain integers, also while tracing: graphs are traced and exported at fixed shapes.

    `x.shape` would give tensors there, on which no loop or condition can depend without a warning.
    """
    if not torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        return tuple(x.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        return tuple(int(size) for size in x.shape)
