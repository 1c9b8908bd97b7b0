"""Weights as bytes: safetensors, which holds tensors and nothing that could run."""

from __future__ import annotations

import hashlib

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from nas.errors import InvalidInput


def weights_to_bytes(state: dict[str, Tensor]) -> bytes:
    """Return a state dict as safetensors bytes; equal tensors give equal bytes."""
    return save({name: state[name].contiguous() for name in sorted(state)})


def weights_from_bytes(content: bytes) -> dict[str, Tensor]:
    """Return the state dict of safetensors bytes; raise `InvalidInput` if they are anything else."""
    try:
        return load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise InvalidInput.of(
            "weights", f"{len(content)} bytes", "a safetensors file", f"download the weights again ({error})"
        ) from error


def sha256_of(content: bytes) -> str:
    """Return the SHA-256 of bytes in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def load_weights(model: nn.Module, content: bytes) -> None:
    """Load safetensors bytes into a model; raise `InvalidInput` if names or shapes are another model's."""
    state = weights_from_bytes(content)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise InvalidInput.of(
            "weights", f"{len(state)} tensors", "the tensors of this architecture", str(error).splitlines()[0]
        ) from error
