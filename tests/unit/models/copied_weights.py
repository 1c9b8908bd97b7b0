"""Our weights under the names that other implementations give them, for their strict `load_state_dict`."""

from itertools import pairwise

import torch


def norm(module, name):
    return {f"{name}.{key}": value for key, value in module.state_dict().items()}


def linear(module, name, transposed=False):
    state = {f"{name}.weight": module.weight.T.contiguous() if transposed else module.weight}
    return state if module.bias is None else state | {f"{name}.bias": module.bias}


def rows(weight, sizes):
    """The parts of a fused layer's weight or bias."""
    edges = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
    return [weight[start:end] for start, end in pairwise(edges)]


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


def of_gpt2(model):
    """The state of transformers' GPT2LMHeadModel, whose linear layers are stored transposed."""
    embedding, *layers, head = model.blocks
    state = {
        "transformer.wte.weight": embedding.tokens.weight,
        "transformer.wpe.weight": embedding.positions,
        "lm_head.weight": embedding.tokens.weight,
        **norm(head.norm, "transformer.ln_f"),
    }
    for index, (mixing, feeding) in enumerate(zip(layers[::2], layers[1::2], strict=True)):
        name = f"transformer.h.{index}"
        state |= {
            **norm(mixing.norm, f"{name}.ln_1"),
            **linear(mixing.attention.qkv, f"{name}.attn.c_attn", transposed=True),
            **linear(mixing.attention.output, f"{name}.attn.c_proj", transposed=True),
            **norm(feeding.norm, f"{name}.ln_2"),
            **linear(feeding.inner, f"{name}.mlp.c_fc", transposed=True),
            **linear(feeding.outer, f"{name}.mlp.c_proj", transposed=True),
        }
    return state


def of_llama(model):
    """The state of transformers' LlamaForCausalLM and MistralForCausalLM."""
    embedding, *layers, head = model.blocks
    state = {
        "model.embed_tokens.weight": embedding.tokens.weight,
        "lm_head.weight": embedding.tokens.weight if head.classes is None else head.classes.weight,
        **norm(head.norm, "model.norm"),
    }
    for index, (mixing, feeding) in enumerate(zip(layers[::2], layers[1::2], strict=True)):
        name = f"model.layers.{index}"
        q, k, v = rows(mixing.attention.qkv.weight, mixing.attention.widths)
        gate, up = feeding.inner.weight.chunk(2)
        state |= {
            **norm(mixing.norm, f"{name}.input_layernorm"),
            f"{name}.self_attn.q_proj.weight": q,
            f"{name}.self_attn.k_proj.weight": k,
            f"{name}.self_attn.v_proj.weight": v,
            **linear(mixing.attention.output, f"{name}.self_attn.o_proj"),
            **norm(feeding.norm, f"{name}.post_attention_layernorm"),
            f"{name}.mlp.gate_proj.weight": gate,
            f"{name}.mlp.up_proj.weight": up,
            **linear(feeding.outer, f"{name}.mlp.down_proj"),
        }
    return state


def of_lfm2(model):
    """The state of transformers' Lfm2ForCausalLM of convolutions only."""
    embedding, *layers, head = model.blocks
    state = {
        "model.embed_tokens.weight": embedding.tokens.weight,
        "lm_head.weight": embedding.tokens.weight,
        **norm(head.norm, "model.embedding_norm"),
    }
    for index, (mixing, feeding) in enumerate(zip(layers[::2], layers[1::2], strict=True)):
        name = f"model.layers.{index}"
        gate, up = feeding.inner.weight.chunk(2)
        state |= {
            **norm(mixing.norm, f"{name}.operator_norm"),
            **linear(mixing.attention.input, f"{name}.conv.in_proj"),
            **linear(mixing.attention.convolution, f"{name}.conv.conv"),
            **linear(mixing.attention.output, f"{name}.conv.out_proj"),
            **norm(feeding.norm, f"{name}.ffn_norm"),
            f"{name}.feed_forward.w1.weight": gate,
            f"{name}.feed_forward.w3.weight": up,
            **linear(feeding.outer, f"{name}.feed_forward.w2"),
        }
    return state


def of_bert(model):
    """The state of transformers' BertForSequenceClassification."""
    embedding, *layers, head = model.blocks
    state = {
        "bert.embeddings.word_embeddings.weight": embedding.tokens.weight,
        "bert.embeddings.position_embeddings.weight": embedding.positions,
        "bert.embeddings.token_type_embeddings.weight": embedding.segments.weight,
        **norm(embedding.norm, "bert.embeddings.LayerNorm"),
        **linear(head.pooler, "bert.pooler.dense"),
        **linear(head.classes, "classifier"),
    }
    for index, (mixing, feeding) in enumerate(zip(layers[::2], layers[1::2], strict=True)):
        name = f"bert.encoder.layer.{index}"
        qkv = mixing.attention.qkv
        parts = zip(
            ("query", "key", "value"), rows(qkv.weight, mixing.attention.widths), qkv.bias.chunk(3), strict=True
        )
        for part, weight, bias in parts:
            state |= {f"{name}.attention.self.{part}.weight": weight, f"{name}.attention.self.{part}.bias": bias}
        state |= {
            **linear(mixing.attention.output, f"{name}.attention.output.dense"),
            **norm(mixing.norm, f"{name}.attention.output.LayerNorm"),
            **linear(feeding.inner, f"{name}.intermediate.dense"),
            **linear(feeding.outer, f"{name}.output.dense"),
            **norm(feeding.norm, f"{name}.output.LayerNorm"),
        }
    return state
