"""Search spaces and architectures: validity, exact size, uniform sampling, reading back, neighbours, ids."""

import random
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from nas.architecture import Architecture, TaskShape
from nas.documents import parse_document, to_yaml
from nas.errors import InvalidInput
from nas.space import SearchSpace
from search_spaces import bundled

SMOKE = SearchSpace.bundled("smoke")
TEXT_ENCODER = SearchSpace.bundled("text-encoder")


def changed(path: str, value):
    document = SMOKE.to_document()
    inner = document
    *parents, last = path.split(".")
    for key in parents:
        inner = inner[key]
    inner[last] = value
    return document


@pytest.mark.parametrize("name", sorted(bundled()))
def test_every_bundled_space_is_read_and_written_back_equal(name):
    space = SearchSpace.bundled(name)
    assert SearchSpace.from_document(space.to_document()).to_document() == space.to_document()
    assert space.name == name


def test_the_size_of_a_space_is_the_number_of_its_architectures():
    assert len({a.id for a in SMOKE.enumerate()}) == SMOKE.size == 144


def test_the_size_of_a_large_space_is_the_product_worked_out_by_hand():
    # 3 softmax + 5 grouped-query (heads 2: kv 1; 4: 1, 2; 8: 1, 2) + 3 linear, and one each of local, long-short,
    # gated-convolution and low-rank, times 3 ratios, at all 5 widths
    assert TEXT_ENCODER.size == 5 * 2 * 2 * 2 * sum(45**n for n in range(1, 7))


def test_head_counts_that_do_not_divide_a_hidden_size_are_not_offered_there():
    document = changed("encoder.hidden_size", [16, 20])
    document["encoder"]["layer"]["attention"] = {"softmax": {"heads": [2, 8]}}
    space = SearchSpace.from_document(document)
    offered = {}
    for a in space.enumerate():
        offered.setdefault(a.encoder.hidden_size, set()).update(layer.heads for layer in a.encoder.layers)
    assert offered == {16: {2, 8}, 20: {2}}


def test_sampling_is_uniform_over_all_architectures():
    rng = random.Random(5)
    counts = Counter(SMOKE.sample(rng).id for _ in range(144 * 60))
    assert len(counts) == 144
    assert chisquare(list(counts.values())).pvalue > 0.001


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_a_sampled_architecture_is_in_its_space_and_survives_every_form(seed):
    a = TEXT_ENCODER.sample(random.Random(seed))
    assert a in TEXT_ENCODER
    assert TEXT_ENCODER.walk(TEXT_ENCODER.follow(a)) == a
    for form in (a.to_dict(), parse_document(to_yaml(a.to_dict())), parse_document(a.canonical_json)):
        assert Architecture.from_dict(form) == a
        assert Architecture.from_dict(form).id == a.id


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32))
def test_neighbours_are_other_architectures_of_the_space_and_know_each_other(seed):
    a = SMOKE.sample(random.Random(seed))
    neighbours = SMOKE.neighbours(a)
    assert len({n.id for n in neighbours}) == len(neighbours)
    for n in neighbours:
        assert n != a
        assert n in SMOKE
        if len(n.encoder.layers) >= len(a.encoder.layers):  # a dropped layer can't come back by repeating
            assert a in SMOKE.neighbours(n)


def test_an_id_is_stable_across_releases():
    a = next(iter(SMOKE.enumerate()))
    assert a.id == "a-" + __import__("hashlib").sha256(a.canonical_json.encode()).hexdigest()[:20]
    assert a.canonical_json.startswith('{"encoder":{"activation":"relu","hidden_size":16,"layers":[{"attention"')


def test_architectures_of_one_choice_for_two_tasks_have_two_ids():
    other = SMOKE.for_task(TaskShape(vocabulary_size=100, outputs=2, max_length=8))
    a, b = next(iter(SMOKE.enumerate())), next(iter(other.enumerate()))
    assert a.id != b.id
    assert a not in other


def test_an_edited_document_does_not_keep_the_id():
    document = next(iter(SMOKE.enumerate())).to_dict()
    document["encoder"]["layers"][0]["feed_forward_size"] = 17
    with pytest.raises(InvalidInput, match="id"):
        Architecture.from_dict(document)


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("encoder.depth", [], "encoder.depth"),
        ("encoder.depth", [0], "encoder.depth[0]"),
        ("encoder.depth", [1, 1], "encoder.depth"),
        ("encoder.hidden_size", [], "encoder.hidden_size"),
        ("encoder.hidden_size", ["wide"], "encoder.hidden_size[0]"),
        ("encoder.positions", ["absolute"], "encoder.positions[0]"),
        ("encoder.layer.attention", {}, "encoder.layer.attention"),
        ("encoder.layer.attention", {"flash": {"heads": [2]}}, "encoder.layer.attention.flash"),
        ("encoder.layer.attention", {"softmax": {"heads": []}}, "encoder.layer.attention.softmax.heads"),
        ("encoder.layer.attention", {"softmax": {}}, "encoder.layer.attention.softmax"),
        ("encoder.layer.attention", {"softmax": {"heads": [7]}}, "encoder.layer.attention"),
        (
            "encoder.layer.attention",
            {"grouped-query": {"heads": [4], "key_value_heads": [4]}},
            "encoder.layer.attention",
        ),
        ("encoder.width", [3], "encoder.width"),
        ("family", "diffusion", "family"),
        ("name", "../etc", "name"),
    ],
)
def test_a_wrong_space_is_refused_with_the_path_of_the_field(path, value, field):
    with pytest.raises(InvalidInput) as caught:
        SearchSpace.from_document(changed(path, value))
    assert f"search_space.{field}" in [p.field for p in caught.value.problems]
    assert all(p.allowed and p.next_step for p in caught.value.problems)


def test_a_space_of_too_many_different_layers_is_refused_before_they_are_listed():
    document = changed("encoder.layer.feed_forward_ratio", list(range(1, 20_001)))
    document["encoder"]["layer"]["attention"]["softmax"]["heads"] = list(range(1, 20_001))
    started = time.perf_counter()
    with pytest.raises(InvalidInput, match="different layers"):
        SearchSpace.from_document(document)
    assert time.perf_counter() - started < 2


def test_every_wrong_field_is_named_not_only_the_first():
    document = changed("encoder.depth", [])
    document["encoder"]["activation"] = ["swish"]
    with pytest.raises(InvalidInput) as caught:
        SearchSpace.from_document(document)
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("layer", "field"),
    [
        ({"attention": "softmax", "heads": 3, "feed_forward_size": 8}, "encoder.layers[0].heads"),
        ({"attention": "softmax", "feed_forward_size": 8}, "encoder.layers[0].heads"),
        (
            {"attention": "softmax", "heads": 2, "key_value_heads": 1, "feed_forward_size": 8},
            "encoder.layers[0].key_value_heads",
        ),
        (
            {"attention": "grouped-query", "heads": 4, "key_value_heads": 3, "feed_forward_size": 8},
            "encoder.layers[0].key_value_heads",
        ),
        ({"attention": "sparse", "heads": 2, "feed_forward_size": 8}, "encoder.layers[0].attention"),
        ({"attention": "linear", "heads": 2, "feed_forward_size": 0}, "encoder.layers[0].feed_forward_size"),
    ],
)  # fmt: skip
def test_a_wrong_layer_is_refused_with_the_path_of_the_field(layer, field):
    document = next(iter(SMOKE.enumerate())).to_dict()
    del document["id"]
    document["encoder"]["layers"] = [layer]
    with pytest.raises(InvalidInput) as caught:
        Architecture.from_dict(document)
    assert f"architecture.{field}" in [p.field for p in caught.value.problems]
