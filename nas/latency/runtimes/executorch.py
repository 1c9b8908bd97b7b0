"""ExecuTorch on the CPU through XNNPACK, as on phones: how it is exported is said in docs/decisions/0008 and 0024."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    from nas.latency.runtimes import Precision


class ExecuTorch:
    """Exports to a `.pte` with a static batch and length; what XNNPACK can't do runs on ExecuTorch's own kernels."""

    precisions: tuple[Precision, ...] = ("fp32", "int8-dynamic")
    suffix = ".pte"

    def recipe(self, precision: Precision) -> str:
        """Return the recipe: attention written out, splits as slices, means as products, constants folded."""
        recipe = "xnnpack-explicit-attention-slices-mean-product-linear-folded"
        return recipe + ("" if precision == "fp32" else "-quantize-dynamic")

    def options(self, precision: Precision) -> Mapping[str, Any]:  # noqa: ARG002
        """Return nothing: a `.pte` says itself how it runs."""
        return {}

    def tolerance(self, precision: Precision) -> float:
        """Return 10⁻³, or 0.25 where whole models of random weights run through int8 in every matrix product."""
        return 1e-3 if precision == "fp32" else 0.25

    def version(self) -> str:
        """Return the version of executorch; raise `InvalidInput` where it is not installed."""
        try:
            return version()
        except metadata.PackageNotFoundError as error:
            from nas.errors import InvalidInput

            raise InvalidInput.of(
                "device.runtime", "executorch", "an installed one", "pip install 'pocketformer[executorch]'"
            ) from error

    def export(self, module: nn.Module, inputs: tuple[Tensor, ...], path: Path, precision: Precision) -> None:
        """Write the program."""
        quieten_torchao()
        with warnings.catch_warnings():
            # Between torch and ExecuTorch; nothing that a caller of ours can do about it
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated")
            warnings.filterwarnings("ignore", "This API is experimental and subject to change")
            warnings.filterwarnings("ignore", "open_text is deprecated")
            warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"torchao|executorch|torch\.")
            path.write_bytes(lowered(module, inputs, REWRITES, precision))


def quieten_torchao() -> None:
    """Keep out of the log what torchao always says when it is imported."""
    for logger in ("torchao", "torchao.kernel.intmm", "torch.utils._pytree"):
        logging.getLogger(logger).addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Return False for what torchao always logs: that it finds no GPU here, and is written for an older torch."""
    known = ("Failed to load", "Detected no triton", "is an Enum subclass and is now natively supported")
    return not any(words in str(record.msg) for words in known)


REWRITES = frozenset({"attention", "slices", "means", "linear attention", "fold"})
"""What the recipe rewrites; `benchmarks/recipes.py` leaves some out to see what each is worth."""


def lowered(
    module: nn.Module, inputs: tuple[Tensor, ...], rewrites: frozenset[str], precision: Precision = "fp32"
) -> bytes:
    """Return the program of a module, as a file holds it."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import EdgeCompileConfig, ExecutorchBackendConfig, to_edge_transform_and_lower
    from executorch.exir.passes import MemoryPlanningPass
    from executorch.exir.passes.constant_prop_pass import constant_prop_pass

    inputs = tuple(tensor.contiguous() for tensor in inputs)  # a program takes its inputs in the layout of these
    frozen = copy.deepcopy(module).eval().requires_grad_(False)  # what is folded must not ask for gradients
    with torch.no_grad(), _rewriting(rewrites):
        program = torch.export.export(frozen, inputs, strict=False)
    if "fold" in rewrites:  # masks and rotations, which depend on lengths alone
        program = constant_prop_pass(program)
    if precision != "fp32":  # after folding, which would make floats of the weights again
        program = _quantized(program, inputs)
    edge = to_edge_transform_and_lower(
        program,
        partitioner=[XnnpackPartitioner()],
        # Checking costs time, and the dimension order is the default one everywhere
        compile_config=EdgeCompileConfig(_check_ir_validity=False, _skip_dim_order=True),
    )
    # Inputs outside the planned memory: they are read where they lie, so that copying them is no part of the model
    planning = MemoryPlanningPass(alloc_graph_input=False)
    lowered = edge.to_executorch(ExecutorchBackendConfig(memory_planning_pass=planning))
    return bytes(lowered.buffer)


def _quantized(program: Any, inputs: tuple[Tensor, ...]) -> Any:
    """Return an exported program whose linear layers multiply in int8: weights by channel, what comes in by tensor.

    Constants that a rewrite multiplies by stay as they are: only parameters are quantised.
    """
    import torch
    from executorch.backends.xnnpack.quantizer import xnnpack_quantizer
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    parameters = set(program.graph_signature.parameters)

    def has_weights(node: torch.fx.Node) -> bool:
        weight = node.args[1] if len(node.args) > 1 else None
        return isinstance(weight, torch.fx.Node) and weight.target in parameters

    settings = xnnpack_quantizer.get_symmetric_quantization_config(is_per_channel=True, is_dynamic=True)
    quantizer = xnnpack_quantizer.XNNPACKQuantizer().set_operator_type(torch.ops.aten.linear.default, settings)
    quantizer.set_filter_function(has_weights)
    prepared = prepare_pt2e(program.module(), quantizer)
    with torch.no_grad():
        prepared(*inputs)  # the weights are observed
        return torch.export.export(convert_pt2e(prepared), inputs, strict=False)


def _rewriting(rewrites: frozenset[str]) -> Any:
    """Return a context in which functions that XNNPACK doesn't take are called as others that it does.

    Each rewrite computes the same; without them a graph falls into many small pieces between ExecuTorch's kernels.
    """
    import torch
    from torch.nn import functional
    from torch.overrides import TorchFunctionMode

    from nas.latency.runtimes.attention import written_out

    class Rewriting(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            if "attention" in rewrites and func is functional.scaled_dot_product_attention:
                return written_out(*args, **kwargs, product=_product)
            if "slices" in rewrites and func in {torch.Tensor.chunk, torch.chunk, torch.Tensor.split, torch.split}:
                in_chunks = func in {torch.Tensor.chunk, torch.chunk}
                return _slices(*args, **kwargs, in_chunks=in_chunks)
            if "means" in rewrites and func is torch.Tensor.mean and kwargs == {"dim": -1, "keepdim": True}:
                size = args[0].shape[-1]
                return functional.linear(args[0], torch.full((1, size), 1 / size))
            if "linear attention" in rewrites:
                if func in {torch.Tensor.__matmul__, torch.Tensor.matmul, torch.matmul} and _alike(*args):
                    return _product(*args)
                if func is functional.elu and kwargs.get("alpha") == 1:
                    return functional.relu(args[0]) + (torch.exp(-functional.relu(-args[0])) - 1)
                if func is torch.Tensor.sum and kwargs == {"dim": -2} and args[0].dim() == 4:
                    b, h, t, e = args[0].shape
                    return _product(torch.ones(b, h, 1, t), args[0]).reshape(b, h, e)
            return func(*args, **kwargs)

    return Rewriting()


def _alike(x: Tensor, y: Tensor) -> bool:
    return x.dim() == y.dim() == 4 and x.shape[:2] == y.shape[:2]


def _product(x: Tensor, y: Tensor) -> Tensor:
    """Return the product of (B, H, N, K) and (B, H, K, M): as of three dimensions, with nothing to copy."""
    import torch

    b, h, n, k = x.shape
    return torch.bmm(x.reshape(b * h, n, k), y.reshape(b * h, k, y.shape[3])).reshape(b, h, n, y.shape[3])


def _slices(x: Tensor, parts: int | list[int], dim: int = 0, *, in_chunks: bool) -> tuple[Tensor, ...]:
    """Return what `chunk` (into a number of parts) or `split` (into parts of a size, or of these sizes) returns."""
    length = x.shape[dim]
    if isinstance(parts, int):
        size = -(-length // parts) if in_chunks else parts
        parts = [min(size, length - start) for start in range(0, length, size)]
    starts = [sum(parts[:index]) for index in range(len(parts))]
    return tuple(x.narrow(dim, start, size) for start, size in zip(starts, parts, strict=True))


# What runs on the device ---------------------------------------------------------------------------------------


def version() -> str:
    """Return the version of the runtime on the device."""
    return metadata.version("executorch")


class Session:
    """A program loaded with its inputs in place. The bindings of ExecuTorch's wheel need torch for its tensors."""

    def __init__(self, path: str, inputs: list[Any], threads: int, options: Mapping[str, Any]) -> None:  # noqa: ARG002
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "This API is experimental and subject to change")
            warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"torchao|executorch|torch\.")
            import torch
            from executorch.extension.pybindings import portable_lib
        # The pool is the process's, and may only be replaced while no program is loaded
        if portable_lib._threadpool_get_thread_count() != threads:
            portable_lib._unsafe_reset_threadpool(threads)
        # Read where they lie: kept as long as the method
        self._inputs = [torch.from_numpy(array).contiguous() for array in inputs]
        self._program = portable_lib._load_program(path)
        self._method = self._program.load_method("forward")
        self._method.set_inputs(self._inputs)

    def give(self, inputs: list[Any]) -> None:
        """Put other inputs of the same shapes in place, over those that it was opened with."""
        for held, array in zip(self._inputs, inputs, strict=True):
            held.numpy()[...] = array

    def run(self) -> None:
        """Do one inference."""
        self._method.execute()

    def outputs(self) -> list[Any]:
        """Return the outputs of the last inference, as arrays."""
        return [output.numpy() for output in self._method.get_outputs()]
