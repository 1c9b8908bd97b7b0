"""Checks of a bundle: what its programs score, write and take, beside what torch scores and writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from nas.architecture import Architecture
from nas.errors import InvalidInput, MeasurementFailed
from nas.export.bundle_report import LatencyHere, QualityBy, QualityCheck, WrittenBy, WrittenCheck
from nas.export.config import Config, LatencyRecord
from nas.latency.device import Device, this_machine
from nas.latency.measure import measure
from nas.latency.runtimes import Precision, runtime
from nas.models import DecoderModel, EncoderDecoderModel, Model
from nas.models.generation import generate
from nas.quality.datasets import Dataset, load
from nas.quality.datasets.described import vocabulary_from
from nas.quality.datasets.own.prepared import is_prepared
from nas.quality.datasets.vocabulary import PADDING
from nas.quality.sample import sample_of
from nas.quality.tasks import TASKS
from nas.workload import Workload

DEPLOYED: tuple[tuple[str, Precision], ...] = (
    ("onnxruntime", "fp32"),
    ("onnxruntime", "int8-dynamic"),
    ("executorch", "fp32"),
    ("executorch", "int8-dynamic"),
)
"""What a bundle has programs for."""
EXAMPLES = {"sequence-classification": 1000, "language-model": 40, "sequence-to-sequence": 200}
"""Of the validation split, scored by every program: a few seconds each, also where a token is a run."""
TEXTS = 8
WRITTEN_TOKENS = 32

Kind = tuple[str, Precision]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Examples:
    """The examples that programs are judged on, or why there are none."""

    dataset: Dataset | None
    """With one split, of the examples alone."""
    of: int
    workload: Workload
    note: str | None = None


def examples_of(config: Config) -> Examples:
    """Return examples of the validation split of a configuration's data."""
    quality, data, training = config.quality, config.dataset, config.training
    workload = config.workload if training is None else training.workload
    if quality is None or data is None or training is None:
        return Examples(None, 0, workload, "the configuration names no data")
    if quality.evaluator is not None:
        note = f"it was scored by {quality.evaluator.function}, which a bundle does not run"
        return Examples(None, 0, workload, note)
    if data.own is not None and not is_prepared(data.own):
        return Examples(None, 0, workload, f"the data of {data.name} is not prepared on the machine that made this")
    dataset = load(data.reference)
    if dataset.info.sha256 != data.sha256:
        note = f"the data of {data.name} was another version ({dataset.info.version}) where this was made"
        return Examples(None, 0, workload, note)
    split = dataset.split("validation")
    vocabulary = vocabulary_from(dataset.info.vocabulary)
    sample = sample_of(split, EXAMPLES[dataset.info.task], workload, vocabulary)
    length = workload.input_length + workload.output_length
    of = -(-len(split.inputs.tokens) // length) if dataset.info.task == "language-model" else len(split)
    return Examples(replace(dataset, splits={"validation": sample}), of, workload)


def quality_by(examples: Examples, model: Model, deployed: Mapping[Kind, Model], tell: Progress) -> QualityCheck | None:
    """Return what torch and every program score on the examples; None where there are none."""
    dataset = examples.dataset
    if dataset is None:
        return None
    split, task = dataset.split("validation"), TASKS[dataset.info.task]

    def scored(scoring: Model) -> dict[str, float]:
        with torch.no_grad():
            return task.evaluate(scoring, dataset.info, split, examples.workload)

    expected = scored(model)
    found = []
    for done, ((runtime_name, precision), each) in enumerate(deployed.items()):
        tell("scoring", done, len(deployed))
        metrics = scored(each)
        lost = {
            name: metrics[name] - expected[name] for name in metrics
        }  # every task's metrics are the better the lower
        found.append(QualityBy(runtime=runtime_name, precision=precision, metrics=metrics, lost=lost))
    tell("scoring", len(deployed), len(deployed))
    windows = dataset.info.task == "language-model"
    length = examples.workload.input_length + examples.workload.output_length
    return QualityCheck(
        unit="windows" if windows else "texts",
        examples=-(-len(split.inputs.tokens) // length) if windows else len(split),
        of=examples.of,
        torch=expected,
        programs=tuple(found),
    )


def written_by(
    examples: Examples, workload: Workload, model: Model, deployed: Mapping[Kind, Model], tell: Progress
) -> WrittenCheck | None:
    """Return how many texts the programs write as torch does, with cached decoding; None of a model that writes none.

    The texts that they go on from, or translate, are the examples' first ones; without examples, random tokens.
    """
    if not isinstance(model, DecoderModel | EncoderDecoderModel):
        return None
    tokens, mask = _prompts(examples, workload, model.architecture.vocabulary_size)
    count = min(WRITTEN_TOKENS, workload.output_length or 1)

    def written(writing: DecoderModel | EncoderDecoderModel) -> list[list[int]]:
        with torch.no_grad():
            found = generate(writing, tokens, mask, max_new_tokens=count, start_token=PADDING)
        return found.tokens.tolist()

    expected = written(model)
    programs = []
    for done, ((runtime_name, precision), each) in enumerate(deployed.items()):
        tell("writing", done, len(deployed))
        assert isinstance(each, DecoderModel | EncoderDecoderModel)
        same = sum(a == b for a, b in zip(written(each), expected, strict=True))
        programs.append(WrittenBy(runtime=runtime_name, precision=precision, same=same))
    tell("writing", len(deployed), len(deployed))
    return WrittenCheck(texts=len(tokens), tokens=count, programs=tuple(programs))


def _prompts(examples: Examples, workload: Workload, vocabulary_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return texts of different lengths, (N, T) padded on the right, and their mask."""
    length = workload.input_length
    lengths = [max(1, length - place * length // TEXTS) for place in range(TEXTS)]
    if examples.dataset is None:
        tokens = torch.randint(vocabulary_size, (TEXTS, length), generator=torch.Generator().manual_seed(0))
    else:
        inputs = examples.dataset.split("validation").inputs
        text = torch.from_numpy(inputs.tokens[: TEXTS * length].astype("int64"))
        tokens = text[torch.arange(TEXTS * length) % len(text)].reshape(TEXTS, length)
    mask = torch.arange(length)[None] < torch.tensor(lengths)[:, None]
    return torch.where(mask, tokens, 0), mask


def latency_here(
    architecture: Architecture, workload: Workload, promised: Mapping[str, LatencyRecord], tell: Progress
) -> tuple[LatencyHere, ...]:
    """Measure, now, every promised latency whose device is this machine."""
    found = []
    for device, promise in promised.items():
        here = _this_machine_as(promise.fingerprint)
        if here is None:
            continue

        def measuring(phase: str, done: int, total: int, of: str = device) -> None:
            tell(f"latency on {of}: {phase}", done, total)

        try:
            (result,) = measure([architecture], workload, here, progress=measuring)
        except MeasurementFailed as error:
            found.append(LatencyHere(device=device, reason=str(error)))
            continue
        found.append(
            LatencyHere(
                device=device,
                latency_ms=result.latency_ms,
                spread=result.spread,
                valid=result.valid,
                reason=result.reason,
                within=promise.lower_ms <= result.latency_ms <= promise.upper_ms,
            )
        )
    return tuple(found)


def _this_machine_as(fingerprint: str) -> Device | None:
    """Return this machine as the device of that fingerprint; None where it is another one, or has no such runtime."""
    one = this_machine()
    for runtime_name, precision in _kinds_here():
        for threads in range(1, one.cores + 1):
            device = this_machine(threads, runtime_name, precision)
            if device.fingerprint == fingerprint:
                return device
    return None


def _kinds_here() -> Sequence[Kind]:
    return [kind for kind in DEPLOYED if missing(kind[0]) is None]


def missing(runtime_name: str) -> str | None:
    """Return None where a runtime is installed here, else how to install it."""
    try:
        runtime(runtime_name).version()
    except InvalidInput as error:
        return error.problems[0].next_step
    return None
