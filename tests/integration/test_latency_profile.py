"""Real measurements with the real ONNX Runtime, on a space small enough to profile in seconds."""

import json
import subprocess
import sys
from pathlib import Path

import numpy
import onnx
import onnxruntime
import pytest
import torch

from nas.architecture import Architecture
from nas.errors import InvalidInput, MeasurementFailed
from nas.latency.bench import SENTINEL, Bench
from nas.latency.device import this_machine
from nas.latency.measure import measure
from nas.latency.predict import LatencyPredictor
from nas.latency.profile import profile
from nas.latency.runtimes import RUNTIMES, runtime
from nas.latency.table import LatencyTable, Sentinel
from nas.latency.transports.this_machine import ThisMachine
from nas.models import SubBlock, build_model, build_sub_block, example_input, sub_blocks
from nas.space import Genotype, SearchSpace
from nas.workload import Workload

SMOKE = SearchSpace.bundled("smoke")
WORKLOAD = Workload(input_length=32)
KINDS = [
    SubBlock.of("embedding", hidden_size=32, vocabulary_size=259, max_length=64, positions="sinusoidal"),
    SubBlock.of("embedding", hidden_size=32, vocabulary_size=259, max_length=64, positions="learned"),
    SubBlock.of("attention", hidden_size=32, norm_position="pre", attention="softmax", heads=4),
    SubBlock.of("attention", hidden_size=32, norm_position="post", attention="linear", heads=4),
    SubBlock.of(
        "attention", hidden_size=32, norm_position="pre", attention="grouped-query", heads=4, key_value_heads=2
    ),
    SubBlock.of("feed_forward", hidden_size=32, norm_position="post", feed_forward_size=64, activation="gelu"),
    SubBlock.of("feed_forward", hidden_size=32, norm_position="pre", feed_forward_size=64, activation="relu"),
    SubBlock.of("head", hidden_size=32, norm_position="pre", outputs=35),
    SubBlock.of("head", hidden_size=32, norm_position="post", outputs=35),
    SubBlock.of("attention", hidden_size=32, norm_position="pre", attention="local", heads=4, window=8),
    SubBlock.of("attention", hidden_size=32, norm_position="pre", attention="long-short", heads=4, kernel_size=5),
    SubBlock.of("attention", hidden_size=32, norm_position="pre", attention="gated-convolution"),
    SubBlock.of("attention", hidden_size=32, norm_position="pre", attention="low-rank", heads=4, rank=8, max_length=64),
    SubBlock.of(
        "attention", hidden_size=32, norm_position="pre", attention="softmax", heads=4, rotary=True, norm="rms"
    ),
    SubBlock.of("feed_forward", hidden_size=32, norm_position="pre", feed_forward_size=64, activation="swiglu"),
]


@pytest.fixture(scope="module")
def told() -> list[tuple[str, int, int]]:
    return []


@pytest.fixture(scope="module")
def table(told) -> LatencyTable:
    return profile(SMOKE, WORKLOAD, patience_s=15, progress=lambda *news: told.append(news))


def test_a_profile_holds_every_sub_block_and_whole_models_with_all_their_launches(table):
    assert LatencyPredictor(table).coverage(SMOKE) == 1
    assert len(table.whole_models) == 18
    for measurement in (*table.entries.values(), *table.whole_models):
        assert len(measurement.launches_ns) >= 5
        assert measurement.difference < 1e-3
    assert table.device == this_machine()
    assert len(table.sentinel.readings_ns) > 50


def test_a_profile_tells_its_progress_phase_by_phase(table, told):
    assert list(dict.fromkeys(phase for phase, _, _ in told)) == ["export", "measure"]
    exported = [done for phase, done, _ in told if phase == "export"]
    assert exported == list(range(1, len(exported) + 1))
    assert all(0 < done <= total for _, done, total in told)
    assert told[-1][1] == told[-1][2]


def test_a_profile_is_read_back_equal_from_json(table):
    assert LatencyTable.from_dict(json.loads(json.dumps(table.to_dict()))) == table


def test_whole_models_are_measured_in_the_order_given_and_near_their_prediction(table):
    wanted = [_alike(frame, 2) for frame in range(len(SMOKE.frames))]
    found = measure([*wanted, wanted[0]], WORKLOAD, table.device, reference=table, patience_s=20)
    assert [m.architecture_id for m in found] == [a.id for a in (*wanted, wanted[0])]
    assert found[0] == found[-1]
    assert 0.2 < found[0].sentinel_ratio < 5
    predictor = LatencyPredictor(table)
    for architecture, measured in zip(wanted, found[:-1], strict=True):
        # Wide, for the machine that tests run on is seldom calm; benchmarks/latency.py shows the real figures
        assert 0.5 < measured.latency_ms / predictor.predict(architecture).latency_ms < 2
        assert measured.valid or measured.reason


def _alike(frame: int, depth: int) -> Architecture:
    """The architecture of so many layers that each take the first option."""
    return SMOKE.architecture(Genotype(frame, dict.fromkeys(SMOKE.parts, (0,) * depth)))


def test_a_machine_that_is_not_as_fast_as_when_the_table_was_made_is_not_called_a_valid_measurement(table):
    slow_ns = 10 * table.sentinel.calm_ns
    slow = table.model_copy(update={"sentinel": Sentinel(readings_ns=(slow_ns,), calm_ns=slow_ns)})
    (found,) = measure([_alike(0, 1)], WORKLOAD, table.device, reference=slow, patience_s=0)
    assert not found.valid
    assert "does not run as it did" in found.reason
    assert found.sentinel_ratio < 0.9


def test_a_reference_of_another_device_is_refused(table):
    other = table.model_copy(update={"device": table.device.model_copy(update={"threads": 7})})
    with pytest.raises(InvalidInput, match=r"reference\.device\.fingerprint"):
        measure([_alike(0, 1)], WORKLOAD, table.device, reference=other)


def test_a_device_that_is_not_this_machine_is_refused_naming_what_differs():
    elsewhere = this_machine().model_copy(update={"hardware": "a phone"})
    with pytest.raises(InvalidInput, match=r"device\.hardware"):
        profile(SMOKE, WORKLOAD, device=elsewhere)


def test_an_input_longer_than_the_models_take_is_refused():
    with pytest.raises(InvalidInput, match=r"workload\.input_length"):
        profile(SMOKE, Workload(input_length=65))


# Every runtime -------------------------------------------------------------------------------------------------------


@pytest.fixture(params=RUNTIMES)
def bench(request, tmp_path) -> Bench:
    return Bench(this_machine().model_copy(update={"runtime": request.param}), tmp_path)


def test_a_runtime_computes_what_torch_computes_for_every_kind_of_sub_block_and_for_a_whole_model(bench):
    for kind in KINDS:
        bench.add_sub_block(kind, WORKLOAD)
    bench.add_model("model", _alike(0, 1), WORKLOAD)
    launches, sentinel_ns = bench.launch([bench.names], lambda: None)
    assert [launch.graph for launch in launches] == [*(kind.key for kind in KINDS), "model"]
    assert len(sentinel_ns) == 1 + 4  # before the first of 16 launches, then after each four
    for launch in launches:
        assert launch.difference < 1e-4, launch.graph
        assert launch.latency_ns > 0
        assert launch.iterations >= 5
        assert launch.sentinel_ns in sentinel_ns


def test_a_wrong_output_is_noticed(bench, tmp_path):
    bench.add_sub_block(KINDS[2], WORKLOAD)
    (expected,) = (path for path in tmp_path.glob("*.out.npy") if path.name.startswith("00001"))
    numpy.save(expected, numpy.load(expected) + 0.01)
    launches, _ = bench.launch([bench.names], lambda: None)
    assert launches[0].difference > 1e-3


def test_a_probe_that_fails_is_reported_in_its_own_words(bench, tmp_path):
    bench.add_sub_block(KINDS[0], WORKLOAD)
    next(path for path in tmp_path.glob("00001*") if ".npy" not in path.name).write_bytes(b"no model")
    with pytest.raises(MeasurementFailed, match="00001"):
        bench.launch([bench.names], lambda: None)


# ONNX Runtime --------------------------------------------------------------------------------------------------------


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
    blocks = sub_blocks(architecture)
    whole = _operators(build_model(architecture), example_input(blocks[0], WORKLOAD), tmp_path)
    parts = [_operators(build_sub_block(b), example_input(b, WORKLOAD), tmp_path) for b in blocks]
    assert whole == sorted(operator for part in parts for operator in part)


def _operators(module: torch.nn.Module, example: torch.Tensor, directory: Path) -> list[str]:
    """Return the operators that are left when ONNX Runtime has optimised the module's graph."""
    recipe = runtime("onnxruntime")
    recipe.export(module, example, directory / "in.onnx")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(directory / "out.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(
        str(directory / "in.onnx"), options, providers=["CPUExecutionProvider"], **recipe.session_options
    )
    graph = onnx.load(directory / "out.onnx").graph
    return sorted(node.op_type for node in graph.node if node.op_type != "Constant")


def test_the_probe_needs_nothing_of_this_project(tmp_path):
    probe = runtime("onnxruntime").probe
    imported = {
        line.split()[1].split(".")[0]
        for line in probe.read_text().splitlines()
        if line.startswith(("import ", "from "))
    }
    assert imported - set(sys.stdlib_module_names) == {"numpy", "onnxruntime"}
    moved = tmp_path / "moved.py"
    moved.write_bytes(probe.read_bytes())
    ended = subprocess.run([sys.executable, str(moved), str(tmp_path)], capture_output=True, text=True, check=False)
    assert "plan.json" in ended.stderr


def test_a_probe_that_takes_too_long_is_stopped(tmp_path):
    sleeper = tmp_path / "sleeper.py"
    sleeper.write_text("import time\nprint('{}', flush=True)\ntime.sleep(60)\n")
    with pytest.raises(MeasurementFailed, match="not done after 0 s"):
        ThisMachine().run(sleeper, tmp_path, lambda line: None, timeout_s=0.3)


def test_the_sentinel_is_no_graph_of_the_bench(bench):
    assert SENTINEL not in bench.names


def test_a_space_of_decoders_is_refused_before_anything_is_exported():
    space = SearchSpace.bundled("causal-decoder")
    with pytest.raises(InvalidInput, match="family encoder"):
        profile(space, Workload(input_length=8, output_length=4))
