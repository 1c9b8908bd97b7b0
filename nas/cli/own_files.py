"""Files of one's own that a job names by path: brought to where the job goes, with a bar while it takes time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nas.errors import InvalidInput

if TYPE_CHECKING:
    from nas.quality.datasets import DatasetInfo

MB = 1_000_000

Document = dict[str, Any]


class Shelf(Protocol):
    """Where files are kept: a database, or a server."""

    def add_file(self, name: str, pieces: Iterator[bytes], size_bytes: int) -> Document:
        """Keep a file; return what is told of it. Raises `Conflict` if its name stands for another content."""


def with_file_added(document: Document, folder: Path, shelf: Shelf) -> Document:
    """Return a job's document with the file that it names by path added, and named as it is kept.

    A path is one from `folder`, or absolute. A name of no file there is left as it is: the file may have been added
    before. Raises `InvalidInput` for a path to nothing.
    """
    task = document.get("task")
    own = task.get("dataset") if isinstance(task, dict) else None
    if not isinstance(task, dict) or not isinstance(own, dict) or not isinstance(own.get("file"), str):
        return document  # a bundled dataset, or a document that is refused for its form
    named = own["file"]
    path = folder / named
    if not path.is_file():
        if path.name != named:
            raise InvalidInput.of(
                "task.dataset.file", named, "a file beside the job document, or a path to one", "check the path"
            )
        return document
    add_file(path, shelf)
    return document | {"task": task | {"dataset": own | {"file": path.name}}}


def add_file(path: Path, shelf: Shelf) -> Document:
    """Add a file under its own name; raise `InvalidInput` where it can't be read or its name can't be kept."""
    from nas.quality.datasets.own.document import check_file_name

    check_file_name(path.name)
    size = size_of(path)
    with reading_progress(f"adding {path.name} (MB)", size) as told:
        return shelf.add_file(path.name, told(pieces_of(path)), size)


def size_of(path: Path) -> int:
    """Return the bytes of a file; raise `InvalidInput` where there is none that can be read."""
    try:
        with path.open("rb") as file:
            return file.seek(0, 2)
    except OSError as error:
        raise InvalidInput.of(
            "file", str(path), "a file that can be read", f"check the path ({error.strerror})"
        ) from error


def pieces_of(path: Path) -> Iterator[bytes]:
    """Yield the content of a file, a megabyte at a time."""
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            yield piece


@contextmanager
def reading_progress(phase: str, size_bytes: int) -> Iterator[Callable[[Iterator[bytes]], Iterator[bytes]]]:
    """Show how far a file has been read; yields what to put the pieces through."""
    from nas.cli.progress import StepProgress

    with StepProgress() as shown:

        def told(pieces: Iterator[bytes]) -> Iterator[bytes]:
            done = 0
            for piece in pieces:
                done += len(piece)
                shown(phase, done // MB, max(1, size_bytes // MB))
                yield piece

        yield told


def info_of_job(job: Path) -> DatasetInfo:
    """Return the facts about the dataset of a job document, a file of one's own beside it prepared from there.

    Raises `InvalidInput` for a document without a dataset, or a file that is not there.
    """
    import hashlib

    from nas.cli.options import read_document
    from nas.documents import validate
    from nas.quality.datasets import dataset_info
    from nas.quality.datasets.own.decoding import file_source
    from nas.quality.datasets.own.document import PinnedData
    from nas.quality.datasets.own.prepared import open_prepared, prepared_folder
    from nas.quality.datasets.own.preparing import prepare
    from nas.search.job import TaskSpec

    task = read_document(job).get("task")
    if not isinstance(task, dict) or not isinstance(task.get("dataset"), dict):
        return dataset_info(validate(TaskSpec, task, "task").dataset)  # type: ignore[arg-type]  # no file: a name
    path = job.parent / str(task["dataset"].get("file"))
    own = validate(TaskSpec, task | {"dataset": task["dataset"] | {"file": path.name}}, "task").dataset
    size, digest = size_of(path), hashlib.sha256()
    with reading_progress(f"reading {path.name} (MB)", size) as told:
        for piece in told(pieces_of(path)):
            digest.update(piece)
    pinned = PinnedData.model_validate({"own": own, "file_sha256": digest.hexdigest()})
    try:
        prepare(file_source(path), pinned, prepared_folder(pinned))
    except InvalidInput as error:
        raise error.under("task.dataset") from error
    return open_prepared(pinned).info
