"""What every runtime keeps: it computes what torch computes, on a device that has nothing but its own file."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy
import onnx
import pytest
import torch

from nas.attention_types import ATTENTION_TYPES
from nas.errors import InvalidInput
from nas.latency.graphs import WholePass, export_graphs, module_of
from nas.latency.reach import known_precision
from nas.latency.runtimes import RUNTIMES, device_side, onnxruntime, runtime
from nas.models.passes import pass_of
from nas.sub_blocks.calls import calls, phases
from nas.sub_blocks.sub_block import SubBlock
from tests.unit.small_spaces import SMALL_SPACES, small_space, workload_of

EVERY = [(name, precision) for name in RUNTIMES for precision in runtime(name).precisions]
NEEDS_TORCH = {"executorch", "torch"}
"""Runtimes that can't do without it on the device either."""

SLOW = {"executorch"}
"""Runtimes that take seconds to export a graph: fewer graphs, in which each kind, type and method still occurs; and
only every eighth of these where time is short."""
SHORT = 8

DEVICE = """
import importlib.util, json, sys, time
from pathlib import Path
import numpy

try:
    import nas
    sys.exit("the device has the project: this proves nothing")
except ImportError:
    pass
here = Path(sys.argv[1])
task = json.loads((here / "task.json").read_text())
spec = importlib.util.spec_from_file_location("pocketformer_runtime", here / "runtime.py")
runtime = importlib.util.module_from_spec(spec)
spec.loader.exec_module(runtime)

def arrays(name):
    with numpy.load(here / name) as file:
        return [file[str(index)] for index in range(len(file.files))]

def opened(graph):
    return runtime.Session(str(here / graph["model"]), arrays(graph["inputs"]), 1, task["options"])

def differences(session, graph):
    expected, found = arrays(graph["expected"]), session.outputs()
    assert [x.shape for x in found] == [x.shape for x in expected], graph
    return [float(abs(x - y).max() / max(abs(y).max(), 1e-6)) for x, y in zip(found, expected)]

names = list(task["graphs"])
stays_open = opened(task["graphs"][names[0]])  # as the sentinel's session does
stays_open.run()
result = {"version": runtime.version(), "graphs": {}, "ms": {}}
for name in names:
    session = opened(task["graphs"][name])
    session.run()
    first = differences(session, task["graphs"][name])
    session.run()
    stays_open.run()
    result["graphs"][name] = max(first + differences(session, task["graphs"][name]))
result["stayed open"] = max(differences(stays_open, task["graphs"][names[0]]))
result["imported torch"] = "torch" in sys.modules
print(json.dumps(result))
"""


def name_of(block: SubBlock) -> str:
    """The kind of a sub-block, and its type of attention."""
    return f"{block.kind} {dict(block.settings).get('attention', '')}".strip()


def sources(*, fewer: bool = False) -> dict[str, object]:
    """One call of every kind of sub-block, type of attention and method, and the passes of a model of each family.

    With `fewer` a kind and type has one method only, the next type another; and a model its last phase.
    """
    result: dict[str, object] = {}
    rng = random.Random(0)
    for name in SMALL_SPACES:
        space = small_space(name)
        workload = workload_of(space)
        models = [space.sample(rng) for _ in range(40)]
        for model in models:
            for phase in phases(space.family):
                for call in calls(model, workload, phase):
                    result.setdefault(f"{name_of(call.sub_block)}.{call.method}", call)
        if name != "small-post-norm":
            smallest = min(models, key=lambda model: sum(len(stack.layers) for _, stack in model.stacks))
            for phase in phases(space.family)[-1 if fewer else 0 :]:
                result[f"{name} {phase}"] = WholePass(smallest, workload, phase)
    return thinned(result) if fewer else result


def thinned(every: dict[str, object]) -> dict[str, object]:
    """Of each kind and type one method, the one that the others have had least."""
    result = {name: source for name, source in every.items() if isinstance(source, WholePass)}
    for kind in dict.fromkeys(name.partition(".")[0] for name in every if name not in result):
        chosen = [name.rpartition(".")[2] for name in result]
        own = [name for name in every if name.partition(".")[0] == kind and name not in result]
        best = min(own, key=lambda name: chosen.count(name.rpartition(".")[2]))
        result[best] = every[best]
    return result


TASKS = [
    pytest.param((name, precision, step), id=f"{name}-{precision}{'-in-short' * (step > 1)}", marks=marks)
    for name, precision in EVERY
    for step, marks in (([(1, [pytest.mark.long]), (SHORT, [])]) if name in SLOW else [(1, [])])
]


@pytest.fixture(scope="module", params=TASKS)
def measured(request, tmp_path_factory):
    """(runtime, precision, what the device says) of every graph."""
    name, precision, step = request.param
    chosen, directory = runtime(name), tmp_path_factory.mktemp("device")
    try:
        chosen.version()
    except InvalidInput as missing:
        pytest.skip(str(missing))
    torch.set_num_threads(1)
    every = sources(fewer=name in SLOW)
    chosen_sources = {key: every[key] for key in list(every)[::step]}
    graphs = export_graphs(chosen_sources, name, precision, directory, lambda done, total: None)
    shutil.copy(device_side(chosen), directory / "runtime.py")
    task = {"options": dict(chosen.options(precision)), "graphs": {key: vars(graph) for key, graph in graphs.items()}}
    (directory / "task.json").write_text(json.dumps(task))
    program = directory / "device.py"
    program.write_text(DEVICE)
    done = subprocess.run(
        [sys.executable, "-I", "-c", without_the_project(program), str(directory)],
        capture_output=True, text=True, timeout=120, cwd=directory, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    # Every line on standard output is the program's own: a runtime that logs there would break the probe's lines
    found = json.loads(done.stdout)
    assert found["graphs"].keys() == chosen_sources.keys()
    return name, precision, found


def without_the_project(program: Path) -> str:
    """A program that runs another as a device does: where this project can't be imported."""
    return (
        "import sys, runpy\n"
        "class Hidden:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('nas', 'api', 'search_spaces'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Hidden())\n"
        f"runpy.run_path({str(program)!r}, run_name='__main__')\n"
    )


@pytest.mark.parametrize("fewer", [False, True])
def test_the_graphs_are_every_kind_every_type_and_every_method(fewer):
    names = set(sources(fewer=fewer))
    for kind in ("embedding", "attention", "cross_attention", "feed_forward", "memory", "head"):
        assert any(name.split(".")[0].split(" ")[0] == kind for name in names), kind
    present = {name.split(" ")[1].split(".")[0] for name in names if name.startswith("attention ")}
    assert present >= {"softmax", "grouped-query", "linear", "local", "long-short", "gated-convolution", "low-rank"}
    assert present <= set(ATTENTION_TYPES)
    assert {name.rpartition(".")[2] for name in names if "." in name} == {"forward", "prefill", "step", "prepare"}


def test_every_graph_computes_what_torch_computes(measured):
    name, precision, found = measured
    tolerance = runtime(name).tolerance(precision)
    wrong = {key: value for key, value in found["graphs"].items() if not value <= tolerance}
    assert not wrong


def test_a_session_that_stays_open_is_not_disturbed_by_others(measured):
    name, precision, found = measured
    assert found["stayed open"] <= runtime(name).tolerance(precision)


def test_the_device_needs_no_torch_unless_the_runtime_is_made_of_it(measured):
    name, _, found = measured
    assert found["imported torch"] == (name in NEEDS_TORCH)


def test_both_sides_tell_the_same_version(measured):
    name, _, found = measured
    assert found["version"] == runtime(name).version()


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_precision_that_a_runtime_has_not_is_refused_with_those_that_it_has(name):
    with pytest.raises(InvalidInput, match="fp32"):
        known_precision(name, "int3")


@pytest.mark.parametrize(("name", "precision"), EVERY)
def test_a_recipe_is_a_name_and_differs_by_precision(name, precision):
    chosen = runtime(name)
    assert chosen.recipe(precision)
    assert json.loads(json.dumps(chosen.options(precision))) == chosen.options(precision)
    assert len({chosen.recipe(each) for each in chosen.precisions}) == len(chosen.precisions)


def test_int8_programs_of_executorch_hold_their_weights_as_bytes(tmp_path):
    runtime("executorch").version()
    module = torch.nn.Sequential(torch.nn.Linear(256, 256), torch.nn.ReLU(), torch.nn.Linear(256, 256)).eval()
    sizes = {}
    for precision in ("fp32", "int8-dynamic"):
        path = tmp_path / f"{precision}.pte"
        runtime("executorch").export(module, (torch.randn(1, 8, 256),), path, precision)
        sizes[precision] = path.stat().st_size
    weights = 2 * 256 * 256
    assert 4 * weights < sizes["fp32"] < 4 * weights + 20_000
    assert weights < sizes["int8-dynamic"] < weights + 30_000


def test_onnx_graphs_in_int8_multiply_by_the_weights_of_a_shared_layer_in_int8_every_time(tmp_path):
    layer = torch.nn.Linear(64, 64)
    shared = torch.nn.Sequential(layer, torch.nn.ReLU(), layer).eval()
    path = tmp_path / "graph.onnx"
    runtime("onnxruntime").export(shared, (torch.randn(1, 8, 64),), path, "int8-dynamic")
    operators = [node.op_type for node in onnx.load(path).graph.node]
    assert (operators.count("MatMulInteger"), operators.count("MatMul")) == (2, 0)
    assert path.stat().st_size < 64 * 64 + 4000


@pytest.mark.parametrize("name", ["attention softmax.step", "attention grouped-query.prefill"])
def test_onnx_graphs_do_not_look_for_queries_that_see_no_key(name, tmp_path):
    module, inputs = module_of(sources()[name])
    looks = {}
    for rewrites in (onnxruntime.REWRITES, frozenset()):
        onnxruntime.write(module, inputs, tmp_path / "graph.onnx", rewrites)
        looks[rewrites] = any(node.op_type == "IsNaN" for node in onnx.load(tmp_path / "graph.onnx").graph.node)
    assert looks == {onnxruntime.REWRITES: False, frozenset(): True}


def test_an_unknown_runtime_is_refused_with_the_known_ones():
    with pytest.raises(InvalidInput, match="onnxruntime, executorch, torch"):
        runtime("tflite")


def test_the_tolerance_would_notice_another_module(tmp_path):
    """The comparison can fail: outputs of one seed are no outputs of another."""
    space = small_space("small-encoder")
    model = space.sample(random.Random(0))
    first = WholePass(model, workload_of(space), "prefill")
    module, inputs = module_of(first)
    other = pass_of(model, first.workload, "prefill", seed=1)
    with torch.inference_mode():
        expected, found = (numpy.asarray(each(*inputs)[0]) for each in (module, other))
    difference = abs(found - expected).max() / abs(expected).max()
    assert difference > max(runtime(name).tolerance(precision) for name, precision in EVERY)
