"""The optimizer: rates by kind of parameter, so that one base rate suits narrow and wide candidates."""

from __future__ import annotations

import torch
from torch import nn

from nas.models import Model

REFERENCE_WIDTH = 64
"""The hidden size at which hidden matrices take the base learning rate; wider ones take less."""
EMBEDDING_RATE, HEAD_RATE = 30.0, 10.0
"""Rates of token embedding and head over the base rate: each row is touched by few tokens of a short training."""
TIED_RATE = 3.0
"""Rate of a table that both reads and answers: every row is touched at every step, by the answers."""
WEIGHT_DECAY = 0.01
NO_MATRICES = ("positions", "segments.weight", "short.weight")
"""Tables that every batch touches, and kernels of convolutions: at the base rate, without decay, as norms."""
FIXED_FAN_IN = ("key_mixtures.weight", "value_mixtures.weight", "blocks.0.project.weight")
"""Matrices that sum over tokens, or over a factorised embedding: as many terms however wide the model is."""

_TIED_TABLES = {
    ("decoder", "output"): "blocks.0.tokens.weight",
    ("encoder-decoder", "output"): "decoder_blocks.0.tokens.weight",
    ("encoder-decoder", "all"): "encoder_blocks.0.tokens.weight",
}


def optimizer_for(model: Model, learning_rate: float) -> torch.optim.Optimizer:
    """Return AdamW with rates by kind of parameter.

    The rate of hidden matrices falls with the width (Yang et al. 2022, arXiv 2203.03466, table 8: µP for Adam), so
    that one base rate suits narrow and wide candidates; norms, biases, convolution kernels and matrices that do not
    sum over the width keep the base rate. In an encoder–decoder each stack has its own width.
    """
    tied = _TIED_TABLES.get((model.architecture.family, model.architecture.tied_embeddings))
    widths = {name: stack.hidden_size for name, stack in model.architecture.stacks}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        factor, decay = 1.0, 0.0
        width_factor = REFERENCE_WIDTH / widths.get(name.partition("_")[0], next(iter(widths.values())))
        if name == tied:
            factor = TIED_RATE * width_factor
        elif name.endswith("tokens.weight"):
            factor = EMBEDDING_RATE
        elif name.endswith("classes.weight"):
            factor = HEAD_RATE * width_factor
        elif parameter.ndim == 2 and not name.endswith(NO_MATRICES):
            factor, decay = 1.0 if name.endswith(FIXED_FAN_IN) else width_factor, WEIGHT_DECAY
        groups.setdefault((factor, decay), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "lr": learning_rate * factor, "weight_decay": decay}
            for (factor, decay), parameters in groups.items()
        ],
        betas=(0.9, 0.99),
        fused=True,
    )
