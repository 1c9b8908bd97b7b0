"""ONNX Runtime on the CPU: export by torch's TorchScript exporter (docs/decisions/0003)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch import Tensor, nn

OPSET = 17


class OnnxRuntime:
    """Exports to ONNX with a static batch and length; measured by `onnxruntime_probe.py`."""

    recipe = f"torchscript-opset{OPSET}-no-skip-layer-norm"
    probe = Path(__file__).with_name("onnxruntime_probe.py")
    suffix = ".onnx"
    # The fused operator is slower on a CPU than the addition and the norm that it replaces, and it is the one
    # fusion that joins two sub-blocks: with it a model is not the sum of its parts. See docs/decisions/0003.
    session_options: Mapping[str, Any] = {"disabled_optimizers": ["SkipLayerNormFusion"]}

    def version(self) -> str:
        """Return the version of onnxruntime."""
        return str(onnxruntime.__version__)

    def export(self, module: nn.Module, example: Tensor, path: Path) -> None:
        """Write the graph of `module(example)`: one input named `input`, one output named `output`."""
        with warnings.catch_warnings():
            # torch would rather have the other exporter used: thirty times slower for graphs equally fast
            warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"torch\.onnx")
            warnings.filterwarnings("ignore", "You are using the legacy TorchScript-based ONNX export")
            # Padding is exported as a slice with steps, which the exporter leaves for ONNX Runtime to fold
            warnings.filterwarnings("ignore", "Constant folding - Only steps=1")
            torch.onnx.export(
                module.eval(),
                (example,),
                str(path),
                dynamo=False,
                opset_version=OPSET,
                input_names=["input"],
                output_names=["output"],
            )
