"""Graphs on the bench: the real ONNX Runtime in the real probe, a launch or two at a time."""

import ast
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy
import onnx
import onnxruntime
import pytest
import torch

import nas.latency
from nas.architecture import Architecture
from nas.errors import MeasurementFailed
from nas.latency.bench import PROBE, SENTINEL, SENTINEL_EVERY, Bench
from nas.latency.campaign import run_campaign
from nas.latency.device import this_machine
from nas.latency.graphs import Graph, Source, WholePass, module_of
from nas.latency.journal import Journal
from nas.latency.runtimes import NotTaken, device_side, runtime
from nas.latency.transports import transport_at
from nas.models.attention.linear import LinearAttention
from nas.space import Genotype, SearchSpace
from nas.sub_blocks.calls import Call, calls, phases
from nas.sub_blocks.space_calls import calls_of_space
from nas.workload import Workload

sys.path.append(str(Path(__file__).parents[1] / "unit"))
from small_spaces import SMALL_SPACES, small_space, workload_of

SMOKE = SearchSpace.bundled("smoke")
WORKLOAD = Workload(input_length=32)


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    """A cache of our own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def _alike(frame: int, depth: int) -> Architecture:
    """The architecture of so many layers that each take the first option."""
    return SMOKE.architecture(Genotype(frame, dict.fromkeys(SMOKE.parts, (0,) * depth)))


def a_bench(sources: dict[str, Source], directory: Path, **device) -> Bench:
    machine = this_machine().model_copy(update=device)
    transport = transport_at("local", "bench-" + directory.name.replace("_", "-").lower()[-60:])
    return Bench(machine, transport, sources, directory, progress=lambda *_: None)


def _kinds() -> dict[str, Source]:
    """One call of every kind, method and type of attention, and both phases of a model of every family."""
    found: dict[tuple, Source] = {}
    for name in SMALL_SPACES:
        space = small_space(name)
        workload = workload_of(space)
        for call in calls_of_space(space, workload):
            settings = dict(call.sub_block.settings)
            telling = ("attention", "positions", "norm", "norm_position", "activation", "tied", "shared", "rotary")
            found[call.sub_block.kind, call.method, *(settings.get(each) for each in telling)] = call
        # One layer of each, and of an encoder that is read three times
        architecture = max(space.enumerate(), key=lambda a: (sum(len(s.layers) for _, s in a.stacks), a.id))
        for phase in phases(space.family):
            found[name, phase] = WholePass(architecture, workload, phase)
    return {source.key: source for source in found.values()}


def test_onnx_runtime_computes_what_torch_computes_for_every_kind_of_call_and_phases_of_whole_models(tmp_path):
    kinds = _kinds()
    bench = a_bench(kinds, tmp_path)
    assert bench.names == tuple(kinds)
    assert SENTINEL not in bench.names
    assert {source.method for source in kinds.values() if isinstance(source, Call)} == {
        "forward",
        "prefill",
        "step",
        "prepare",
    }
    counted: list[None] = []
    bench.launch(bench.names, lambda: counted.append(None))
    assert len(counted) == len(kinds)
    readings = bench.journal.readings_ns
    assert len(readings) == 1 + -(-len(kinds) // SENTINEL_EVERY)  # before the first launch, then between
    for name, (launch,) in bench.launches.items():
        assert launch.graph == name
        assert launch.difference < 1e-4, name
        assert launch.latency_ns > 0
        assert launch.iterations >= 5
        assert launch.sentinel_ns in readings


SOFTMAX = calls(_alike(0, 1), WORKLOAD, "prefill")[1]


def test_a_wrong_output_is_noticed(tmp_path):
    a_bench({SOFTMAX.key: SOFTMAX}, tmp_path)
    path = tmp_path / Graph.named(SOFTMAX.key, ".onnx").expected
    with numpy.load(path) as file:
        right = file["0"]
    path.unlink()  # not the file that the transport has linked
    numpy.savez(path, **{"0": right + 0.01})
    bench = a_bench({SOFTMAX.key: SOFTMAX}, tmp_path)
    bench.launch(bench.names, lambda: None)
    assert bench.launches[SOFTMAX.key][0].difference > 1e-3


def test_a_graph_that_can_not_be_run_ends_the_campaign_in_the_words_of_the_runtime(tmp_path):
    a_bench({SOFTMAX.key: SOFTMAX}, tmp_path)
    (tmp_path / Graph.named(SOFTMAX.key, ".onnx").model).write_bytes(b"no model")
    bench = a_bench({SOFTMAX.key: SOFTMAX}, tmp_path)
    with pytest.raises(MeasurementFailed, match=r"INVALID_PROTOBUF.*0 launches had been made by then"):
        run_campaign(bench, seed=0, patience_s=0, progress=lambda *_: None)


def test_an_operator_that_a_runtime_does_not_take_is_found_before_anything_is_measured(tmp_path, monkeypatch):
    """And so before any search: no table of the space can be made for the device, and no job goes without one."""
    space = SearchSpace.bundled("text-encoder")
    found = (c for c in calls_of_space(space, WORKLOAD) if dict(c.sub_block.settings).get("attention") == "linear")
    call = next(found)  # the sentinel is of softmax attention
    combine = LinearAttention.combine
    monkeypatch.setattr(LinearAttention, "combine", lambda self, mixed: combine(self, torch.fft.fft(mixed).real))
    with pytest.raises(NotTaken) as error:
        a_bench({call.key: call}, tmp_path)
    assert str(error.value).startswith(f"{call.key}, for onnxruntime, can't be written in fp32: ")
    assert "aten::fft_fft" in str(error.value)


def test_a_device_with_another_version_of_the_runtime_is_noticed(tmp_path):
    bench = a_bench({SOFTMAX.key: SOFTMAX}, tmp_path, runtime_version="0.1")
    with pytest.raises(MeasurementFailed, match=r"the device has 0\.1"):
        bench.launch(bench.names, lambda: None)


def test_the_journal_of_a_bench_goes_on_in_another_process(tmp_path):
    bench = a_bench({SOFTMAX.key: SOFTMAX}, tmp_path)
    bench.journal = Journal(tmp_path / "journal.jsonl")
    for _ in range(2):
        bench.launch(bench.names, lambda: None)
    again = a_bench({SOFTMAX.key: SOFTMAX}, tmp_path)
    again.journal = Journal(tmp_path / "journal.jsonl")
    assert again.launches == bench.launches
    assert len(again.launches[SOFTMAX.key]) == 2


# ONNX Runtime -------------------------------------------------------------------------------------------------------


def test_no_fusion_of_onnx_runtime_joins_two_sub_blocks(tmp_path):
    # Were one to, a model would not be the sum of its sub-blocks
    space = SearchSpace.bundled("text-encoder")
    for norm in ("pre", "post"):
        stack = {"hidden_size": 64, "positions": "learned", "norm_position": norm, "activation": "gelu"}
        layers = [
            {"attention": "softmax", "heads": 2, "feed_forward_size": 64},
            {"attention": "linear", "heads": 4, "feed_forward_size": 128},
            {"attention": "grouped-query", "heads": 4, "key_value_heads": 2, "feed_forward_size": 256},
            {"attention": "local", "heads": 4, "window": 8, "feed_forward_size": 64},
            {"attention": "long-short", "heads": 4, "kernel_size": 5, "feed_forward_size": 64},
            {"attention": "gated-convolution", "feed_forward_size": 64},
            {"attention": "low-rank", "heads": 4, "rank": 16, "feed_forward_size": 64},
        ]
        half = [layers[:4], layers[4:]]  # a space of at most six layers
        for part in half:
            _check_fusions(space, stack, part, tmp_path)


def _check_fusions(space, stack, layers, tmp_path):
    architecture = Architecture.from_dict(
        {
            "family": "encoder",
            "vocabulary_size": 259,
            "max_length": 64,
            "encoder": {**stack, "layers": layers},
            "head": {"type": "classification", "outputs": 35},
        }
    )
    assert architecture in space
    whole = Counter(_operators(WholePass(architecture, WORKLOAD, "prefill"), tmp_path))
    parts = Counter(
        operator for call in calls(architecture, WORKLOAD, "prefill") for operator in _operators(call, tmp_path)
    )
    # A whole model makes the mask of the lengths, once, and what several layers make of it
    assert set(whole - parts) <= {"Less"}
    assert set(parts - whole) <= {"Where", "Unsqueeze", "Cast"}


def _operators(source: Source, directory: Path) -> list[str]:
    """Return the operators that are left when ONNX Runtime has optimised a graph."""
    recipe = runtime("onnxruntime")
    with torch.inference_mode(False):
        recipe.export(*module_of(source), directory / "in.onnx", "fp32")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(directory / "out.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(
        str(directory / "in.onnx"), options, providers=["CPUExecutionProvider"], **recipe.options("fp32")
    )
    graph = onnx.load(directory / "out.onnx").graph
    return sorted(node.op_type for node in graph.node if node.op_type != "Constant")


# The device's side --------------------------------------------------------------------------------------------------


def _imported(path: Path) -> set[str]:
    """What a file imports when it is loaded, by the first part of its name."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found - set(sys.stdlib_module_names)


def test_what_is_sent_to_a_device_needs_nothing_of_this_project():
    assert _imported(PROBE) == {"numpy"}
    assert _imported(device_side(runtime("onnxruntime"))) == {"onnxruntime"}
    for path in (Path(nas.latency.__file__).parent / "runtimes").glob("*.py"):
        if path.name != "__init__.py":
            assert _imported(path) <= {path.stem, "numpy", "executorch", "torch", "onnxruntime"}


def test_the_probe_runs_where_there_is_no_nas_and_says_what_it_misses(tmp_path):
    moved = tmp_path / "moved.py"
    moved.write_bytes(PROBE.read_bytes())
    side = device_side(runtime("onnxruntime"))
    (tmp_path / side.name).write_bytes(side.read_bytes())
    argv = [sys.executable, "-I", str(moved), str(tmp_path)]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "plan.json" in ended.stderr
    told = subprocess.run([*argv, side.name], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert json.loads(told.stdout) == {
        "start": {"cpu": None, "scheduled": None, "runtime_version": onnxruntime.__version__}
    }


def test_a_program_that_takes_too_long_is_stopped(tmp_path):
    (tmp_path / "sleeper.py").write_text("import time\nprint('{}', flush=True)\ntime.sleep(60)\n")
    with transport_at("local", "sleeper") as transport:
        transport.push([tmp_path / "sleeper.py"])
        with pytest.raises(MeasurementFailed, match=r"not done after 0\.5 s"):
            transport.run([*transport.python, "sleeper.py"], lambda _: None, timeout_s=0.5)
        transport.clean_up()
