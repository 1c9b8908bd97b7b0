"""Spaces of every family: exact sizes, uniform samples, both ways of writing an architecture down, neighbours, ids."""

import json
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from small_spaces import DECODER, ENCODER, ENCODER_DECODER, SMALL_SPACES, small_space

from nas.architecture import Architecture
from nas.documents import parse_document, to_yaml
from nas.errors import InvalidInput
from nas.space import SearchSpace
from search_spaces import bundled

SPACES = {name: SearchSpace.bundled(name) for name in bundled()} | {n: small_space(n) for n in SMALL_SPACES}
SMALL = [name for name, space in SPACES.items() if space.size < 10_000]


def test_the_bundled_spaces_are_these():
    assert set(bundled()) == {
        "text-encoder",
        "tiny-encoder",
        "causal-decoder",
        "seq2seq",
        "hat-wmt",
        "lite-seq2seq",
        "smoke",
    }


@pytest.mark.parametrize("name", SMALL)
def test_the_size_is_the_number_of_different_architectures(name):
    space = SPACES[name]
    assert len({a.id for a in space.enumerate()}) == space.size


def test_the_size_of_the_space_of_hat_is_its_product():
    layer = 3 * 2  # feed-forward sizes, head counts
    encoder = 2 * layer**6
    decoder = 2 * sum((layer * 2 * 3) ** depth for depth in range(1, 7))  # cross heads, layers read
    assert SPACES["hat-wmt"].size == encoder * decoder


def test_the_size_of_a_space_beyond_1e30_is_exact():
    document = SPACES["causal-decoder"].to_document()
    document["decoder"]["depth"] = list(range(1, 25))
    space = SearchSpace.from_document(document)
    # 3 softmax, 4 grouped-query, 2 local, 2 long-short, 1 convolution; 4 ratios; 5 widths, 2 activations, 2 repeats
    assert space.size == 5 * 2 * 2 * sum((12 * 4) ** depth for depth in range(1, 25))
    assert space.size > 10**30
    a = space.sample(random.Random(0))
    assert a in space
    assert space.walk(space.follow(a)) == a


def test_a_space_of_more_architectures_than_can_be_written_down_is_refused():
    document = changed(ENCODER_DECODER, "decoder.depth", [256])
    document["encoder"]["depth"] = [256]
    for stack in ("encoder", "decoder"):
        document[stack]["layer"]["attention"] = {"softmax": {"heads": [1], "head_size": list(range(2, 3000))}}
        document[stack]["layer"]["feed_forward_ratio"] = list(range(1, 1500))
    document["decoder"]["layer"]["cross"] = {
        "attention": {"softmax": {"heads": [1], "head_size": list(range(2, 3000))}}
    }
    with pytest.raises(InvalidInput, match=r"at most 10\^4000"):
        SearchSpace.from_document(document)


def test_reads_of_more_layers_than_the_encoder_has_are_never_offered():
    for a in SPACES["small-encoder-decoder"].enumerate():
        assert max(layer.cross.reads for layer in a.decoder.layers) <= a.encoder.depth


def test_what_is_uniform_is_the_same_in_all_layers():
    for a in SPACES["small-encoder"].enumerate():
        assert len({(layer.attention, layer.heads) for layer in a.encoder.layers}) == 1
    for a in SPACES["small-decoder"].enumerate():
        assert len({layer.feed_forward_size for layer in a.decoder.layers}) == 1
    assert any(len({x.attention for x in a.decoder.layers}) > 1 for a in SPACES["small-decoder"].enumerate())


def test_a_type_without_rotary_positions_is_offered_with_others_alone():
    seen = {(a.encoder.positions, a.encoder.layers[0].attention) for a in SPACES["small-encoder"].enumerate()}
    assert ("learned", "low-rank") in seen
    assert ("rotary", "local") in seen
    assert ("rotary", "low-rank") not in seen


def test_a_window_as_long_as_the_input_of_a_task_is_not_offered_for_it():
    space = SPACES["text-encoder"]
    shorter = space.for_task(space.task_shape.__class__(259, 35, 8))
    kinds = {layer.attention for _ in range(60) for layer in shorter.sample(random.Random(_)).encoder.layers}
    assert "low-rank" in kinds
    assert "local" not in kinds


@pytest.mark.parametrize("name", SMALL)
def test_samples_are_uniform(name):
    space = SPACES[name]
    rng, size = random.Random(4), space.size
    drawn = 12 * size
    if size < 1000:
        one_by_one = Counter(space.sample(rng).id for _ in range(drawn))
        counts = [one_by_one.get(a.id, 0) for a in space.enumerate()]
        assert chisquare(counts).pvalue > 1e-3
    encoded = space.sample_encoded(drawn, np.random.default_rng(4))
    rows = np.column_stack([encoded.frames, *encoded.layers.values()])
    different, counts = np.unique(rows, axis=0, return_counts=True)
    counts = np.concatenate([counts, np.zeros(size - len(different), dtype=counts.dtype)])
    assert chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("name", sorted(SPACES))
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_an_architecture_survives_every_form(name, seed):
    space = SPACES[name]
    a = space.sample(random.Random(seed))
    assert a in space
    assert space.walk(space.follow(a)) == a
    assert space.decode(space.encode([a])) == [a]
    for form in (a.to_dict(), parse_document(to_yaml(a.to_dict())), json.loads(a.canonical_json)):
        assert Architecture.from_dict(form) == a
        assert Architecture.from_dict(form).id == a.id


@pytest.mark.parametrize("name", sorted(SPACES))
def test_what_is_sampled_as_arrays_is_in_the_space(name):
    space = SPACES[name]
    encoded = space.sample_encoded(40, np.random.default_rng(1))
    architectures = space.decode(encoded)
    assert all(a in space for a in architectures)
    again = space.encode(architectures)
    assert np.array_equal(again.frames, encoded.frames)
    assert all(np.array_equal(again.layers[key], encoded.layers[key]) for key in encoded.layers)


def test_arrays_that_are_no_choices_of_the_space_are_refused():
    space = SPACES["small-decoder"]
    encoded = space.sample_encoded(3, np.random.default_rng(1))
    key = next(iter(encoded.layers))
    encoded.layers[key][1] = 99
    with pytest.raises(InvalidInput, match=r"encoded\[1\]"):
        space.decode(encoded)


@pytest.mark.parametrize("name", sorted(SPACES))
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_neighbours_are_other_architectures_of_the_space_and_know_each_other(name, seed):
    space = SPACES[name]
    a = space.sample(random.Random(seed))
    neighbours = space.neighbours(a)
    assert neighbours
    assert len({n.id for n in neighbours}) == len(neighbours)
    depth = sum(len(stack.layers) for _, stack in a.stacks)
    for n in random.Random(seed).sample(neighbours, min(4, len(neighbours))):
        assert n != a
        assert n in space
        if sum(len(stack.layers) for _, stack in n.stacks) >= depth:  # a dropped layer can't come back by repeating
            assert a in space.neighbours(n)


@pytest.mark.parametrize("name", SMALL)
def test_every_architecture_of_a_small_space_is_reached_from_neighbour_to_neighbour(name):
    space = SPACES[name]
    if space.size > 1000:
        pytest.skip("a search of all of it takes too long")
    first = next(iter(space.enumerate()))
    reached, front = {first.id}, [first]
    while front:
        front = [n for a in front for n in space.neighbours(a) if n.id not in reached and not reached.add(n.id)]
    assert len(reached) == space.size


def changed(document, path, value):
    """A copy of a document with one field set, or removed where the value is None."""
    copy = json.loads(json.dumps(document))
    inner = copy
    *parents, last = path.split(".")
    for key in parents:
        inner = inner[key]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return copy


@pytest.mark.parametrize(
    ("document", "path", "value", "field"),
    [
        pytest.param(ENCODER, "encoder.norms", ["rms"], "encoder.norms", id="unknown key"),
        pytest.param(ENCODER, "encoder.layer.attention.softmax.width", [3], "encoder.layer.attention.softmax",
                     id="unknown choice of a type"),
        pytest.param(ENCODER, "encoder.hidden_size", [0], "encoder.hidden_size[0]", id="zero size"),
        pytest.param(ENCODER, "encoder.repeats", [0], "encoder.repeats[0]", id="zero repeats"),
        pytest.param(ENCODER, "encoder.norm", ["rms", "rms"], "encoder.norm", id="one value twice"),
        pytest.param(ENCODER, "encoder.norm", ["batch"], "encoder.norm[0]", id="unknown norm"),
        pytest.param(ENCODER, "encoder.layer.activation", ["swish"], "encoder.layer.activation[0]",
                     id="unknown activation"),
        pytest.param(ENCODER, "encoder.activation", ["relu"], "encoder.activation", id="activation in both places"),
        pytest.param(ENCODER, "encoder.layer.activation", None, "encoder.activation", id="activation in neither"),
        pytest.param(ENCODER, "encoder.layer.feed_forward_size", [8], "encoder.layer.feed_forward_ratio",
                     id="feed-forward ratio and size"),
        pytest.param(ENCODER, "encoder.layer.feed_forward_ratio", None, "encoder.layer.feed_forward_ratio",
                     id="neither feed-forward ratio nor size"),
        pytest.param(ENCODER, "encoder.uniform", ["cross"], "encoder.uniform", id="uniform cross without cross"),
        pytest.param(ENCODER, "encoder.uniform", ["depth"], "encoder.uniform[0]", id="uniform of what is no part"),
        pytest.param(ENCODER, "encoder.layer.attention", {"local": {"heads": [2], "window": [12]}},
                     "encoder.layer.attention.local.window[0]", id="window as long as the input"),
        pytest.param(ENCODER, "encoder.layer.attention", {"local": {"heads": [2], "window": [3, 40]}},
                     "encoder.layer.attention.local.window[1]", id="window longer than the input"),
        pytest.param(ENCODER, "encoder.layer.attention", {"long-short": {"heads": [2], "kernel_size": [4]}},
                     "encoder.layer.attention.long-short.kernel_size", id="even kernel"),
        pytest.param(ENCODER, "encoder.layer.attention",
                     {"softmax": {"heads": [2], "head_size": [4], "attention_size": [8]}},
                     "encoder.layer.attention.softmax", id="head size and attention size"),
        pytest.param(ENCODER, "encoder.layer.attention", {"softmax": {"heads": [5, 7]}}, "encoder.layer.attention",
                     id="heads that divide no hidden size"),
        pytest.param(changed(ENCODER, "encoder.positions", ["rotary"]), "encoder.layer.attention",
                     {"linear": {"heads": [2]}}, "encoder.layer.attention", id="rotary with types that take none"),
        pytest.param(changed(ENCODER, "encoder.positions", ["rotary"]), "encoder.layer.attention",
                     {"softmax": {"heads": [8, 12]}}, "encoder.layer.attention", id="rotary with odd heads alone"),
        pytest.param(ENCODER, "encoder.layer.cross", {"attention": {"softmax": {"heads": [2]}}},
                     "encoder.layer.cross", id="cross-attention in an encoder"),
        pytest.param(ENCODER, "tied_embeddings", ["output"], "tied_embeddings", id="an encoder has nothing to tie"),
        pytest.param(ENCODER, "task_shape.max_output_length", 5, "task_shape.max_output_length",
                     id="an encoder writes nothing"),
        pytest.param(ENCODER, "family", "decoder", "encoder", id="an encoder called a decoder"),
        pytest.param(DECODER, "decoder", None, "decoder", id="a decoder without one"),
        pytest.param(DECODER, "decoder.layer.attention", {"low-rank": {"heads": [2], "rank": [3]}},
                     "decoder.layer.attention.low-rank", id="a type that hides nothing in a decoder"),
        pytest.param(DECODER, "task_shape.outputs", 17, "task_shape.outputs", id="two vocabularies in a decoder"),
        pytest.param(DECODER, "tied_embeddings", ["all"], "tied_embeddings", id="one stack has not two tables"),
        pytest.param(DECODER, "decoder.embedding_size", [64], "decoder.embedding_size", id="no embedding small enough"),
        pytest.param(ENCODER_DECODER, "decoder.layer.cross", None, "decoder.layer.cross", id="no cross-attention"),
        pytest.param(ENCODER_DECODER, "decoder.layer.cross.reads", [4], "decoder.layer.cross.reads[0]",
                     id="more layers read than three"),
        pytest.param(ENCODER_DECODER, "decoder.layer.cross.attention", {"local": {"heads": [1], "window": [2]}},
                     "decoder.layer.cross.attention.local", id="a type without cross-attention"),
        pytest.param(ENCODER_DECODER, "task_shape.max_output_length", None, "task_shape.max_output_length",
                     id="no longest output"),
        pytest.param(changed(ENCODER_DECODER, "encoder.hidden_size", [12]), "tied_embeddings", ["all"],
                     "tied_embeddings", id="tables of two sizes tied"),
        pytest.param(changed(ENCODER_DECODER, "encoder.depth", [1]), "decoder.layer.cross.reads", [2],
                     "decoder.layer.cross", id="more layers read than there are"),
    ],
)  # fmt: skip
def test_a_wrong_space_is_refused_with_the_path_of_the_field_and_what_is_allowed(document, path, value, field):
    with pytest.raises(InvalidInput) as caught:
        SearchSpace.from_document(changed(document, path, value))
    assert f"search_space.{field}" in [p.field for p in caught.value.problems], caught.value.problems
    assert all(p.allowed and p.next_step for p in caught.value.problems)


LAYER = {"attention": "softmax", "heads": 2, "feed_forward_size": 8}
STACK = {"hidden_size": 8, "positions": "learned", "norm_position": "pre", "activation": "gelu", "layers": [LAYER]}
CROSS = {"attention": "softmax", "heads": 2}
AN_ENCODER = {
    "family": "encoder", "vocabulary_size": 9, "max_length": 6, "encoder": STACK,
    "head": {"type": "classification", "outputs": 2},
}  # fmt: skip
A_DECODER = {
    "family": "decoder", "vocabulary_size": 9, "max_length": 6, "decoder": STACK,
    "head": {"type": "language-model", "outputs": 9},
}  # fmt: skip
BOTH = {
    **A_DECODER, "family": "encoder-decoder", "max_output_length": 5, "encoder": STACK,
    "decoder": {**STACK, "layers": [{**LAYER, "cross": CROSS}]},
}  # fmt: skip


def with_layer(architecture, stack, **fields):
    layers = [{**architecture[stack]["layers"][0], **fields}]
    return {**architecture, stack: {**architecture[stack], "layers": layers}}


def with_stack(architecture, stack, **fields):
    return {**architecture, stack: {**architecture[stack], **fields}}


@pytest.mark.parametrize("architecture", [AN_ENCODER, A_DECODER, BOTH])
def test_the_examples_below_are_right_before_they_are_broken(architecture):
    assert Architecture.from_dict(architecture).to_dict()["family"] == architecture["family"]


@pytest.mark.parametrize(
    ("architecture", "field"),
    [
        (with_layer(AN_ENCODER, "encoder", head_size=4), "encoder.layers[0].head_size"),
        (with_layer(AN_ENCODER, "encoder", window=3), "encoder.layers[0].window"),
        (with_layer(AN_ENCODER, "encoder", attention="local", window=6), "encoder.layers[0].window"),
        (with_layer(AN_ENCODER, "encoder", attention="long-short", kernel_size=2), "encoder.layers[0].kernel_size"),
        (with_layer(AN_ENCODER, "encoder", attention="long-short", heads=8, kernel_size=3), "encoder.layers[0].heads"),
        (with_layer(AN_ENCODER, "encoder", activation="gelu"), "encoder.layers[0].activation"),
        (with_layer(AN_ENCODER, "encoder", cross=CROSS), "encoder.layers"),
        (with_stack(AN_ENCODER, "encoder", embedding_size=8), "encoder.embedding_size"),
        (with_stack(AN_ENCODER, "encoder", repeats=0), "encoder.repeats"),
        (with_stack(with_layer(AN_ENCODER, "encoder", attention="linear"), "encoder", positions="rotary"),
         "encoder.layers[0].attention"),
        (with_stack(with_layer(AN_ENCODER, "encoder", heads=8), "encoder", positions="rotary"),
         "encoder.layers[0].heads"),
        ({**AN_ENCODER, "tied_embeddings": "output"}, "tied_embeddings"),
        ({**AN_ENCODER, "head": {"type": "language-model", "outputs": 9}}, "head.type"),
        ({**AN_ENCODER, "head": {"type": "classification", "outputs": 1}}, "head.outputs"),
        ({**AN_ENCODER, "head": {"type": "token-classification", "outputs": 2, "pooling": "first"}}, "head.pooling"),
        ({**AN_ENCODER, "decoder": STACK}, "decoder"),
        ({**AN_ENCODER, "max_output_length": 3}, "max_output_length"),
        (with_layer(A_DECODER, "decoder", attention="low-rank", rank=2), "decoder.layers[0].attention"),
        (with_layer(A_DECODER, "decoder", cross=CROSS), "decoder.layers"),
        ({**A_DECODER, "head": {"type": "language-model", "outputs": 8}}, "head.outputs"),
        ({**A_DECODER, "tied_embeddings": "all"}, "tied_embeddings"),
        ({**BOTH, "max_output_length": None}, "max_output_length"),
        (with_layer(BOTH, "decoder", cross={**CROSS, "reads": 2}), "decoder.layers[0].cross.reads"),
        (with_layer(BOTH, "decoder", cross={**CROSS, "attention": "local", "window": 2}), "decoder.layers[0].cross"),
        (with_layer(BOTH, "decoder", cross=None), "decoder.layers"),
        ({**with_stack(BOTH, "encoder", embedding_size=4), "tied_embeddings": "all"}, "tied_embeddings"),
    ],
)  # fmt: skip
def test_a_wrong_architecture_is_refused_with_the_path_of_the_field(architecture, field):
    with pytest.raises(InvalidInput) as caught:
        Architecture.from_dict(architecture)
    fields = [p.field for p in caught.value.problems]
    assert any(f.startswith(f"architecture.{field}") for f in fields), fields
    assert all(p.allowed and p.next_step for p in caught.value.problems)


def test_ids_of_the_first_release_stay():
    a = Architecture.from_dict(
        {
            "family": "encoder", "vocabulary_size": 259, "max_length": 64,
            "encoder": {"hidden_size": 16, "positions": "sinusoidal", "norm_position": "pre", "activation": "relu",
                        "layers": [{"attention": "softmax", "heads": 2, "feed_forward_size": 16}]},
            "head": {"type": "classification", "outputs": 35},
        }
    )  # fmt: skip
    assert a.id == "a-a67095b99e614fd40d4d"


def test_the_size_of_a_small_space_is_its_product():
    # widths 8 (embedding 6) and 12 (6, or 12: its own); norms 2, norm positions 2, repeats 2; attention once, learned 3
    # or rotary 2 (heads of 4 and 6 are even); two activations a layer
    frames = (1 + 2) * 2 * 2 * 2
    assert SPACES["small-encoder"].size == frames * (3 + 2) * (2 + 2**2)
