"""What a job says of a person's own data: the file, the task, the columns, the vocabulary."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from nas.documents import StrictModel
from nas.errors import InvalidInput
from nas.quality.datasets.dataset import TaskName
from nas.quality.datasets.vocabulary import SPECIAL

RULES_VERSION = 1
"""Goes up when other examples, splits or tokens come from the same file and document."""
FILE_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)+$"
"""A name with a suffix, and nothing that means something in a path. Bundled datasets have no dot in theirs."""
MAX_FILE_NAME = 100
FileName = Annotated[str, Field(pattern=FILE_NAME, max_length=MAX_FILE_NAME)]

Format = Literal["csv", "tsv", "jsonl", "txt"]
Role = Literal["text", "label", "source", "target"]
ROLES: dict[TaskName, tuple[Role, ...]] = {
    "sequence-classification": ("text", "label"),
    "language-model": ("text",),
    "sequence-to-sequence": ("source", "target"),
}
"""What each task needs of a row."""
_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "txt",
    ".text": "txt",
    ".md": "txt",
}
_SIZES = {"character": (SPECIAL + 1, 512, 20_000), "subword": (SPECIAL + 256, 2_000, 32_000)}
"""Tokens, special ones included: least, usual, most."""


class VocabularyChoice(StrictModel):
    """How text becomes tokens: bytes of UTF-8, the commonest characters of train, or subwords learned from train."""

    kind: Literal["byte", "character", "subword"] = "byte"
    size: int | None = None
    """At most so many tokens, the special ones included; the usual number where it is not given."""

    @model_validator(mode="after")
    def _size_fits_kind(self) -> VocabularyChoice:
        if self.size is None:
            return self
        if self.kind == "byte":
            raise InvalidInput.of("size", self.size, "no size: there are 256 bytes", "remove it")
        least, _, most = _SIZES[self.kind]
        if not least <= self.size <= most:
            raise InvalidInput.of("size", self.size, f"{least} to {most} for {self.kind}s", "choose another size")
        return self

    @property
    def tokens(self) -> int:
        """The most tokens that the vocabulary may have, of a kind that is learned."""
        return self.size or _SIZES[self.kind][1]


class OwnData(StrictModel):
    """A person's own data (`task.dataset` of the job document): which file, and what its columns are."""

    file: FileName
    task: TaskName
    columns: dict[Role, str] | None = None
    """Which column is what: text and label; source and target; text alone. None for plain text."""
    vocabulary: VocabularyChoice = VocabularyChoice()
    format: Format | None = None
    """By the file's suffix where it is not given."""

    @model_validator(mode="after")
    def _parts_fit(self) -> OwnData:
        known = format_of(self.file)
        if self.format is None and known is None:
            suffixes = ", ".join(_SUFFIXES)
            raise InvalidInput.of("file", self.file, f"a name that ends in {suffixes}", "or say which `format` it has")
        if self.table_format == "txt":
            if self.task != "language-model":
                raise InvalidInput.of(
                    "task", self.task, "language-model, for plain text", "give rows: CSV, TSV or JSONL"
                )
            if self.columns is not None:
                raise InvalidInput.of("columns", self.columns, "no columns: plain text has none", "remove them")
        elif set(self.columns or ()) != set(ROLES[self.task]):
            example = ", ".join(f"{role}: COLUMN" for role in ROLES[self.task])
            raise InvalidInput.of(
                "columns",
                None if self.columns is None else dict(self.columns),
                f"the columns {' and '.join(ROLES[self.task])}, for the task {self.task}",
                f"write `columns: {{{example}}}`",
            )
        return self

    @property
    def table_format(self) -> Format:
        """The format, as given or by the suffix."""
        found = self.format or format_of(self.file)
        assert found is not None  # checked when built
        return found


class PinnedData(StrictModel):
    """Own data with the content of the file fixed: what a job keeps, and what is prepared once."""

    own: OwnData
    file_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

    @property
    def key(self) -> str:
        """A name for what is prepared from it: equal documents over equal files under equal rules."""
        facts: dict[str, Any] = {"rules": RULES_VERSION, **self.model_dump(mode="json")}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def format_of(name: str) -> Format | None:
    """Return the format that a file's suffix stands for; None for an unknown one."""
    return _SUFFIXES.get(PurePath(name).suffix.lower())


def check_file_name(name: str) -> str:
    """Return a file's name; raise `InvalidInput` (field `file`) for one that the store does not take."""
    if len(name) > MAX_FILE_NAME or not re.fullmatch(FILE_NAME, name):
        raise InvalidInput.of(
            "file",
            name,
            "letters, digits, - and _, with a suffix such as .csv, at most 100 characters",
            "rename the file",
        )
    return name
