"""`nas export`: a model as a file that a runtime takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.options import OwnBatchOption, OwnLengthOption, check_file, example, read_file
from nas.cli.output import note
from nas.cli.score import find_weights, read_config_file, read_subject


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export", epilog=example("nas export knee.yaml --onnx knee.onnx"))(export)


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A configuration or an architecture, YAML or JSON.")],
    onnx: Annotated[Path, typer.Option("--onnx", metavar="FILE", help="The ONNX file to write.")],
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default="fetched from where the configuration says", help="The weights."),
    ] = None,
    input_length: OwnLengthOption = None,
    batch: OwnBatchOption = None,
) -> None:
    """Write a model as ONNX, of one fixed input shape, the way latency tables are measured.

    An architecture alone has no weights: its model is written untrained.
    """
    from nas.export.onnx import export_onnx

    architecture, workload = read_subject(file, batch, input_length)
    check_file("onnx", onnx)
    config = read_config_file(file)
    content = None
    if config is not None and (config.weights is not None or weights is not None):
        content = find_weights(config, weights)
    elif weights is not None:
        content = read_file(weights)
    else:
        note("No weights: the model is written untrained.")
    export_onnx(architecture, content, onnx, workload)
    note(f"Wrote {onnx}: {architecture.id} at {workload.key}.")
