"""Hardware: what candidates are trained on, and in which precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Hardware:
    """Where a training runs. Scores compare only between candidates of one kind of hardware."""

    device: torch.device
    mixed: bool
    """Whether forward passes are in bfloat16 where that is safe (torch's autocast); weights stay in float32."""

    @classmethod
    def here(cls) -> Hardware:
        """Return a graphics card with mixed precision where there is one, else the processor in float32."""
        if torch.cuda.is_available():
            return cls(torch.device("cuda"), mixed=True)
        return cls(torch.device("cpu"), mixed=False)

    @property
    def name(self) -> str:
        """What the bits of a training depend on: the kind of device and the precision."""
        card = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        return f"{card}, {'bfloat16 mixed' if self.mixed else 'float32'}"

    def forward(self) -> AbstractContextManager[None]:
        """Use this precision in one forward pass of a training.

        Of one only: autocast keeps the weights that it has rounded until it is left, whatever the optimizer does.
        """
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed)

    @contextmanager
    def deterministic(self) -> Iterator[None]:
        """Use, on a processor, only algorithms that give the same sums every time."""
        before = torch.are_deterministic_algorithms_enabled()
        warned_only = torch.is_deterministic_algorithms_warn_only_enabled()
        memory: Any = torch.utils.deterministic
        filled = memory.fill_uninitialized_memory
        # A graphics card has no such algorithm for some sums, and torch refuses them then
        torch.use_deterministic_algorithms(self.device.type == "cpu")
        # Would write every new tensor twice, against programs that read what they have not written
        memory.fill_uninitialized_memory = False
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before, warn_only=warned_only)
            memory.fill_uninitialized_memory = filled


def beside(model: nn.Module, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Return tensors where the weights of a model are; as they are beside a model without any."""
    weight = next(model.parameters(), None)
    return tensors if weight is None else tuple(tensor.to(weight.device, non_blocking=True) for tensor in tensors)
