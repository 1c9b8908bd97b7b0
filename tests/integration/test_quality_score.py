"""The score of trained weights: an independent count, and the same figure anywhere."""

import subprocess
import sys

import pytest
import torch
from torch.nn import functional

from nas.architecture import TaskShape
from nas.errors import InvalidInput
from nas.export.weights import weights_from_bytes, weights_to_bytes
from nas.models import build_model
from nas.quality.datasets import Dataset, load_dataset
from nas.quality.datasets.dataset import Split
from nas.quality.datasets.sequences import Sequences
from nas.quality.plan import TrainingPlan
from nas.quality.score import evaluate
from nas.quality.training import train
from nas.space import SearchSpace
from nas.workload import Workload

LENGTH = 32
WORKLOAD = Workload(input_length=LENGTH)
SPACE = SearchSpace.bundled("smoke").for_task(TaskShape(259, 35, LENGTH))
BY_ATTENTION = {a.encoder.layers[0].attention: a for a in SPACE.enumerate()}


@pytest.fixture(scope="module")
def dataset():
    return load_dataset("language-identification")


@pytest.fixture(scope="module")
def trained(dataset):
    torch.set_num_threads(1)
    plan = TrainingPlan(steps=30, batch_size=16)
    return train(BY_ATTENTION["softmax"], dataset, plan, workload=WORKLOAD, seed=0)


@pytest.mark.parametrize("attention", sorted(BY_ATTENTION))
def test_the_score_is_that_of_asking_one_text_at_a_time_without_padding(dataset, attention):
    whole = dataset.split("validation")
    part = Split(Sequences.of(whole.inputs[i] for i in range(300)), whole.labels[:300])
    model = build_model(BY_ATTENTION[attention], seed=5)
    wrong, loss = 0, 0.0
    with torch.no_grad():
        for i in range(len(part)):
            logits = model(torch.from_numpy(part.inputs[i][:LENGTH].astype("int64"))[None])
            wrong += int(logits.argmax()) != part.labels[i]
            loss += float(functional.cross_entropy(logits, torch.tensor([part.labels[i]])))
    score = evaluate(model, Dataset(dataset.info, {"validation": part}), "validation", WORKLOAD)
    assert score["error_rate"] == wrong / len(part)
    assert score["loss"] == pytest.approx(loss / len(part), abs=1e-5)


def test_training_reports_the_score_of_the_weights_it_returns(dataset, trained):
    model = build_model(BY_ATTENTION["softmax"])
    model.load_state_dict(trained.state)
    assert evaluate(model, dataset, "validation", WORKLOAD) == pytest.approx(trained.metrics, abs=1e-6)


def test_saved_weights_score_the_same_in_a_fresh_process(dataset, trained, tmp_path):
    content = weights_to_bytes(trained.state)
    assert all(torch.equal(t, trained.state[name]) for name, t in weights_from_bytes(content).items())
    (tmp_path / "weights").write_bytes(content)
    code = f"""
import pathlib
from nas.architecture import Architecture
from nas.export.weights import load_weights
from nas.models import build_model
from nas.quality.datasets import load_dataset
from nas.quality.score import evaluate
from nas.workload import Workload
model = build_model(Architecture.from_dict({BY_ATTENTION["softmax"].to_dict()!r}))
load_weights(model, pathlib.Path({str(tmp_path / "weights")!r}).read_bytes())
score = evaluate(model, load_dataset("language-identification"), "validation", Workload(input_length={LENGTH}))
print(repr(score["error_rate"]), repr(score["loss"]))
"""
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    error_rate, loss = map(float, printed.split())
    assert error_rate == pytest.approx(trained.metrics["error_rate"], abs=1e-6)
    assert loss == pytest.approx(trained.metrics["loss"], abs=1e-6)


def test_scoring_leaves_the_model_as_it_was(dataset):
    model = build_model(BY_ATTENTION["linear"], seed=1).train()
    before = weights_to_bytes(model.state_dict())
    evaluate(model, dataset, "test", WORKLOAD)
    assert model.training
    assert weights_to_bytes(model.state_dict()) == before


def test_an_unknown_split_is_refused(dataset):
    with pytest.raises(InvalidInput, match="train, validation, test"):
        evaluate(build_model(BY_ATTENTION["linear"]), dataset, "dev", WORKLOAD)
