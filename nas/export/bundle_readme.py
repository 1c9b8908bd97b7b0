"""The README of a bundle: what the model is, what it promises, what was checked, and how to use it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nas.architecture import Architecture, Stack
from nas.export.bundle_report import BundleReport, ProgramRecord
from nas.export.config import Config

_FAMILY = {"encoder": "an encoder", "decoder": "a decoder", "encoder-decoder": "an encoder–decoder"}


def readme(config: Config, report: BundleReport, documents: Sequence[str]) -> str:
    """Return the README as Markdown; `documents` are the names of further documents in the bundle."""
    architecture = Architecture.from_dict(config.architecture, "config.architecture")
    parts = [
        f"# {architecture.id}",
        _what(config, architecture),
        "## What it promises\n\n" + _promises(config, report),
        "## What was checked\n\n" + _checked(report),
        "## Use it\n\n" + _use(config, architecture, report),
        "## Check it again\n\n"
        "`python rebuild.py` builds the model anew from `config.yaml` and holds its parameters, MACs, quality, "
        "programs and, where the device of a promise is the machine it runs on, its latency against what is recorded "
        "here. It needs `pip install pocketformer`, and `executorch` for the `.pte` files.",
        "## What is in here\n\n" + _files(report, documents, config),
    ]
    return "\n\n".join(parts) + "\n"


def _what(config: Config, architecture: Architecture) -> str:
    data, where = config.dataset, config.provenance
    text = f"This is {_FAMILY[architecture.family]}: " + "; ".join(
        f"{_stack(stack)}{f' ({name})' if len(architecture.stacks) > 1 else ''}" for name, stack in architecture.stacks
    )
    text += f". It reads up to {config.workload.input_length} tokens"
    if config.workload.output_length:
        text += f" and writes up to {config.workload.output_length}"
    text += "."
    if data is not None:
        text += f" It was trained for `{data.name}` ({data.version}, sha256 `{data.sha256[:12]}…`)"
        if config.training is not None:
            text += f", {config.training.plan.steps} steps with seed {config.training.seed}"
        text += "."
    if where is not None:
        text += f" It is trial {where.trial} of job `{where.job}`, from the search space `{where.search_space}`."
    return text


def _stack(stack: Stack) -> str:
    kinds = list(dict.fromkeys(layer.attention for layer in stack.layers))
    layers = f"{len(stack.layers)} layer{'s' if len(stack.layers) > 1 else ''}"
    repeated = f" run {stack.repeats} times" if stack.repeats > 1 else ""
    return f"{layers}{repeated} of hidden size {stack.hidden_size} with {' and '.join(kinds)} attention"


def _promises(config: Config, report: BundleReport) -> str:
    costs = config.costs
    rows = [
        ("parameters", f"{costs.parameters:,}", ""),
        (f"MACs at {config.workload.key}", f"{costs.macs:,}", "one multiply-add is 1"),
        ("size in fp32", f"{costs.size_mb:.3f} MB", ""),
    ]
    if config.quality is not None:
        label = f"{config.quality.label}, on {config.quality.split}"
        rows += [(name, f"{value:.5g}", label) for name, value in config.quality.metrics.items()]
    measured = {each.device: each for each in report.latency}
    for device, promise in config.latency.items():
        note = f"90 %: {promise.lower_ms:.4g} to {promise.upper_ms:.4g} ms; table {promise.table_version}"
        here = measured.get(device)
        if here is not None and here.latency_ms is not None:
            note += f"; measured {here.latency_ms:.4g} ms" + ("" if here.valid else f", in doubt: {here.reason}")
        rows.append((f"latency on `{device}`", f"{promise.latency_ms:.4g} ms", note))
    return _table(("", "recorded", ""), rows)


def _checked(report: BundleReport) -> str:
    head = "Every program was run here and held against torch before it was put into this bundle.\n\n"
    rows = [
        (f"`{each.file}`", f"{each.size_bytes / 1e6:.3f}", f"{each.difference:.1e}", f"{each.allowed:g}")
        for each in report.programs
    ]
    text = head + _table(("program", "size [MB]", "off torch by", "allowed"), rows)
    if report.quality is not None:
        check = report.quality
        names = list(check.torch)
        rows_of_quality = [("torch", *(f"{check.torch[name]:.5g}" for name in names))]
        rows_of_quality += [
            (f"{by.runtime} {by.precision}", *(f"{by.metrics[n]:.5g} ({by.lost[n]:+.2g})" for n in names))
            for by in check.programs
        ]
        text += f"\n\nQuality on {check.examples:,} of {check.of:,} {check.unit} of the validation split, and in "
        text += "brackets how much worse than torch's:\n\n" + _table(("", *names), rows_of_quality)
    elif report.quality_note:
        text += f"\n\nQuality was not checked: {report.quality_note}."
    if report.written is not None:
        same = ", ".join(f"{by.same} with {by.runtime} {by.precision}" for by in report.written.programs)
        text += (
            f"\n\nOf {report.written.texts} texts written with cached decoding, up to {report.written.tokens} tokens "
        )
        text += f"each, so many are token by token what torch writes: {same}."
    if report.transformers_note:
        text += f"\n\nIn the form of the library transformers it is not here: {report.transformers_note}."
    if report.left_out:
        text += "\n\nNot in here:\n\n" + "\n".join(f"- {e.runtime} {e.precision}: {e.reason}" for e in report.left_out)
    return text


def _use(config: Config, architecture: Architecture, report: BundleReport) -> str:
    first = report.programs[0]
    programs = [p for p in report.programs if (p.runtime, p.precision) == (first.runtime, first.precision)]
    question = "a text"
    text = (
        "```python\n"
        "from nas.export.opened import open_bundle\n\n"
        f'model = open_bundle(".", runtime="{first.runtime}", precision="{first.precision}")\n'
        f'print(model.answer("{question}"))\n'
        "```\n\n"
    )
    text += "An application calls the programs themselves:\n\n" + "\n".join(_signature(each) for each in programs)
    text += "\n\nTexts are tokens of `vocabulary.json`, int64, padded on the right with 0; `lengths` says how many are "
    text += "real."
    if architecture.family != "encoder":
        text += (
            " The first program reads the text; the step reads one token at a time, at its position, with the caches "
            "that the run before it gave back (`next_cache_i_j` becomes `cache_i_j`)."
        )
    if architecture.family == "encoder-decoder":
        text += " Decoding begins with token 0 at position 0 and caches of zeros."
    if config.latency and first.runtime == "onnxruntime":
        text += (
            " The promised latency is that of a session with one thread and "
            '`disabled_optimizers=["SkipLayerNormFusion"]`.'
        )
    return text


def _signature(program: ProgramRecord) -> str:
    inputs = ", ".join(f"{each.name} {each.type}{list(each.shape)}" for each in program.inputs[:4])
    more = f", … ({len(program.inputs)} inputs in all, see `report.json`)" if len(program.inputs) > 4 else ""
    shown = ", ".join(program.outputs[:3]) + (", …" if len(program.outputs) > 3 else "")
    return f"- `{program.file}`: {inputs}{more} → {shown}"


def _files(report: BundleReport, documents: Iterable[str], config: Config) -> str:
    rows = [("`config.yaml`", "the configuration: architecture, costs, quality, promises, data, training, provenance")]
    known = {"job": "the job that found it", "search_space": "the space that it is from", "trial": "all its metrics"}
    rows += [(f"`{name}.yaml`", known.get(name, "")) for name in documents]
    if config.weights is not None:
        rows.append(("`model.safetensors`", "the weights"))
    if config.dataset is not None and config.dataset.vocabulary:
        rows.append(("`vocabulary.json`", "how text becomes tokens"))
    if config.dataset is not None and config.dataset.output_vocabulary:
        rows.append(("`output_vocabulary.json`", "how tokens that are written become text"))
    rows.append(("`programs/`", f"{len(report.programs)} programs, by runtime and precision"))
    if report.transformers is not None:
        name = report.transformers.model_class
        rows.append(
            (
                "`transformers/`",
                f"the same model for `{name}.from_pretrained`, logits off by {report.transformers.difference:.1e}",
            )
        )
    rows.append(("`report.json`", "what was checked, in figures"))
    return _table(("file", "what"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines)
