"""Architecture → torch module, built of sub-blocks that are also what is counted and measured."""

from nas.models.build import Model, build_model
from nas.models.calls import Call, Phase, call_with_inputs, calls, phases
from nas.models.decoder import DecoderModel
from nas.models.encoder import EncoderModel
from nas.models.encoder_decoder import EncoderDecoderModel
from nas.models.generation import generate
from nas.models.sub_blocks import SubBlock, build_sub_block, example_input, sub_blocks, weighted_blocks

__all__ = [
    "Call",
    "DecoderModel",
    "EncoderDecoderModel",
    "EncoderModel",
    "Model",
    "Phase",
    "SubBlock",
    "build_model",
    "build_sub_block",
    "call_with_inputs",
    "calls",
    "example_input",
    "generate",
    "phases",
    "sub_blocks",
    "weighted_blocks",
]
