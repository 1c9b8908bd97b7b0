"""Architecture → torch module, built of sub-blocks that are also what is counted and measured."""

from nas.models.build import Model, build_model
from nas.models.called import call_with_inputs
from nas.models.decoder import DecoderModel
from nas.models.encoder import EncoderModel
from nas.models.encoder_decoder import EncoderDecoderModel
from nas.models.generation import generate
from nas.models.sub_block_modules import build_sub_block, example_input

__all__ = [
    "DecoderModel",
    "EncoderDecoderModel",
    "EncoderModel",
    "Model",
    "build_model",
    "build_sub_block",
    "call_with_inputs",
    "example_input",
    "generate",
]
