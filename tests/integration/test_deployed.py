"""Models computed by their programs are scored, and write, as the models that they were exported from."""

import copy
import random

import pytest
import torch

from nas.export.deployed import deployed
from nas.export.programs import write_programs
from nas.export.weights import weights_to_bytes
from nas.models.build import build_model
from nas.models.generation import generate
from nas.quality.datasets import load
from nas.quality.datasets.described import vocabulary_from
from nas.quality.sample import sample_of
from nas.quality.tasks import TASKS
from nas.space import SearchSpace
from nas.workload import Workload
from tests.unit.small_spaces import SMALL_SPACES, workload_of

DATA = {
    "small-encoder": "language-identification",
    "small-decoder": "python-docs",
    "small-encoder-decoder": "cmudict",
}
SUFFIX = {"onnxruntime": ".onnx", "executorch": ".pte"}


def of_data(name, info, seed=0):
    """An architecture of a small space for a dataset, and the workload."""
    document = copy.deepcopy(SMALL_SPACES[name])
    document["task_shape"] |= {"vocabulary_size": info.vocabulary_size, "outputs": info.outputs}
    space = SearchSpace.from_document(document)
    return space.sample(random.Random(seed)), workload_of(space)


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize(
    "runtime_name", ["onnxruntime", pytest.param("executorch", marks=pytest.mark.long)]
)  # seconds a layer
def test_the_tasks_score_programs_as_they_score_the_model(name, runtime_name, tmp_path):
    dataset = load(DATA[name])
    architecture, workload = of_data(name, dataset.info)
    model = build_model(architecture, seed=7).eval()
    written = write_programs(
        architecture,
        weights_to_bytes(model.state_dict()),
        tmp_path / f"m{SUFFIX[runtime_name]}",
        workload,
        runtime_name=runtime_name,
    )
    by_programs = deployed(architecture, workload, written, runtime_name)
    sample = sample_of(dataset.split("validation"), 10, workload, vocabulary_from(dataset.info.vocabulary))
    task = TASKS[dataset.info.task]
    with torch.no_grad():
        expected = task.evaluate(model, dataset.info, sample, workload)
        found = task.evaluate(by_programs, dataset.info, sample, workload)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["small-decoder", "small-encoder-decoder"])
@pytest.mark.parametrize("batch", [1, 2])
def test_generation_writes_the_same_in_greedy_and_beam_search(name, batch, tmp_path):
    dataset = load(DATA[name])
    architecture, workload = of_data(name, dataset.info, seed=3)
    workload = Workload(batch=batch, input_length=workload.input_length, output_length=workload.output_length)
    model = build_model(architecture, seed=7).eval()
    written = write_programs(architecture, weights_to_bytes(model.state_dict()), tmp_path / "m.onnx", workload)
    by_programs = deployed(architecture, workload, written, "onnxruntime")
    tokens = torch.tensor([[5, 6, 7, 8], [9, 10, 0, 0], [11, 0, 0, 0]])
    mask = tokens > 0
    for beams in (1, 3):
        with torch.no_grad():
            expected = generate(model, tokens, mask, max_new_tokens=workload.output_length, beams=beams)
            found = generate(by_programs, tokens, mask, max_new_tokens=workload.output_length, beams=beams)
        assert found.tokens.tolist() == expected.tokens.tolist()
        assert torch.allclose(found.scores, expected.scores, atol=1e-4)


def test_the_beginning_of_a_text_has_the_bytes_that_its_tokens_stand_for():
    dataset = load("python-docs")
    split, vocabulary = dataset.split("validation"), vocabulary_from(dataset.info.vocabulary)
    token = Workload(input_length=1, output_length=0)
    most = len(split.inputs.tokens)
    assert sample_of(split, most, token, vocabulary) is split
    assert split.text_bytes - 4 <= sample_of(split, most - 1, token, vocabulary).text_bytes <= split.text_bytes
    part = sample_of(split, 100, Workload(input_length=8, output_length=4), vocabulary)
    assert part.inputs.tokens.tolist() == split.inputs.tokens[:1200].tolist()


def test_a_sample_is_of_examples_with_their_answers():
    dataset = load("cmudict")
    split, workload = dataset.split("validation"), Workload(input_length=8, output_length=4)
    vocabulary = vocabulary_from(dataset.info.vocabulary)
    sample = sample_of(split, 50, workload, vocabulary)
    assert len(sample) == 50
    pairs = {(tuple(split.inputs[i]), tuple(split.targets[i])) for i in range(len(split))}
    assert all((tuple(sample.inputs[i]), tuple(sample.targets[i])) in pairs for i in range(50))
    again = sample_of(split, 50, workload, vocabulary)
    assert again.inputs.tokens.tolist() == sample.inputs.tokens.tolist()
    assert sample_of(split, len(split), workload, vocabulary) is split
