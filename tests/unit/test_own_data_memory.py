"""Large files are streamed: the memory of a process that prepares and trains on one stays far below the file's size."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from own_files import sentences

GB = 1_000_000_000
PREPARE = """
import hashlib, json, random, re, sys, time
from pathlib import Path

from nas.quality.datasets.own.decoding import file_source
from nas.quality.datasets.own.document import OwnData, PinnedData
from nas.quality.datasets.own.prepared import open_prepared, prepared_folder
from nas.quality.datasets.own.preparing import prepare

def peak():
    # Not `ru_maxrss`, which a new process has from the one that started it
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])


path, own = Path(sys.argv[1]), OwnData.model_validate(json.loads(sys.argv[2]))
with path.open("rb") as file:
    pinned = PinnedData(own=own, file_sha256=hashlib.file_digest(file, "sha256").hexdigest())
started = time.perf_counter()
prepare(file_source(path), pinned, prepared_folder(pinned))
prepared_s = time.perf_counter() - started
peak_bytes = peak()

if sys.argv[3] == "train":
    from nas.architecture import TaskShape
    from nas.quality.plan import TrainingPlan
    from nas.quality.training import train
    from nas.quality.task_shapes import task_shape
    from nas.quality.tasks import TASKS
    from nas.workload import Workload
    from tests.unit.small_spaces import small_space

    dataset = open_prepared(pinned)
    task = TASKS[dataset.info.task]
    space, output = {
        "sequence-classification": ("small-encoder", 0),
        "language-model": ("small-decoder", 8),
        "sequence-to-sequence": ("small-encoder-decoder", 8),
    }[dataset.info.task]
    workload = Workload(input_length=8, output_length=output)
    space = small_space(space).for_task(task_shape(dataset.info, workload))
    result = train(space.sample(random.Random(0)), dataset, TrainingPlan(steps=300), workload=workload, seed=0)
    assert result.metrics["loss"] < 1.5 * dataset.info.chance["loss"]  # labels of a table here follow no rule

peak_with_training_bytes = peak()
info = open_prepared(pinned).info
print(json.dumps({"peak_bytes": peak_bytes, "peak_with_training_bytes": peak_with_training_bytes,
                  "prepared_s": prepared_s, "examples": info.examples, "notes": info.notes}))
"""

DOCUMENTS: dict[str, dict[str, Any]] = {
    "csv": {"task": "sequence-classification", "columns": {"text": "text", "label": "label"}},
    "tsv": {"task": "sequence-classification", "columns": {"text": "text", "label": "label"}},
    "jsonl": {"task": "sequence-to-sequence", "columns": {"source": "text", "target": "label"}},
    "txt": {"task": "language-model"},
}


def blocks(form: str) -> Iterator[str]:
    """Yield parts of an endless file, no two rows of it equal."""
    lines, number = sentences(20_000), 0
    if form in ("csv", "tsv"):
        yield "text,label\n" if form == "csv" else "text\tlabel\n"
    while True:
        rows = []
        for line in lines:
            number += 1
            text = f"{number} {line}"
            match form:
                case "csv":
                    rows.append(f'"{text}",{"abc"[number % 3]}\n')
                case "tsv":
                    rows.append(f"{text}\t{'abc'[number % 3]}\n")
                case "jsonl":
                    rows.append(f'{{"text": "{text}", "label": "{text[:20]}"}}\n')
                case _:
                    rows.append(text + ("\n\n" if number % 4 == 0 else "\n"))
        yield "".join(rows)


def measured(folder: Path, form: str, size_bytes: int, *, train: bool, **changes: Any) -> dict[str, Any]:
    """Return what preparing a file of that size in a process of its own took."""
    path = folder / f"large.{form}"
    with path.open("wb") as file:
        for block in blocks(form):
            file.write(block.encode())
            if file.tell() >= size_bytes:
                break
    document = {"file": path.name, **DOCUMENTS[form], **changes}
    command = [sys.executable, "-c", PREPARE, str(path), json.dumps(document), "train" if train else "prepare"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    path.unlink()
    shutil.rmtree(folder / "cache", ignore_errors=True)  # gigabytes
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    print(form, size_bytes, found)
    return found


@pytest.mark.parametrize("form", ["csv", "txt"])
def test_sixteen_megabytes_take_little_more_memory_than_an_interpreter(tmp_path: Path, form: str) -> None:
    found = measured(tmp_path, form, 16_000_000, train=False)
    assert found["peak_bytes"] < 150_000_000
    assert found["examples"]["train"] > 20_000


@pytest.mark.long
@pytest.mark.timeout(3_000)
@pytest.mark.parametrize("form", DOCUMENTS)
def test_two_gigabytes_are_prepared_and_trained_on_within_one(tmp_path: Path, form: str) -> None:
    found = measured(tmp_path, form, 2 * GB, train=True)
    assert found["peak_bytes"] < 300_000_000
    assert found["peak_with_training_bytes"] < 1 << 30
    assert found["examples"]["train"] > 500_000


@pytest.mark.long
@pytest.mark.timeout(3_000)
@pytest.mark.parametrize("kind", ["character", "subword"])
def test_a_learned_vocabulary_takes_no_more_memory(tmp_path: Path, kind: str) -> None:
    found = measured(tmp_path, "txt", GB // 5, train=False, vocabulary={"kind": kind})
    assert found["peak_bytes"] < 500_000_000
