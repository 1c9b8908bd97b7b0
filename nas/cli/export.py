"""`nas export`: a model as files that a runtime takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.options import JsonOption, OwnBatchOption, OwnLengthOption, OwnOutputOption, check_file, example, read_file
from nas.cli.output import note, print_json, print_table, table_of
from nas.cli.score import find_weights, read_config_file, read_subject
from nas.errors import InvalidInput

if TYPE_CHECKING:
    from nas.architecture import Architecture
    from nas.export.programs import Program


def register(app: typer.Typer) -> None:
    """Add the command."""
    examples = (
        "nas export knee.yaml --onnx knee.onnx",
        "nas export knee.yaml --executorch knee.pte",
        "nas export knee.yaml --bundle knee.zip",
    )
    app.command("export", epilog=example(*examples))(export)


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A configuration or an architecture, YAML or JSON.")],
    onnx: Annotated[Path | None, typer.Option("--onnx", metavar="FILE", help="Write it for ONNX Runtime.")] = None,
    executorch: Annotated[
        Path | None, typer.Option("--executorch", metavar="FILE", help="Write it for ExecuTorch with XNNPACK.")
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", metavar="FILE", help="Write everything for both, checked, as one zip."),
    ] = None,
    transformers: Annotated[
        Path | None,
        typer.Option("--transformers", metavar="DIR", help="Write it for transformers, if it has an equal there."),
    ] = None,
    precision: Annotated[str, typer.Option(help="fp32 or int8-dynamic; a bundle has both.")] = "fp32",
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default="fetched from where the configuration says", help="The weights."),
    ] = None,
    input_length: OwnLengthOption = None,
    output_length: OwnOutputOption = None,
    batch: OwnBatchOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a model for a runtime, the way latency tables are measured, and hold it against torch.

    A bundle has the programs of both runtimes in fp32 and int8, configuration, weights and vocabulary, what was checked
    (outputs, quality on validation examples, texts written, latency), and a `rebuild.py` that checks it again.

    An encoder is one file. Of a model that writes there are two: `knee.prefill.onnx` (of an encoder–decoder
    `knee.encode.onnx`) reads the text, and `knee.step.onnx` writes one token after another. Lengths are fixed;
    `lengths` says how many tokens of a shorter text are real. An architecture alone has no weights: its model is
    written untrained.
    """
    from nas.cli.progress import StepProgress
    from nas.export.programs import write_programs
    from nas.latency.reach import known_precision

    wanted = {"onnxruntime": onnx, "executorch": executorch}
    asked = {name: path for name, path in wanted.items() if path is not None}
    if bundle is not None:
        if (
            asked
            or transformers is not None
            or any(given is not None for given in (input_length, output_length, batch))
        ):
            raise InvalidInput.of("bundle", str(bundle), "--bundle alone, at the configuration's workload", "ask twice")
        _bundle(file, bundle, weights, as_json)
        return
    if not asked and transformers is None:
        allowed = "a file to write, with --onnx, --executorch, --bundle or --transformers"
        raise InvalidInput.of("onnx", None, allowed, "say what to write")
    for name, path in asked.items():
        check_file("onnx" if name == "onnxruntime" else name, path)
    known = {name: known_precision(name, precision, "precision") for name in asked}
    architecture, workload = read_subject(file, batch, input_length, output_length)
    config = read_config_file(file)
    content = None
    if config is not None and (config.weights is not None or weights is not None):
        content = find_weights(config, weights)
    elif weights is not None:
        content = read_file(weights)
    else:
        note("No weights: the model is written untrained.")
    if transformers is not None:
        _transformers(architecture, content, transformers)
    if not asked:
        return
    written: list[Program] = []
    for name, path in asked.items():
        with StepProgress() as progress:
            written += write_programs(
                architecture,
                content,
                path,
                workload,
                runtime_name=name,
                precision=known[name],
                progress=progress,
            )
    note(f"{architecture.id} at {workload.key}, {precision}:")
    if as_json:
        print_json({"programs": [_plain(program) for program in written]})
        return
    rows = [
        (
            str(program.path),
            f"{program.size_bytes / 1e6:.3f}",
            f"{program.difference:.1e}",
            _shortened([f"{name} {kind} {list(shape)}" for name, (kind, shape) in program.inputs.items()]),
            _shortened(program.outputs),
        )
        for program in written
    ]
    print_table(table_of(("file", " size [MB]", " off torch by", "inputs", "outputs"), rows))


def _transformers(architecture: Architecture, weights: bytes | None, folder: Path) -> None:
    from nas.export.transformers_form import form_of, write_transformers
    from nas.export.weights import load_weights
    from nas.models import EncoderDecoderModel, build_model

    form = form_of(architecture)  # says why there is none
    model = build_model(architecture, seed=0)
    assert not isinstance(model, EncoderDecoderModel)
    if weights is not None:
        load_weights(model, weights)
    difference = write_transformers(model, folder)
    note(f"{folder}: {form.model_class}, logits off by {difference:.1e}.")


def _bundle(file: Path, target: Path, weights: Path | None, as_json: bool) -> None:
    from nas.cli.progress import StepProgress
    from nas.export.bundle import Contents, write_bundle

    check_file("bundle", target)
    config = read_config_file(file)
    if config is None:
        raise InvalidInput.of(
            "file", str(file), "a configuration", "of an architecture alone write --onnx or --executorch"
        )
    content = find_weights(config, weights) if config.weights is not None or weights is not None else None
    document = config.model_dump(mode="json", by_alias=True, exclude_none=True)
    with StepProgress() as progress:
        report = write_bundle(Contents(document, content), target, progress)
    if as_json:
        print_json(report.model_dump(mode="json", by_alias=True))
        return
    note(f"{target}: {target.stat().st_size / 1e6:.3f} MB, {len(report.programs)} programs.")
    rows = [(each.file, f"{each.size_bytes / 1e6:.3f}", f"{each.difference:.1e}") for each in report.programs]
    print_table(table_of(("program", " size [MB]", " off torch by"), rows))
    if report.quality is not None:
        scores = [("torch", *report.quality.torch.values())]
        scores += [(f"{by.runtime} {by.precision}", *by.metrics.values()) for by in report.quality.programs]
        print_table(table_of(("", *(f" {name}" for name in report.quality.torch)), scores))
        note(f"On {report.quality.examples} of {report.quality.of} {report.quality.unit} of the validation split.")
    for left in report.left_out:
        note(f"Left out: {left.runtime} {left.precision}: {left.reason}")


def _shortened(names: Sequence[str]) -> str:
    """Return names a line each, those of a long list left out in the middle."""
    if len(names) <= 5:
        return "\n".join(names)
    return "\n".join([*names[:3], f"… {len(names) - 4} more", names[-1]])


def _plain(program: Program) -> dict[str, object]:
    return {
        "file": str(program.path),
        "phase": program.phase,
        "size_bytes": program.size_bytes,
        "difference": program.difference,
        "inputs": [{"name": n, "type": kind, "shape": list(shape)} for n, (kind, shape) in program.inputs.items()],
        "outputs": list(program.outputs),
    }
