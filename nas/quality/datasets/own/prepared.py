"""Opening a prepared dataset: arrays that stay on disk, and only what a batch needs is read."""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from nas.cache import cache_directory
from nas.errors import PocketformerError
from nas.quality.datasets.dataset import Dataset, DatasetInfo, Split
from nas.quality.datasets.own.document import PinnedData
from nas.quality.datasets.own.preparing import INFO
from nas.quality.datasets.sequences import Sequences
from nas.quality.datasets.splits import SPLITS, SplitName

FOLDER = "datasets"
KEPT_DAYS = 30


def prepared_folder(pinned: PinnedData) -> Path:
    """Return where own data is prepared on this machine, whether or not it is there."""
    return cache_directory() / FOLDER / pinned.key


def is_prepared(pinned: PinnedData) -> bool:
    """Return whether own data is prepared on this machine."""
    return (prepared_folder(pinned) / INFO).exists()


def open_prepared(pinned: PinnedData) -> Dataset:
    """Return own data that was prepared on this machine; raise `PocketformerError` where it was not."""
    folder = prepared_folder(pinned)
    try:
        facts = json.loads((folder / INFO).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PocketformerError(
            f"the data of {pinned.own.file} (sha256 {pinned.file_sha256[:12]}…) is not prepared on this machine: "
            "a worker prepares it in its cache folder when it takes up a job, `nas search` before it submits one; "
            "Dask workers have to share that folder (docs/operations.md)"
        ) from error
    os.utime(folder)  # what is used stays, see `remove_old_prepared`
    info = DatasetInfo.from_dict(facts["info"])
    splits = {name: _open_split(folder, name, facts["type"], facts["text_bytes"][name], info) for name in SPLITS}
    return Dataset(info, splits)


def remove_old_prepared() -> None:
    """Remove what nobody has opened for `KEPT_DAYS`, and what a killed process left unfinished."""
    oldest = time.time() - KEPT_DAYS * 24 * 3600
    for folder in (cache_directory() / FOLDER).glob("*"):
        with suppress(FileNotFoundError):  # another worker was there first
            if folder.stat().st_mtime < oldest:
                shutil.rmtree(folder)


def _open_split(folder: Path, name: SplitName, kind: str, text_bytes: int, info: DatasetInfo) -> Split:
    labels = targets = None
    if info.task == "sequence-classification":
        labels = np.fromfile(folder / f"{name}.labels", dtype="<u2").astype(np.int64)
        labels.flags.writeable = False
    elif info.task == "sequence-to-sequence":
        targets = _open_sequences(folder, f"{name}.targets", kind)
    return Split(
        _open_sequences(folder, f"{name}.inputs", kind),
        labels,
        targets,
        text_bytes if info.task == "language-model" else None,
    )


def _open_sequences(folder: Path, name: str, kind: str) -> Sequences:
    offsets = np.memmap(folder / f"{name}.offsets", dtype=np.int64, mode="r")
    return Sequences(np.asarray(np.memmap(folder / f"{name}.tokens", dtype=kind, mode="r")), np.asarray(offsets))
