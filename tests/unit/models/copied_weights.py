"""Our weights under the names that torch gives them, for its strict `load_state_dict`."""

import torch


def norm(module, name):
    return {f"{name}.{key}": value for key, value in module.state_dict().items()}


def linear(module, name):
    state = {f"{name}.weight": module.weight}
    return state if module.bias is None else state | {f"{name}.bias": module.bias}


def of_torch_layers(blocks, final_norm=None):
    """The state of torch.nn.TransformerEncoder or, where the blocks have cross-attention, TransformerDecoder."""
    state = {}
    per_layer = (
        3 if any(hasattr(block.attention, "key_value") for block in blocks if hasattr(block, "attention")) else 2
    )
    for index in range(len(blocks) // per_layer):
        layer = blocks[index * per_layer : (index + 1) * per_layer]
        name = f"layers.{index}"
        for place, block in enumerate(layer, start=1):
            state |= norm(block.norm, f"{name}.norm{place}")
        mixing, feeding = layer[0].attention, layer[-1]
        state |= {
            f"{name}.self_attn.in_proj_weight": mixing.qkv.weight,
            f"{name}.self_attn.in_proj_bias": mixing.qkv.bias,
            **linear(mixing.output, f"{name}.self_attn.out_proj"),
            **linear(feeding.inner, f"{name}.linear1"),
            **linear(feeding.outer, f"{name}.linear2"),
        }
        if per_layer == 3:
            cross = layer[1].attention
            state |= {
                f"{name}.multihead_attn.in_proj_weight": torch.cat((cross.query.weight, cross.key_value.weight)),
                f"{name}.multihead_attn.in_proj_bias": torch.cat((cross.query.bias, cross.key_value.bias)),
                **linear(cross.output, f"{name}.multihead_attn.out_proj"),
            }
    return state if final_norm is None else state | norm(final_norm, "norm")
