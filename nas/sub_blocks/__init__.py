"""What a model is made of, as values: sub-blocks, and what one inference asks of each. Nothing here needs torch."""

from nas.sub_blocks.calls import Call, Phase, calls, phases
from nas.sub_blocks.sub_block import SubBlock, sub_blocks, weighted_blocks

__all__ = ["Call", "Phase", "SubBlock", "calls", "phases", "sub_blocks", "weighted_blocks"]
