"""docs/extending.md: its attention type, added by one file and one line, does all that the built-in ones do."""

import importlib.util
import inspect
import random
import re
import sys
from pathlib import Path

import attention_cases
import pytest
import test_attention_contract as contract
import torch
from attention_cases import HIDDEN, Case

from nas.attention_types import ATTENTION_TYPES, AttentionType
from nas.costs import costs_of
from nas.costs.counting import whole_model_macs
from nas.documents import parse_document
from nas.models import build_model, generate
from nas.models.attention.site import Site
from nas.space import SearchSpace
from nas.workload import Workload

PAGE = (Path(__file__).parents[3] / "docs" / "extending.md").read_text()


def block(language, place=0):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)[place]


@pytest.fixture
def average(tmp_path, monkeypatch):
    """The page followed: its file where the page puts it, its line in the registry."""
    line = block("python", 1)
    kind = eval(line, {"AttentionType": AttentionType})
    name = kind.implementation.partition(":")[0]
    assert name.replace(".", "/") + ".py" in PAGE
    path = tmp_path / "average.py"
    path.write_text(block("python", 0))
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(ATTENTION_TYPES, kind.name, kind)
    monkeypatch.setitem(attention_cases.CHOICES, kind.name, [{}])
    return kind


CONTRACT = [
    test
    for name, test in vars(contract).items()
    if name.startswith("test_") and list(inspect.signature(test).parameters) == ["case"]
]


def test_there_is_a_contract():
    assert len(CONTRACT) >= 8


@pytest.mark.parametrize("test", CONTRACT, ids=lambda test: test.__name__)
def test_the_type_of_the_page_keeps_the_contract(average, test):
    sites = [Site(HIDDEN, causal=causal, bias=bias) for causal in (False, True) for bias in (True, False)]
    parametrised = next(mark.args[1] for mark in test.pytestmark if mark.name == "parametrize")
    if all(case.site.memory_size for case in parametrised):
        pytest.skip("the type has no cross-attention")
    kinds = {case.site.causal for case in parametrised}
    for site in sites:
        if site.causal in kinds:
            test(Case(average.name, {}, site))


def test_a_space_of_the_page_is_searched_built_and_counted(average):
    space = SearchSpace.from_document(parse_document(block("yaml")))
    names = set()
    rng = random.Random(0)
    for _ in range(20):
        architecture = space.sample(rng)
        names |= {layer.attention for layer in architecture.decoder.layers}
        workload = Workload(batch=2, input_length=9, output_length=4)
        costs = costs_of(architecture, workload)
        assert costs.macs_prefill == whole_model_macs(architecture, workload)
        assert costs.macs_step == whole_model_macs(architecture, workload, "step")
        model = build_model(architecture, seed=0)
        written = generate(model, torch.randint(0, 259, (2, 9)), max_new_tokens=4)
        assert written.tokens.shape == (2, 4)
    assert names == {"average", "softmax"}


def test_a_space_with_rotary_positions_does_not_offer_the_type(average):
    document = parse_document(block("yaml"))
    document["decoder"]["positions"] = ["rotary"]
    space = SearchSpace.from_document(document)
    assert {layer.attention for a in space.enumerate() for layer in a.decoder.layers} == {"softmax"}
