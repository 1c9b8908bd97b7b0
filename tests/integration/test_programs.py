"""Programs: models exported for runtimes read texts of any length, and write what torch writes."""

import copy
import random
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from nas.errors import PocketformerError
from nas.export import programs
from nas.export.programs import file_of, running, write_programs
from nas.export.weights import weights_to_bytes
from nas.latency.runtimes import runtime
from nas.models.build import build_model
from nas.models.generation import generate
from nas.space import SearchSpace
from nas.workload import Workload
from tests.unit.small_spaces import SMALL_SPACES, small_space, workload_of

PAGE = Path(__file__).parents[2] / "docs/deploying.md"
RUNTIMES = [("onnxruntime", ".onnx"), ("executorch", ".pte")]
WITH_PATIENCE = [RUNTIMES[0], pytest.param(*RUNTIMES[1], marks=pytest.mark.long)]
"""ExecuTorch takes seconds to export a layer: one model that writes is enough where time is short."""


def subject(name, seed=0):
    """An architecture, its workload, and weights of which nothing is a default."""
    space = small_space(name)
    architecture = space.sample(random.Random(seed))
    model = build_model(architecture, seed=7).eval()
    return architecture, workload_of(space), model, weights_to_bytes(model.state_dict())


def loaded(written, runtime_name):
    return {p.phase: running(p.path, runtime(runtime_name), tuple(p.inputs), p.outputs) for p in written}


def read(tokens, workload):
    """A text padded to the workload's length, with tokens that nobody may see."""
    padded = np.full((1, workload.input_length), 3, dtype=np.int64)
    padded[0, : len(tokens)] = tokens
    return {"tokens": padded, "lengths": np.array([len(tokens)])}


def written_by_steps(step, found, position, more, count):
    tokens = []
    while True:
        tokens.append(int(found["logits"].argmax()))
        if len(tokens) == count:
            return tokens
        caches = {name.removeprefix("next_"): array for name, array in found.items() if "cache" in name}
        place = np.array([position + len(tokens) - 1])
        found = step({"tokens": np.array(tokens[-1:]), "positions": place, **caches, **more})


@pytest.mark.parametrize(("runtime_name", "suffix"), WITH_PATIENCE)
@pytest.mark.parametrize("seed", [0, 1])
def test_an_encoder_answers_texts_of_every_length_as_torch_does(seed, runtime_name, suffix, tmp_path):
    architecture, workload, model, weights = subject("small-encoder", seed)
    written = write_programs(architecture, weights, tmp_path / f"m{suffix}", workload, runtime_name=runtime_name)
    assert [program.path.name for program in written] == [f"m{suffix}"]
    program = loaded(written, runtime_name)["prefill"]
    for length in range(1, workload.input_length + 1):
        tokens = [(5 * place + length) % architecture.vocabulary_size for place in range(length)]
        with torch.no_grad():
            expected = model(torch.tensor([tokens]))
        assert torch.allclose(torch.from_numpy(program(read(tokens, workload))["logits"]), expected, atol=1e-5)


@pytest.mark.parametrize(("runtime_name", "suffix"), RUNTIMES)
def test_a_decoder_goes_on_as_torch_does(runtime_name, suffix, tmp_path):
    architecture, workload, model, weights = subject("small-decoder", seed=3)
    written = write_programs(architecture, weights, tmp_path / f"lm{suffix}", workload, runtime_name=runtime_name)
    assert [program.path.name for program in written] == [f"lm.prefill{suffix}", f"lm.step{suffix}"]
    phases = loaded(written, runtime_name)
    for length in (1, workload.input_length - 1, workload.input_length):
        prompt = [(3 * place + 1) % architecture.vocabulary_size for place in range(length)]
        expected = generate(model, torch.tensor([prompt]), max_new_tokens=workload.output_length).tokens[0].tolist()
        found = phases["prefill"](read(prompt, workload))
        assert written_by_steps(phases["step"], found, length, {}, workload.output_length) == expected


@pytest.mark.parametrize(("runtime_name", "suffix"), RUNTIMES)
def test_a_window_that_is_longer_than_the_text_has_nothing_in_its_other_slots(runtime_name, suffix, tmp_path):
    """ExecuTorch has another remainder of what is below zero."""
    document = copy.deepcopy(SMALL_SPACES["small-decoder"])
    document["decoder"] |= {"depth": [1], "bias": [True]}
    document["decoder"]["layer"]["attention"] = {"local": {"heads": [1], "window": [4]}}
    space = SearchSpace.from_document(document)
    architecture, workload = space.sample(random.Random(0)), workload_of(space)
    path = tmp_path / f"m{suffix}"
    write_programs(architecture, None, path, workload, runtime_name=runtime_name, precision="int8-dynamic")
    written = write_programs(architecture, None, path, workload, runtime_name=runtime_name)
    found = loaded(written, runtime_name)["prefill"](read([1, 2], workload))
    keys = found["cache_0_0"][0, 0]
    assert keys.shape[0] == 4
    assert np.abs(keys[:2]).min(axis=1).all()
    assert not keys[2:].any()


@pytest.mark.parametrize(("runtime_name", "suffix"), WITH_PATIENCE)
@pytest.mark.parametrize("name", ["small-encoder-decoder", "small-post-norm"])
def test_an_encoder_decoder_writes_what_torch_writes(name, runtime_name, suffix, tmp_path):
    architecture, workload, model, weights = subject(name, seed=3)
    written = write_programs(architecture, weights, tmp_path / f"s{suffix}", workload, runtime_name=runtime_name)
    assert [program.path.name for program in written] == [f"s.encode{suffix}", f"s.step{suffix}"]
    phases = loaded(written, runtime_name)
    shapes = {name: shape for name, (_, shape) in written[1].inputs.items() if name.startswith("cache")}
    nothing = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    for length in (1, workload.input_length - 1, workload.input_length):
        source = [(3 * place + 1) % architecture.vocabulary_size for place in range(length)]
        expected = generate(model, torch.tensor([source]), max_new_tokens=workload.output_length).tokens[0].tolist()
        more = {**phases["prefill"](read(source, workload)), "lengths": np.array([length])}
        start = {"tokens": np.array([0]), "positions": np.array([0]), **nothing, **more}
        assert written_by_steps(phases["step"], phases["step"](start), 1, more, workload.output_length) == expected


@pytest.mark.parametrize(("runtime_name", "suffix"), WITH_PATIENCE)
def test_in_int8_a_model_answers_nearly_the_same_in_fewer_bytes(runtime_name, suffix, tmp_path):
    document = copy.deepcopy(SMALL_SPACES["small-encoder"])
    document["encoder"] |= {"depth": [1], "hidden_size": [128]}
    document["encoder"]["layer"] |= {"attention": {"softmax": {"heads": [2]}}, "feed_forward_ratio": [4]}
    space = SearchSpace.from_document(document)
    size = {
        precision: write_programs(
            space.sample(random.Random(0)), None, tmp_path / f"{precision}{suffix}", workload_of(space),
            runtime_name=runtime_name, precision=precision,
        )[0]
        for precision in ("fp32", "int8-dynamic")
    }  # fmt: skip
    assert size["int8-dynamic"].size_bytes < 0.7 * size["fp32"].size_bytes
    assert size["fp32"].difference < 1e-5 < size["int8-dynamic"].difference < 0.1


def test_onnx_files_name_their_inputs_and_are_valid(tmp_path):
    architecture, workload, _, weights = subject("small-decoder")
    for program in write_programs(architecture, weights, tmp_path / "m.onnx", workload):
        model = onnx.load(program.path)
        onnx.checker.check_model(model, full_check=True)
        assert {value.name for value in model.graph.input} <= set(program.inputs)
        assert tuple(value.name for value in model.graph.output) == program.outputs


def test_a_program_that_computes_something_else_replaces_nothing(tmp_path, monkeypatch):
    architecture, workload, _, weights = subject("small-decoder")
    (tmp_path / "m.prefill.onnx").write_bytes(b"of an earlier export")
    differences = iter((0.0, 0.5))
    monkeypatch.setattr(programs, "_difference", lambda *_: next(differences))
    with pytest.raises(PocketformerError, match=r"m.step.onnx does not compute what torch computes.* 0\.5 .* 0\.001"):
        write_programs(architecture, weights, tmp_path / "m.onnx", workload)
    assert [file.name for file in tmp_path.iterdir()] == ["m.prefill.onnx"]
    assert (tmp_path / "m.prefill.onnx").read_bytes() == b"of an earlier export"


def test_what_is_no_number_is_no_agreement(tmp_path, monkeypatch):
    architecture, workload, _, weights = subject("small-encoder")
    calls = programs.running
    monkeypatch.setattr(
        programs,
        "running",
        lambda *given: lambda inputs: {name: array * np.nan for name, array in calls(*given)(inputs).items()},
    )
    with pytest.raises(PocketformerError, match="differ by nan"):
        write_programs(architecture, weights, tmp_path / "m.onnx", workload)


def test_texts_that_are_padded_with_anything_are_read_alike(tmp_path):
    architecture, workload, _, weights = subject("small-encoder")
    program = loaded(write_programs(architecture, weights, tmp_path / "m.onnx", workload), "onnxruntime")["prefill"]
    inputs = read([1, 2], workload)
    other = {**inputs, "tokens": np.where(np.arange(workload.input_length) < 2, inputs["tokens"], 9)}
    assert (program(inputs)["logits"] == program(other)["logits"]).all()


def test_the_example_of_the_page_writes_what_torch_writes(tmp_path):
    names = {}
    exec(compile(re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)[0], PAGE.name, "exec"), names)
    architecture, workload, model, weights = subject("small-decoder", seed=5)
    write_programs(architecture, weights, tmp_path / "knee.onnx", workload)
    sessions = [
        names["opened"](str(file_of(tmp_path / "knee.onnx", "decoder", phase))) for phase in ("prefill", "step")
    ]
    expected = generate(model, torch.tensor([[5, 7]]), max_new_tokens=workload.output_length).tokens[0].tolist()
    assert names["write"]([5, 7], workload.output_length, *sessions) == expected


def test_a_batch_of_texts_of_different_lengths_is_one_call(tmp_path):
    architecture, workload, model, weights = subject("small-encoder")
    batch = Workload(batch=2, input_length=workload.input_length)
    program = loaded(write_programs(architecture, weights, tmp_path / "m.onnx", batch), "onnxruntime")["prefill"]
    rows = [[1, 2, 3], [4]]
    both = [read(row, workload) for row in rows]
    found = program({name: np.concatenate([each[name] for each in both]) for name in ("tokens", "lengths")})["logits"]
    with torch.no_grad():
        expected = torch.cat([model(torch.tensor([row])) for row in rows])
    assert torch.allclose(torch.from_numpy(found), expected, atol=1e-5)


def test_what_an_exporter_cannot_take_is_said_in_its_words(tmp_path, monkeypatch):
    architecture, workload, _, weights = subject("small-encoder")

    def refuse(*_):
        raise RuntimeError("Exporting the operator 'aten::frobnicate' is not supported\nand so on")

    monkeypatch.setattr("nas.latency.runtimes.onnxruntime.OnnxRuntime.export", refuse)
    with pytest.raises(
        PocketformerError, match=r"m.onnx can't be written in fp32: .*'aten::frobnicate' is not supported$"
    ):
        write_programs(architecture, weights, tmp_path / "m.onnx", workload)
    assert not list(tmp_path.iterdir())
