"""ONNX Runtime on the CPU: export by torch's TorchScript exporter (docs/decisions/0003 and 0023)."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnxruntime

if TYPE_CHECKING:
    from torch import Tensor, nn

    from nas.latency.runtimes import Precision

OPSET = 17


class OnnxRuntime:
    """Exports to ONNX with a static batch and length."""

    precisions: tuple[Precision, ...] = ("fp32", "int8-dynamic")
    suffix = ".onnx"

    def recipe(self, precision: Precision) -> str:
        """Return the recipe: see docs/decisions/0003 and 0023; int8 adds ONNX Runtime's own dynamic quantisation."""
        recipe = f"torchscript-opset{OPSET}-explicit-attention-no-skip-layer-norm"
        return recipe + ("" if precision == "fp32" else "-quantize-dynamic")

    def options(self, precision: Precision) -> Mapping[str, Any]:  # noqa: ARG002  (the same for both)
        """Return what a session switches off.

        The fused operator is slower on a CPU than the addition and the norm that it replaces, and it is the one
        fusion that joins two sub-blocks: with it a model is not the sum of its parts. See docs/decisions/0003.
        """
        return {"disabled_optimizers": ["SkipLayerNormFusion"]}

    def tolerance(self, precision: Precision) -> float:
        """Return 10⁻³, or 0.25 where whole models of random weights run through int8 in every matrix product."""
        return 1e-3 if precision == "fp32" else 0.25

    def version(self) -> str:
        """Return the version of onnxruntime."""
        return version()

    def export(self, module: nn.Module, inputs: tuple[Tensor, ...], path: Path, precision: Precision) -> None:
        """Write the graph: its inputs are `input`, or `input_0`, … without those that nothing reads."""
        if precision == "fp32":
            write(module, inputs, path)
            return
        from onnxruntime.quantization import QuantType, quantize_dynamic

        with tempfile.TemporaryDirectory(prefix="pocketformer-") as directory:
            plain = Path(directory) / "plain.onnx"
            write(module, inputs, plain)
            _join_copies(plain)
            logging.getLogger().addFilter(_about_pre_processing)
            try:
                quantize_dynamic(
                    plain, path, op_types_to_quantize=["MatMul"], per_channel=True, weight_type=QuantType.QInt8
                )
            finally:
                logging.getLogger().removeFilter(_about_pre_processing)


def _join_copies(path: Path) -> None:
    """Have all that read the copy of a weight read the weight itself: a shared layer's is quantised once, for all uses.

    The exporter writes the second use of a weight as that of a copy, which `quantize_dynamic` takes for no constant.
    """
    import onnx

    model = onnx.load(path)
    weights = {tensor.name for tensor in model.graph.initializer}
    kept = {value.name for value in model.graph.output}
    copies = [
        node
        for node in model.graph.node
        if node.op_type == "Identity" and node.input[0] in weights and node.output[0] not in kept
    ]
    original = {node.output[0]: node.input[0] for node in copies}
    for node in copies:
        model.graph.node.remove(node)
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = original.get(name, name)
    onnx.save(model, path)


def _about_pre_processing(record: logging.LogRecord) -> bool:
    """Return False for the advice to infer shapes first, which nothing here needs: every shape is fixed."""
    return "run pre-processing before quantization" not in record.getMessage()


REWRITES = frozenset({"attention"})
"""What the recipe rewrites; `benchmarks/recipes.py` leaves it out to see what it is worth."""


def write(module: nn.Module, inputs: tuple[Tensor, ...], path: Path, rewrites: frozenset[str] = REWRITES) -> None:
    """Write a module's graph in fp32."""
    import torch

    with warnings.catch_warnings(), _rewriting(rewrites):
        # torch would rather have the other exporter used: thirty times slower for graphs equally fast
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"torch\.onnx")
        warnings.filterwarnings("ignore", "You are using the legacy TorchScript-based ONNX export")
        # Padding is exported as a slice with steps, which the exporter leaves for ONNX Runtime to fold
        warnings.filterwarnings("ignore", "Constant folding - Only steps=1")
        # A type that needs no positions does not read them
        warnings.filterwarnings("ignore", "Provided input_names|.*is not reachable|.*unused")
        torch.onnx.export(
            module.eval(),
            inputs,
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=[f"input_{index}" for index in range(len(inputs))] if len(inputs) > 1 else ["input"],
            output_names=["output"],
        )


def _rewriting(rewrites: frozenset[str]) -> Any:
    """Return a context in which attention is written out.

    The exporter's own translation scales queries and keys, and looks at every row for one that sees no key.
    """
    from torch.nn import functional
    from torch.overrides import TorchFunctionMode

    from nas.latency.runtimes.attention import written_out

    class Rewriting(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if "attention" in rewrites and func is functional.scaled_dot_product_attention:
                return written_out(*args, **(kwargs or {}))
            return func(*args, **(kwargs or {}))

    return Rewriting()


# What runs on the device ---------------------------------------------------------------------------------------


def version() -> str:
    """Return the version of the runtime on the device."""
    return str(onnxruntime.__version__)


class Session:
    """A graph loaded with its inputs in place."""

    def __init__(self, path: str, inputs: list[Any], threads: int, options: Mapping[str, Any]) -> None:
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads
        settings.inter_op_num_threads = 1
        settings.log_severity_level = 3  # errors
        self._session = onnxruntime.InferenceSession(
            path, settings, providers=["CPUExecutionProvider"], **dict(options)
        )
        self._binding = self._session.io_binding()  # copying the inputs is no part of the model
        for wanted in self._session.get_inputs():
            self._binding.bind_cpu_input(wanted.name, inputs[int(wanted.name.partition("_")[2] or 0)])
        for given in self._session.get_outputs():
            self._binding.bind_output(given.name)

    def run(self) -> None:
        """Do one inference."""
        self._session.run_with_iobinding(self._binding)

    def outputs(self) -> list[Any]:
        """Return the outputs of the last inference, as arrays."""
        result: list[Any] = self._binding.copy_outputs_to_cpu()
        return result
