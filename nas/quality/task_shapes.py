"""Which models a dataset's task is for: their family, and what they must offer. Nothing here needs torch."""

from __future__ import annotations

from nas.architecture import Family, TaskShape
from nas.errors import InvalidInput
from nas.quality.datasets.dataset import DatasetInfo, TaskName
from nas.workload import Workload

FAMILIES: dict[TaskName, Family] = {
    "sequence-classification": "encoder",
    "language-model": "decoder",
    "sequence-to-sequence": "encoder-decoder",
}


def task_shape(info: DatasetInfo, workload: Workload) -> TaskShape:
    """Return what models for a dataset at a workload must offer; raise `InvalidInput` for lengths it has not."""
    read, written = workload.input_length, workload.output_length
    if info.task == "language-model":
        return TaskShape(info.vocabulary_size, info.outputs, read + written, task="language-model")
    if info.task == "sequence-classification":
        if written:
            raise InvalidInput.of("workload.output_length", written, "0", "an encoder generates nothing: remove it")
        return TaskShape(info.vocabulary_size, info.outputs, read)
    if not written:
        raise InvalidInput.of(
            "workload.output_length",
            written,
            "at least 1: the tokens that are written, the end token included",
            "give the longest output that the application needs",
        )
    return TaskShape(info.vocabulary_size, info.outputs, read, written, "language-model")
