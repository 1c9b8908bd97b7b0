"""The tasks that models are trained for: one file each, one line here."""

from __future__ import annotations

from nas.quality.tasks.classification import SequenceClassification
from nas.quality.tasks.language_model import LanguageModel
from nas.quality.tasks.sequence_to_sequence import SequenceToSequence
from nas.quality.tasks.task import Batch, Task

TASKS: dict[str, Task] = {task.name: task for task in (SequenceClassification(), LanguageModel(), SequenceToSequence())}

__all__ = ["TASKS", "Batch", "Task"]
