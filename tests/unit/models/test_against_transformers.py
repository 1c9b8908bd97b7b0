"""Decoders and encoders against the models of the `transformers` library, our weights copied into them."""

import copied_weights
import pytest
import torch
from model_examples import EXACT, decoder, encoder, mask_of, randomised, tokens_of
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    Lfm2Config,
    Lfm2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from nas.models import generate

HIDDEN, HEADS, KEY_VALUE_HEADS, WIDTH, LAYERS, VOCABULARY, LENGTH = 24, 4, 2, 40, 3, 50, 16
LENGTHS = [11, 7, 1]

padded_or_not = pytest.mark.parametrize("padded", [True, False], ids=["padded", "unpadded"])


def ours(name, tied="output", seed=0):
    """Our model of that name: random weights everywhere."""
    rms = {"norm": "rms", "positions": "rotary", "activation": "swiglu", "bias": False, "hidden_size": HIDDEN}
    grouped = {"attention": "grouped-query", "heads": HEADS, "key_value_heads": KEY_VALUE_HEADS}
    attention = {
        "llama": grouped,
        "llama-with-heads-of-eight": {**grouped, "head_size": 8},
        "mistral": {"attention": "local", "heads": HEADS, "window": 4},
        "lfm2": {"attention": "gated-convolution", "heads": None},
    }
    if name == "gpt2":
        layers = [{"heads": HEADS, "feed_forward_size": WIDTH}] * LAYERS
        return randomised(
            decoder(layers, tied=tied, positions="learned", activation="gelu-tanh", hidden_size=HIDDEN), seed
        )
    layers = [{**attention[name], "feed_forward_size": WIDTH}] * LAYERS
    return randomised(decoder(layers, tied=tied, **rms), seed)


def theirs(name, model, tied="output"):
    """transformers' model of that name with the weights of ours."""
    common = {"vocab_size": VOCABULARY, "attn_implementation": "eager", "tie_word_embeddings": tied == "output",
              "bos_token_id": None, "eos_token_id": None, "pad_token_id": None}  # fmt: skip
    sizes = {"hidden_size": HIDDEN, "intermediate_size": WIDTH, "num_hidden_layers": LAYERS,
             "num_attention_heads": HEADS, "max_position_embeddings": LENGTH, "rms_norm_eps": 1e-6,
             "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0}}  # fmt: skip
    if name == "gpt2":
        config = GPT2Config(n_embd=HIDDEN, n_head=HEADS, n_inner=WIDTH, n_layer=LAYERS, n_positions=LENGTH, **common)
        result, state = GPT2LMHeadModel(config), copied_weights.of_gpt2(model)
    elif name == "mistral":
        config = MistralConfig(**sizes, num_key_value_heads=HEADS, head_dim=HIDDEN // HEADS, sliding_window=4, **common)
        result, state = MistralForCausalLM(config), copied_weights.of_llama(model)
    elif name == "lfm2":
        del sizes["rms_norm_eps"]
        config = Lfm2Config(
            **sizes,
            norm_eps=1e-6,
            layer_types=["conv"] * LAYERS,
            block_auto_adjust_ff_dim=False,
            use_cache=False,  # theirs has no cache without a layer of attention
            **common,
        )
        result, state = Lfm2ForCausalLM(config), copied_weights.of_lfm2(model)
    else:
        head_dim = 8 if name == "llama-with-heads-of-eight" else HIDDEN // HEADS
        config = LlamaConfig(**sizes, num_key_value_heads=KEY_VALUE_HEADS, head_dim=head_dim, **common)
        result, state = LlamaForCausalLM(config), copied_weights.of_llama(model)
    result.load_state_dict(state, strict=True)
    return result.eval()


def talkative(model):
    """With layers so loud that a tied head does not only repeat the last token."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("output.weight", "outer.weight")):
                parameter.mul_(6)
    return model


DECODERS = [
    ("gpt2", "output"),
    ("llama", "output"),
    ("llama", "none"),
    ("llama-with-heads-of-eight", "none"),
    ("mistral", "output"),
    ("lfm2", "output"),
]
each_decoder = pytest.mark.parametrize(("name", "tied"), DECODERS)


@torch.no_grad()
@each_decoder
@pytest.mark.parametrize("seed", [0, 1])
@padded_or_not
def test_a_decoder_equals_theirs(name, tied, seed, padded):
    model = ours(name, tied, seed)
    tokens, mask = tokens_of(3, max(LENGTHS), VOCABULARY, seed), mask_of(LENGTHS)
    expected = theirs(name, model, tied)(tokens, attention_mask=mask.long() if padded else None).logits
    logits = model(tokens, mask if padded else None)
    real = mask if padded else torch.ones_like(mask)
    torch.testing.assert_close(logits[real], expected[real], **EXACT)


@torch.no_grad()
@each_decoder
def test_greedy_generation_writes_what_theirs_writes(name, tied):
    model = talkative(ours(name, tied))
    other = theirs(name, model, tied)
    tokens, new = tokens_of(3, 9, VOCABULARY, seed=4), 7
    together = generate(model, tokens, mask_of([9, 5, 2]), max_new_tokens=new).tokens
    for row, length in enumerate([9, 5, 2]):  # theirs pads on the left: so one by one
        prompt = tokens[row : row + 1, :length]
        expected = other.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=new, do_sample=False)
        assert together[row].tolist() == expected[0, length:].tolist()
    assert len(set(together.flatten().tolist())) > 3  # no model that says one thing only


@torch.no_grad()
@each_decoder
def test_beam_search_of_a_fixed_length_finds_what_theirs_finds(name, tied):
    model = talkative(ours(name, tied))
    other = theirs(name, model, tied)
    prompt = tokens_of(1, 5, VOCABULARY, seed=6)
    found = generate(model, prompt, max_new_tokens=6, beams=4)
    expected = other.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=6,
        do_sample=False,
        num_beams=4,
        return_dict_in_generate=True,
        output_scores=True,
    )
    assert found.tokens[0].tolist() == expected.sequences[0, 5:].tolist()
    assert found.scores.item() / 6 == pytest.approx(expected.sequences_scores.item(), abs=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("seed", [0, 1])
@padded_or_not
@pytest.mark.parametrize("segmented", [True, False], ids=["two segments", "one segment"])
def test_a_post_norm_encoder_with_segments_equals_bert(seed, padded, segmented):
    layers = [{"heads": HEADS, "feed_forward_size": WIDTH}] * LAYERS
    model = randomised(
        encoder(
            layers,
            head={"type": "classification", "outputs": 5, "pooling": "first"},
            hidden_size=HIDDEN,
            positions="learned",
            norm_position="post",
            activation="gelu",
            embedding_norm=True,
            segments=2,
        ),
        seed,
    )
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=WIDTH,
        hidden_act="gelu",
        max_position_embeddings=LENGTH,
        type_vocab_size=2,
        layer_norm_eps=1e-5,  # torch's own; BERT's published 1e-12 differs
        pad_token_id=None,
        num_labels=5,
        attn_implementation="eager",
    )
    bert = BertForSequenceClassification(config).eval()
    bert.load_state_dict(copied_weights.of_bert(model), strict=True)
    tokens, mask = tokens_of(3, max(LENGTHS), VOCABULARY, seed), mask_of(LENGTHS)
    segments = (torch.arange(max(LENGTHS)) >= 4).long().expand(3, -1) if segmented else None
    expected = bert(tokens, attention_mask=mask.long() if padded else None, token_type_ids=segments).logits
    torch.testing.assert_close(model(tokens, mask if padded else None, segments), expected, **EXACT)
