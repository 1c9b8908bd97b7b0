"""Architecture → torch module, built of sub-blocks that are also what is counted and measured."""

from nas.models.sub_blocks import SubBlock, build_sub_block, example_input, sub_blocks
from nas.models.transformer import Transformer, build_model

__all__ = ["SubBlock", "Transformer", "build_model", "build_sub_block", "example_input", "sub_blocks"]
