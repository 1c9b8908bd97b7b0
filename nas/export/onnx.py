"""A model as an ONNX file, by the recipe that latency tables are measured with.

The promised latency is that of a session with `disabled_optimizers=["SkipLayerNormFusion"]`: with ONNX Runtime's
default the graph is slower than promised on a CPU (docs/decisions/0003).
"""

from __future__ import annotations

from pathlib import Path

from nas.architecture import Architecture
from nas.errors import InvalidInput
from nas.export.weights import load_weights
from nas.latency.runtimes.onnxruntime import OnnxRuntime
from nas.models.build import build_model
from nas.models.passes import Pass
from nas.workload import Workload


def export_onnx(architecture: Architecture, weights: bytes | None, path: Path, workload: Workload) -> None:
    """Write the model, with these weights or untrained ones, as ONNX at the workload's fixed shape.

    Raises `InvalidInput` for a family that has no recipe yet: only encoders have one.
    """
    if architecture.family != "encoder":
        raise InvalidInput.of(
            "architecture.family",
            architecture.family,
            "encoder",
            "decoders can be built, trained and generate, but have no export yet",
        )
    model = build_model(architecture, seed=0)
    if weights is not None:
        load_weights(model, weights)
    whole = Pass(model, workload, "prefill").eval()
    OnnxRuntime().export(whole, whole.example, path, "fp32")
