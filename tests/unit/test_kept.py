"""Values kept on disk for the next process: what they save, and what they survive."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas import kept
from nas.attention_types import ATTENTION_TYPES, AttentionType
from nas.costs import counting, kept_counts, sub_block_costs
from nas.errors import InvalidInput
from nas.kept import Kept
from nas.quality.datasets import dataset_info, kept_info, load_dataset
from nas.sub_blocks import Call, SubBlock

HEAD = SubBlock.of("head", hidden_size=16, norm_position="pre", outputs=3)
CALL = Call(HEAD, "forward", 1, 8)


def unknown() -> int:
    raise AssertionError("this was known")


def test_what_one_process_has_found_the_next_one_knows(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "kept.jsonl"
    assert Kept(file).known("a", lambda: {"macs": [1, 2.5, None]}) == {"macs": [1, 2.5, None]}
    assert Kept(file).known("a", unknown) == {"macs": [1, 2.5, None]}


def test_two_processes_add_to_one_file(tmp_path: Path) -> None:
    one, other = Kept(tmp_path / "kept"), Kept(tmp_path / "kept")
    for number in range(5):
        one.known(f"one {number}", lambda n=number: n)
        other.known(f"other {number}", lambda n=number: -n)
    both = Kept(tmp_path / "kept")
    assert [both.known(f"{who} {n}", unknown) for n in range(5) for who in ("one", "other")] == [
        0, 0, 1, -1, 2, -2, 3, -3, 4, -4,
    ]  # fmt: skip


def test_a_line_that_a_crash_has_torn_is_found_again(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    for key in ("a", "b"):
        Kept(file).known(key, lambda: 1)
    file.write_bytes(file.read_bytes()[:-4])
    assert Kept(file).known("a", unknown) == 1
    assert Kept(file).known("b", lambda: 2) == 2
    assert Kept(file).known("b", unknown) == 2


def test_a_place_that_cannot_be_written_costs_nothing_but_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    unwritable = Kept(tmp_path / "file" / "kept")
    assert unwritable.known("a", lambda: 1) == 1
    assert unwritable.known("b", lambda: 2) == 2
    assert caplog.text.count("nothing is kept for the next start") == 1


def test_a_file_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "LARGEST_BYTES", 100)
    large = Kept(tmp_path / "kept")
    for number in range(50):
        assert large.known(str(number), lambda n=number: n) == number
    assert os.path.getsize(tmp_path / "kept") <= 100


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache directory of the test's own; nothing is counted or known in this process."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(kept_counts, "_opened", None)
    monkeypatch.setattr(kept_info, "_opened", None)
    forget_counts()
    yield tmp_path / "pocketformer"
    forget_counts()


def forget_counts() -> None:
    for counted in ("_weight_shapes", "macs_of_call", "peak_bytes_of_call", "cache_bytes_of_call"):
        getattr(sub_block_costs, counted).cache_clear()


def counts() -> tuple[int, ...]:
    return (
        sub_block_costs.parameters_of_sub_block(HEAD),
        sub_block_costs.int8_bytes_of_sub_block(HEAD),
        sub_block_costs.macs_of_call(CALL),
        sub_block_costs.peak_bytes_of_call(CALL),
    )


def test_kept_counts_are_those_that_would_be_counted(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = counts()
    assert not cache.exists()
    for _ in range(2):
        forget_counts()
        kept_counts.keep_counts()
        assert counts() == plain
    forget_counts()
    kept_counts.keep_counts()
    for name in ("weight_shapes", "macs", "peak", "left_in_cache"):
        monkeypatch.setattr(counting, name, lambda *_: unknown())
    assert counts() == plain


def test_counts_of_other_code_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    before = kept_counts._fingerprint()
    assert kept_counts._fingerprint() == before
    monkeypatch.setitem(ATTENTION_TYPES, "other", AttentionType("other", "json:JSONDecoder", ()))
    assert kept_counts._fingerprint() != before


def test_kept_facts_about_a_dataset_are_those_of_the_data(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept_info.keep_dataset_infos()
    assert dataset_info("python-docs") == load_dataset("python-docs").info
    kept_info.keep_dataset_infos()
    monkeypatch.setattr("nas.quality.datasets.load_dataset", lambda _: unknown())
    assert json.dumps(dataset_info("python-docs").to_dict()) == json.dumps(load_dataset("python-docs").info.to_dict())
    assert list((cache / kept_info.FOLDER).iterdir())
    with pytest.raises(InvalidInput, match="python-docs"):
        dataset_info("nothing-like-it")
