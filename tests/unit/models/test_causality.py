"""No logit of a decoder depends on later tokens, and decoding with a cache equals reading everything at once.

Whole models of all kinds: drawn from the bundled spaces, and made by hand so that every causal attention type, every
kind of positions and tying, repeats and factorised embeddings are among them.
"""

import random
from itertools import product

import pytest
import torch
from model_examples import CLOSE, crossed, decoder, encoder_decoder, mask_of, randomised, stack, tokens_of

from nas.architecture import Architecture, TaskShape
from nas.attention_types import ATTENTION_TYPES
from nas.models import DecoderModel
from nas.space import SearchSpace

VOCABULARY, LENGTH = 50, 40  # longer than the widest window of the bundled spaces
PROMPTS, SOURCES = [17, 9, 1], [11, 6, 1]
UNCHANGED, CHANGED = 1e-5, 1e-4  # over the largest logit; rows of one batch are rounded differently

DRAWN = {"causal-decoder": 50, "seq2seq": 50, "lite-seq2seq": 50}
GROUP = 10  # architectures a test

CAUSAL = {
    "softmax": [{"heads": 4}, {"heads": 3, "head_size": 6}],
    "grouped-query": [{"heads": 4, "key_value_heads": 2}, {"heads": 3, "head_size": 6, "key_value_heads": 1}],
    "linear": [{"heads": 4}, {"heads": 3, "head_size": 6}],
    "local": [{"heads": 4, "window": 5}, {"heads": 2, "window": 1, "head_size": 6}],
    "long-short": [{"heads": 2, "kernel_size": 5}],
    "gated-convolution": [{}],
}
"""The choices of each causal attention type; its layers are as many."""
CROSS = [
    {"attention": "softmax", "heads": 4},
    {"attention": "grouped-query", "heads": 4, "key_value_heads": 2, "reads": 2},
    {"attention": "linear", "heads": 3, "head_size": 6, "reads": 3},
]
SETTINGS = [
    {"positions": "sinusoidal", "norm_position": "pre"},
    {"positions": "learned", "norm_position": "post", "embedding_norm": True, "segments": 2},
    {"positions": "rotary", "norm_position": "pre", "norm": "rms", "bias": False, "activation": "swiglu", "repeats": 2},
    {
        "positions": "learned",
        "norm_position": "pre",
        "norm": "rms",
        "embedding_size": 10,
        "activation": "gelu-tanh",
        "repeats": 3,
    },
]


def layers_of(attention):
    return [{"attention": attention, "heads": None, **choices} for choices in CAUSAL[attention]]


def fits(attention, settings):
    return settings["positions"] != "rotary" or ATTENTION_TYPES[attention].rotary


def decoders_by_hand():
    for attention, settings, tied in product(CAUSAL, SETTINGS, ("none", "output")):
        if fits(attention, settings):
            yield decoder(layers_of(attention), VOCABULARY, LENGTH, tied, **settings)


def encoder_decoders_by_hand():
    readers = [{"attention": "softmax"}, {"attention": "low-rank", "rank": 5}, {"attention": "local", "window": 3}]
    for index, (attention, settings) in enumerate(product(CAUSAL, SETTINGS)):
        if not fits(attention, settings):
            continue
        tied = ("none", "output", "all")[index % 3]
        written = [
            layer | crossed(1, **cross)[0] for layer, cross in zip(layers_of(attention) * 3, CROSS * 2, strict=False)
        ]
        source = {"norm_position": settings["norm_position"], "embedding_size": settings.get("embedding_size")}
        yield encoder_decoder(
            stack(readers, hidden_size=24 if tied == "all" else 32, **source),
            stack(written, **settings),
            VOCABULARY,
            VOCABULARY,
            LENGTH,
            LENGTH,
            tied,
        )


def name_of(architecture: Architecture) -> str:
    kind = architecture.decoder
    parts = [kind.layers[0].attention, kind.positions, f"tied {architecture.tied_embeddings}"]
    return " ".join([*parts, f"repeats {kind.repeats}"])


def drawn(name, group):
    """Architectures of a bundled space, every depth as likely as any other."""
    space = SearchSpace.bundled(name)
    outputs = 0 if space.family == "decoder" else LENGTH
    space = space.for_task(TaskShape(VOCABULARY, VOCABULARY, LENGTH, outputs, "language-model"))
    rng = random.Random(f"{name} {group}")
    return [space.architecture(space.spread(rng, kinds=3)) for _ in range(GROUP)]


by_hand = pytest.mark.parametrize("architecture", [*decoders_by_hand(), *encoder_decoders_by_hand()], ids=name_of)
by_chance = pytest.mark.parametrize(
    ("space", "group"), [(name, group) for name, count in DRAWN.items() for group in range(count // GROUP)]
)


def source_of(model):
    return tokens_of(3, max(SOURCES), VOCABULARY, seed=7), mask_of(SOURCES)


def logits_of(model, tokens):
    """All logits (B, T, V), an encoder–decoder's of one source."""
    if isinstance(model, DecoderModel):
        return model(tokens)
    source = tokens_of(1, max(SOURCES), VOCABULARY, seed=7)
    return model(source.expand(len(tokens), -1), tokens)


@torch.no_grad()
def check_that_the_past_is_not_changed(architecture):
    model = randomised(architecture)
    tokens = tokens_of(1, 24, VOCABULARY, seed=3)
    places = [1, 2, 8, 15, 16, 23]
    changed = tokens.repeat(len(places), 1)
    for row, place in enumerate(places):
        changed[row, place] = (changed[row, place] + 1) % VOCABULARY
    before, after = logits_of(model, tokens), logits_of(model, changed)
    largest = before.abs().max()
    for row, place in enumerate(places):
        difference = (after[row] - before[0]).abs().amax(dim=-1) / largest  # (T,)
        assert difference[:place].max() < UNCHANGED, (architecture, place)
        assert difference[place:].max() > CHANGED, (architecture, place)


@torch.no_grad()
def check_that_a_cache_changes_nothing(architecture):
    model = randomised(architecture)
    tokens = tokens_of(3, 24, VOCABULARY, seed=5)
    if isinstance(model, DecoderModel):
        whole, lengths = model(tokens), torch.tensor(PROMPTS)
        mask = mask_of(PROMPTS)
        prompts = torch.where(mask, tokens[:, : max(PROMPTS)], VOCABULARY - 1)
        logits, state = model.prefill(prompts, mask, 24)
        step = model.step
        found = [logits]
    else:
        source, source_mask = source_of(model)
        whole, lengths = model(source, tokens, source_mask), torch.zeros(3, dtype=torch.int64)
        read, state = model.encode(source, source_mask), model.empty_state(3, 24)
        found = []

        def step(newest, position, state):
            return model.step(newest, position, state, read)

    rows = torch.arange(3)
    for index in range(24 - int(lengths.max())):
        logits, state = step(tokens[rows, lengths + index], lengths + index, state)
        found.append(logits)
    first = lengths - (len(found) - (24 - int(lengths.max())))  # the place of the first logits found
    expected = torch.stack([whole[rows, first + index] for index in range(len(found))])
    torch.testing.assert_close(torch.stack(found), expected, **CLOSE)


def test_every_causal_type_every_kind_of_positions_and_every_tying_is_made_by_hand():
    every = [*decoders_by_hand(), *encoder_decoders_by_hand()]
    assert set(CAUSAL) == {kind.name for kind in ATTENTION_TYPES.values() if kind.causal}
    assert {cross["attention"] for cross in CROSS} == {kind.name for kind in ATTENTION_TYPES.values() if kind.cross}
    for family in ("decoder", "encoder-decoder"):
        stacks = [architecture.decoder for architecture in every if architecture.family == family]
        assert {layer.attention for one in stacks for layer in one.layers} == set(CAUSAL)
        assert {one.positions for one in stacks} == {"sinusoidal", "learned", "rotary"}
    assert {architecture.tied_embeddings for architecture in every} == {"none", "output", "all"}


@by_hand
def test_a_later_token_changes_no_earlier_logit(architecture):
    check_that_the_past_is_not_changed(architecture)


@by_hand
def test_decoding_with_a_cache_equals_the_whole_sequence(architecture):
    check_that_a_cache_changes_nothing(architecture)


@by_chance
def test_a_later_token_changes_no_earlier_logit_of_any_bundled_architecture(space, group):
    for architecture in drawn(space, group):
        check_that_the_past_is_not_changed(architecture)


@by_chance
def test_decoding_with_a_cache_equals_the_whole_sequence_for_any_bundled_architecture(space, group):
    for architecture in drawn(space, group):
        check_that_a_cache_changes_nothing(architecture)


@torch.no_grad()
@pytest.mark.parametrize("architecture", [*encoder_decoders_by_hand()], ids=name_of)
def test_padding_of_the_source_changes_no_logit_and_every_real_token_changes_some(architecture):
    model = randomised(architecture)
    (source, mask), written = source_of(model), tokens_of(3, 9, VOCABULARY, seed=8)
    expected = model(source, written, mask)
    torch.testing.assert_close(model(torch.where(mask, source, 1), written, mask), expected, **CLOSE)
    for row, length in enumerate(SOURCES):
        alone = model(source[row : row + 1, :length], written[row : row + 1])
        torch.testing.assert_close(expected[row : row + 1], alone, **CLOSE)
        for place in range(length):
            changed = source.clone()
            changed[row, place] = (changed[row, place] + 1) % VOCABULARY
            assert (model(changed, written, mask)[row] - expected[row]).abs().max() > 1e-4
