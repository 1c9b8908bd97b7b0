"""Decoders and encoders against the models of the `transformers` library, our weights copied into them."""

import tempfile
from pathlib import Path

import pytest
import torch
import transformers
from model_examples import EXACT, decoder, encoder, mask_of, randomised, tokens_of

from nas.errors import InvalidInput, PocketformerError
from nas.export import transformers_form
from nas.export.transformers_form import TOLERANCE, form_of, write_transformers
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


def theirs(model):
    """transformers' model, as it loads what is written for it; equal names and shapes are asked for."""
    form = form_of(model.architecture)
    with tempfile.TemporaryDirectory() as folder:
        assert write_transformers(model, Path(folder)) < TOLERANCE
        result, told = getattr(transformers, form.model_class).from_pretrained(
            folder, attn_implementation="eager", output_loading_info=True
        )
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]
    if hasattr(result, "generation_config"):
        result.generation_config.eos_token_id = None  # tests go on behind it
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
    expected = theirs(model)(tokens, attention_mask=mask.long() if padded else None).logits
    logits = model(tokens, mask if padded else None)
    real = mask if padded else torch.ones_like(mask)
    torch.testing.assert_close(logits[real], expected[real], **EXACT)


@torch.no_grad()
@each_decoder
def test_greedy_generation_writes_what_theirs_writes(name, tied):
    model = talkative(ours(name, tied))
    other = theirs(model)
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
    other = theirs(model)
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
    bert = theirs(model)
    tokens, mask = tokens_of(3, max(LENGTHS), VOCABULARY, seed), mask_of(LENGTHS)
    segments = (torch.arange(max(LENGTHS)) >= 4).long().expand(3, -1) if segmented else None
    expected = bert(tokens, attention_mask=mask.long() if padded else None, token_type_ids=segments).logits
    torch.testing.assert_close(model(tokens, mask if padded else None, segments), expected, **EXACT)


@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_other_activations_are_named_as_theirs(activation):
    layers = [{"heads": HEADS, "feed_forward_size": WIDTH}] * LAYERS
    theirs(randomised(decoder(layers, tied="output", positions="learned", activation=activation, hidden_size=HIDDEN)))


def test_layers_that_are_run_again_are_written_again():
    model = randomised(
        decoder(
            [{"heads": HEADS, "feed_forward_size": WIDTH}] * 2,
            norm="rms",
            positions="rotary",
            activation="swiglu",
            bias=False,
            hidden_size=HIDDEN,
            repeats=2,
        )
    )
    assert theirs(model).config.num_hidden_layers == 4


SETTINGS = {"norm": "rms", "positions": "rotary", "activation": "swiglu", "bias": False, "hidden_size": HIDDEN}


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"positions": "learned"}, "decoder.positions"),
        ({"activation": "gelu"}, "decoder.activation"),
        ({"embedding_size": 8}, "decoder.embedding_size"),
        ({"norm": "layer"}, "decoder.positions"),
    ],
)
def test_what_has_no_equal_says_why(changed, field):
    architecture = decoder([{"heads": HEADS, "feed_forward_size": WIDTH}], **{**SETTINGS, **changed})
    with pytest.raises(InvalidInput) as error:
        form_of(architecture)
    assert error.value.problems[0].field == f"architecture.{field}"


def test_layers_of_different_shapes_have_no_equal(tmp_path):
    widths = [{"heads": HEADS, "feed_forward_size": size} for size in (WIDTH, 2 * WIDTH)]
    with pytest.raises(InvalidInput, match="Llama has equal layers"):
        write_transformers(randomised(decoder(widths, **SETTINGS)), tmp_path / "theirs")
    assert not (tmp_path / "theirs").exists()


def test_what_computes_something_else_is_not_left_behind(tmp_path, monkeypatch):
    model = ours("llama")
    right = transformers_form._llama_state

    def wrong(given):
        state = right(given)
        return {**state, "model.norm.weight": state["model.norm.weight"] * 1.01}

    monkeypatch.setattr(transformers_form, "_llama_state", wrong)
    with pytest.raises(PocketformerError, match="LlamaForCausalLM does not compute what the model does"):
        write_transformers(model, tmp_path)
    assert not list(tmp_path.iterdir())
