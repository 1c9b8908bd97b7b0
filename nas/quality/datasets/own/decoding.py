"""From the bytes of a file to its lines: UTF-8, or UTF-16 that says so; anything else is refused where it begins."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from nas.errors import InvalidInput

Source = Callable[[], Iterable[bytes]]
"""Opens the file from its beginning: bytes in pieces of any size. Asked once a pass."""
Tell = Callable[[int], None]
"""Told how many bytes have been read."""

PIECE_BYTES = 1 << 20
LONGEST_ROW = 16 << 20
"""Characters of one line of a table: a larger one is a mistake, and would be held in memory."""
ALLOWED = "text in UTF-8, or in UTF-16 with a byte-order mark"
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_BINARY = (
    (b"PK\x03\x04", "a ZIP archive (a spreadsheet such as .xlsx is one)"),
    (b"\x1f\x8b", "compressed by gzip"),
    (b"BZh", "compressed by bzip2"),
    (b"\xfd7zXZ", "compressed by xz"),
    (b"(\xb5/\xfd", "compressed by zstd"),
    (b"PAR1", "a Parquet file"),
    (b"%PDF-", "a PDF"),
    (b"SQLite format 3", "a SQLite database"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
)


def file_source(path: Path) -> Source:
    """Return what reads a file on this machine."""

    def read() -> Iterator[bytes]:
        with path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece

    return read


def told(pieces: Iterable[bytes], tell: Tell | None) -> Iterator[bytes]:
    """Yield the pieces, telling of each."""
    read = 0
    for piece in pieces:
        read += len(piece)
        if tell is not None:
            tell(read)
        yield piece


def verified(pieces: Iterable[bytes], sha256: str) -> Iterator[bytes]:
    """Yield the pieces; raise `InvalidInput` at their end unless they have this SHA-256."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
        yield piece
    if digest.hexdigest() != sha256:
        raise InvalidInput.of(
            "file", f"sha256 {digest.hexdigest()}", f"the content that was pinned, sha256 {sha256}", "add it again"
        )


def lines(pieces: Iterable[bytes], *, cut_at: int | None = None) -> Iterator[str]:
    """Yield the lines of a text, each with its line feed; the last may have none.

    With `cut_at`, a longer line comes in parts of so many characters; without, one beyond `LONGEST_ROW` is refused.
    Raises `InvalidInput` (field `file`) for bytes that are no text, with line and offset.
    """
    rest, number = "", 1
    for text in _decoded(pieces):
        *whole, rest = (rest + text).split("\n")
        number += len(whole)
        if cut_at is None:
            for line in whole:
                yield line + "\n"
            if len(rest) > LONGEST_ROW:
                raise _too_long(number)
        else:
            for line in whole:
                while len(line) > cut_at:
                    yield line[:cut_at]
                    line = line[cut_at:]  # noqa: PLW2901
                yield line + "\n"
            while len(rest) > cut_at:
                yield rest[:cut_at]
                rest = rest[cut_at:]
    if rest:
        yield rest


def _decoded(pieces: Iterable[bytes]) -> Iterator[str]:
    """Yield the text of the pieces."""
    stream = iter(pieces)
    first = b""
    for piece in stream:
        first += piece
        if len(first) >= 64:
            break
    encoding = _encoding(first)
    decoder = codecs.getincrementaldecoder(encoding)()
    offset = next((len(mark) for mark, named in _MARKS if first.startswith(mark) and named == encoding), 0)
    line = 1
    for raw in _from(first[offset:], stream):
        pending = len(decoder.getstate()[0])
        try:
            text = decoder.decode(raw)
        except UnicodeDecodeError as error:
            raise _undecodable(error, offset - pending, line, encoding) from error
        if "\0" in text:
            at = text.index("\0")
            before = text[:at]
            raise _binary(offset - pending + len(before.encode(encoding)), line + before.count("\n"), "")
        offset += len(raw)
        line += text.count("\n")
        yield text
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise _undecodable(error, offset - len(error.object), line, encoding) from error


def _from(first: bytes, stream: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from stream


def _encoding(first: bytes) -> str:
    """Return the encoding that a file says it has; raise `InvalidInput` for what is no text at all."""
    if first.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise _wrong("a byte-order mark of UTF-32", "convert it: iconv -f UTF-32 -t UTF-8 FILE > NEW-FILE")
    for mark, encoding in _MARKS:
        if first.startswith(mark):
            return encoding
    for mark, kind in _BINARY:
        if first.startswith(mark):
            raise _binary(0, 1, kind)
    for at, encoding in ((1, "UTF-16LE"), (0, "UTF-16BE")):
        if len(first) >= 8 and not any(first[at:8:2]) and all(first[1 - at : 8 : 2]):
            raise _wrong(
                f"a zero byte at every second place (as {encoding} without a byte-order mark)",
                f"convert it: iconv -f {encoding} -t UTF-8 FILE > NEW-FILE",
            )
    return "utf-8"


def _wrong(value: str, next_step: str) -> InvalidInput:
    return InvalidInput.of("file", value, ALLOWED, next_step)


def _binary(offset: int, line: int, kind: str) -> InvalidInput:
    found = kind or f"a zero byte at offset {offset} (line {line})"
    return _wrong(f"binary data: {found}", "export the data as CSV, TSV, JSONL or plain text, uncompressed")


def _undecodable(error: UnicodeDecodeError, start: int, line: int, encoding: str) -> InvalidInput:
    zero = error.object.find(0) if encoding == "utf-8" else -1
    if zero >= 0:
        return _binary(start + zero, line + error.object.count(b"\n", 0, zero), "")
    at = line + error.object[: error.start].decode(encoding, errors="replace").count("\n")
    found = f"byte 0x{error.object[error.start]:02X} at offset {start + error.start} (line {at})"
    if encoding != "utf-8":
        return _wrong(f"{found}, not {encoding.upper()}", "save the file again as UTF-8")
    return _wrong(
        f"{found}, not UTF-8",
        "if the whole file is in Windows-1252 (or ISO-8859-1 …), convert it: "
        "iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW-FILE; if only some lines are, mend those",
    )


def _too_long(line: int) -> InvalidInput:
    return InvalidInput.of(
        "file",
        f"more than {LONGEST_ROW:,} characters in line {line}",
        f"rows of at most {LONGEST_ROW:,} characters",
        "check that rows end with line feeds; shorten this one",
    )
