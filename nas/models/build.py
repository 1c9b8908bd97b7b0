"""Architecture → model."""

from __future__ import annotations

import torch

from nas.architecture import Architecture
from nas.models.decoder import DecoderModel
from nas.models.encoder import EncoderModel
from nas.models.encoder_decoder import EncoderDecoderModel

Model = EncoderModel | DecoderModel | EncoderDecoderModel

_FAMILIES: dict[str, type[EncoderModel] | type[DecoderModel] | type[EncoderDecoderModel]] = {
    "encoder": EncoderModel,
    "decoder": DecoderModel,
    "encoder-decoder": EncoderDecoderModel,
}


def build_model(architecture: Architecture, seed: int | None = None) -> Model:
    """Build the model in evaluation mode; with a seed the initial weights depend on nothing else."""
    family = _FAMILIES[architecture.family]
    if seed is None:
        return family(architecture).eval()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return family(architecture).eval()
