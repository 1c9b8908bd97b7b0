"""Files in the store, on SQLite and on PostgreSQL: whole or not at all, streamed both ways, one content a name."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC

import pytest
from sqlalchemy import func, select

from nas.errors import Conflict, InvalidInput, NotFound
from nas.store.files import CHUNK_BYTES, FileRecord
from nas.store.store import Store
from nas.store.tables import file_chunks, file_contents, files

LONG = bytes(range(256)) * 4096 * 2 + b"end"  # two chunks and a little


def rows(store: Store) -> tuple[int, int, int]:
    """Return how many files, contents and chunks there are."""
    with store._database.read() as connection:
        counts = [connection.execute(select(func.count()).select_from(t)) for t in (files, file_contents, file_chunks)]
        return tuple(count.scalar_one() for count in counts)  # type: ignore[return-value]


def content_of(store: Store, name: str) -> bytes:
    return b"".join(store.file_pieces(name))


def pieces(content: bytes, size: int) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


@pytest.mark.parametrize("size", [7_919, CHUNK_BYTES, 3 * CHUNK_BYTES])
def test_a_file_reads_back_as_it_came_in_whatever_pieces(store: Store, size: int) -> None:
    record, created = store.add_file("reviews.csv", pieces(LONG, size))
    assert created
    assert (record.name, record.size_bytes) == ("reviews.csv", len(LONG))
    assert record.sha256 == hashlib.sha256(LONG).hexdigest()
    assert record.created_at.tzinfo is UTC
    assert store.file("reviews.csv") == record
    assert store.files() == [record]
    chunks = list(store.file_pieces("reviews.csv"))
    assert b"".join(chunks) == LONG
    assert max(map(len, chunks)) <= CHUNK_BYTES
    assert rows(store) == (1, 1, 3)


def test_an_empty_file_is_one(store: Store) -> None:
    store.add_file("empty.txt", [])
    assert content_of(store, "empty.txt") == b""
    assert store.file("empty.txt").size_bytes == 0


def test_files_are_listed_by_name_and_unknown_ones_are_not_found(store: Store) -> None:
    for name in ("b.csv", "a.csv"):
        store.add_file(name, [name.encode()])
    assert [record.name for record in store.files()] == ["a.csv", "b.csv"]
    for ask in (store.file, lambda name: next(store.file_pieces(name))):
        with pytest.raises(NotFound, match=r"'c\.csv'"):
            ask("c.csv")
    with pytest.raises(InvalidInput, match="file"):
        store.add_file("nul \0.csv", [])


def test_the_same_content_under_its_name_again_changes_nothing(store: Store) -> None:
    first, _ = store.add_file("reviews.csv", [LONG])
    before = rows(store)
    assert store.add_file("reviews.csv", pieces(LONG, 1000)) == (first, False)
    assert rows(store) == before


def test_another_content_under_a_taken_name_is_a_conflict_and_leaves_nothing(store: Store) -> None:
    store.add_file("reviews.csv", [LONG])
    before = rows(store)
    with pytest.raises(Conflict, match=r"another file 'reviews\.csv'.*another name"):
        store.add_file("reviews.csv", [LONG, b"more"])
    assert rows(store) == before
    assert content_of(store, "reviews.csv") == LONG


def test_one_content_under_two_names_is_kept_once(store: Store) -> None:
    store.add_file("a.csv", [LONG])
    store.add_file("b.csv", [LONG])
    assert rows(store) == (2, 1, 3)
    assert content_of(store, "b.csv") == content_of(store, "a.csv") == LONG


def test_an_upload_does_not_exist_until_it_is_finished(store: Store) -> None:
    upload = store.upload("reviews.csv")
    upload.write(LONG)
    assert store.files() == []
    upload.finish()
    upload.abandon()  # does nothing to a finished one
    assert content_of(store, "reviews.csv") == LONG


def test_an_upload_that_breaks_off_leaves_nothing(store: Store) -> None:
    def broken() -> object:
        yield LONG
        raise OSError("the connection was lost")

    with pytest.raises(OSError, match="lost"):
        store.add_file("reviews.csv", broken())  # type: ignore[arg-type]
    assert rows(store) == (0, 0, 0)


def test_what_a_killed_upload_left_is_removed_by_the_next_one_but_not_one_that_goes_on(store: Store) -> None:
    killed, slow = store.upload("killed.csv"), store.upload("slow.csv")
    killed.write(LONG)
    slow.write(LONG)
    store.add_file("first.csv", [b"first"])
    assert rows(store) == (1, 3, 5)  # both may go on yet
    upload = store.upload("next.csv", stale_s=-1)
    upload.write(b"next")
    upload.finish()
    assert rows(store) == (2, 2, 2)
    with pytest.raises(Conflict, match=r"'slow\.csv'.*start it again"):
        slow.write(LONG)
    with pytest.raises(Conflict, match=r"'killed\.csv'.*start it again"):
        killed.finish()
    assert rows(store) == (2, 2, 2)


def at_once(store: Store, names: list[str], contents: list[bytes]) -> list[tuple[FileRecord, bool] | Exception]:
    def add(name: str, content: bytes) -> tuple[FileRecord, bool] | Exception:
        try:
            return store.add_file(name, pieces(content, 300_000))
        except Conflict as error:
            return error

    with ThreadPoolExecutor(len(names)) as pool:
        return list(pool.map(add, names, contents))


def test_many_uploads_of_one_file_at_once_make_one(store: Store) -> None:
    results = at_once(store, ["a.csv"] * 6, [LONG] * 6)
    assert [result[1] for result in results if not isinstance(result, Exception)].count(True) == 1
    assert rows(store) == (1, 1, 3)


def test_of_different_contents_under_one_name_at_once_one_is_taken(store: Store) -> None:
    contents = [LONG + bytes([n]) for n in range(6)]
    results = at_once(store, ["a.csv"] * 6, contents)
    assert sum(isinstance(result, Conflict) for result in results) == 5
    assert rows(store) == (1, 1, 3)
    assert content_of(store, "a.csv") in contents


def test_one_content_under_many_names_at_once_is_kept_once(store: Store) -> None:
    names = [f"{n}.csv" for n in range(6)]
    at_once(store, names, [LONG] * 6)
    assert rows(store) == (6, 1, 3)
    assert all(content_of(store, name) == LONG for name in names)
