"""What no dataset can be made of is refused: where it is wrong, what is allowed, what to do."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from own_files import PAIRS, REVIEWS, STORY, pairs, prepared, reviews, sentences, story

from nas.cache import cache_directory
from nas.documents import validate
from nas.errors import InvalidInput, Problem
from nas.quality.datasets.own.document import OwnData, check_file_name
from nas.quality.datasets.own.examples import split_of_text


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def refusal(folder: Path, document: dict[str, Any], content: bytes) -> Problem:
    """Return the one problem of a file, after checking that nothing of it stayed behind."""
    with pytest.raises(InvalidInput) as refused:
        prepared(folder, document, content)
    (problem,) = refused.value.problems
    assert problem.allowed
    assert problem.next_step
    assert list((cache_directory() / "datasets").glob("*")) == []
    return problem


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("xl/sheet.xml", "<a/>")
    return file.getvalue()


@pytest.mark.parametrize("document", [REVIEWS, PAIRS, STORY, {**REVIEWS, "format": "tsv"}])
@pytest.mark.parametrize("content", [b"", b"\n", b"\xef\xbb\xbf", b" \n \r\n\n"])
def test_an_empty_file(tmp_path, document, content):
    assert refusal(tmp_path, document, content).value == "no rows"


def test_a_header_without_rows(tmp_path):
    assert refusal(tmp_path, REVIEWS, b"review,stars\n").value == "no rows"


@pytest.mark.parametrize("document", [REVIEWS, PAIRS, STORY])
@pytest.mark.parametrize(
    ("content", "found"),
    [
        (bytes(range(256)) * 50, "a zero byte at offset 0 (line 1)"),
        (b"review,stars\ngood,1\nb\x00d,2\n" * 100, "a zero byte at offset 21 (line 3)"),
        (zipped(), "a ZIP archive"),
        (gzip.compress(reviews()), "compressed by gzip"),
        (b"%PDF-1.7\n...", "a PDF"),
        (b"PAR1\x15\x04", "a Parquet file"),
    ],
    ids=["every byte", "a zero byte", "xlsx", "gzip", "pdf", "parquet"],
)
def test_binary_rubbish_is_called_so(tmp_path, document, content, found):
    problem = refusal(tmp_path, document, content)
    assert problem.field == "file"
    assert "binary data" in problem.value
    assert found in problem.value


def test_invalid_utf8_is_refused_with_line_offset_and_the_command_to_run(tmp_path):
    content = reviews() + "caf\xe9,1\n".encode("latin-1")
    problem = refusal(tmp_path, REVIEWS, content)
    assert problem.value == f"byte 0xE9 at offset {content.index(bytes([0xE9]) + b',1')} (line 402), not UTF-8"
    assert "iconv -f WINDOWS-1252 -t UTF-8" in problem.next_step


def test_mixed_encodings_far_into_a_file_are_found_where_they_are(tmp_path):
    content = reviews(40_000)
    assert len(content) > 2_500_000  # several pieces
    at = content.index(b"\n", 2_000_000) + 1
    mixed = content[:at] + "Stra\xdfe,1\n".encode("latin-1") + content[at:]
    problem = refusal(tmp_path, REVIEWS, mixed)
    assert problem.value == f"byte 0xDF at offset {at + 4} (line {content[:at].count(10) + 1}), not UTF-8"


def test_a_character_cut_at_the_end_of_the_file_is_invalid(tmp_path):
    assert "not UTF-8" in refusal(tmp_path, STORY, story() + "é".encode()[:1]).value


def test_utf16_without_a_mark_and_utf32_are_refused_with_the_command(tmp_path):
    for encoding, named in (("utf-16-le", "UTF-16LE"), ("utf-16-be", "UTF-16BE"), ("utf-32", "UTF-32")):
        problem = refusal(tmp_path, REVIEWS, reviews().decode().encode(encoding))
        assert f"iconv -f {named} -t UTF-8" in problem.next_step


def test_half_a_surrogate_pair_in_utf16_is_refused(tmp_path):
    content = (
        "﻿".encode("utf-16-le") + reviews().decode().encode("utf-16-le") + b"\x00\xd8" + "a,1\n".encode("utf-16-le")
    )
    assert "not UTF-16-LE" in refusal(tmp_path, REVIEWS, content).value


@pytest.mark.parametrize(
    ("columns", "field"),
    [({"text": "text", "label": "stars"}, "columns.text"), ({"text": "review", "label": "Stars"}, "columns.label")],
)
def test_a_wrong_column_is_answered_with_those_that_there_are(tmp_path, columns, field):
    problem = refusal(tmp_path, {**REVIEWS, "columns": columns}, reviews())
    assert problem.field == field
    assert "(review, stars)" in problem.allowed


def test_a_column_that_one_json_line_lacks_is_refused_with_the_line(tmp_path):
    problem = refusal(tmp_path, PAIRS, pairs() + b'{"from": "x", "till": "y"}\n')
    assert (problem.field, problem.value) == ("columns.target", "to")
    assert "(from, till)" in problem.allowed
    assert "line 401" in problem.next_step


def test_one_class_only(tmp_path):
    problem = refusal(tmp_path, REVIEWS, reviews(classes=1))
    assert (problem.field, problem.value) == ("columns.label", "one class only: '1'")


def test_a_class_with_too_few_rows_is_named_with_their_number(tmp_path):
    problem = refusal(tmp_path, REVIEWS, reviews() + b"what?,unsure\n" * 3)
    assert problem.value == "classes with too few rows: 'unsure' 3"
    assert problem.allowed.startswith("at least 10 rows")


def test_a_class_whose_rows_are_all_equal_may_stand_outside_train(tmp_path):
    held_out = next(text for text in sentences(100, seed=9) if split_of_text(text) == "test")
    problem = refusal(tmp_path, REVIEWS, reviews() + f'"{held_out}",other\n'.encode() * 20)
    assert problem.value == "classes of which no row stands in train: 'other'"


def test_free_text_as_a_label_is_refused_with_a_hint(tmp_path):
    problem = refusal(tmp_path, {**REVIEWS, "columns": {"text": "stars", "label": "review"}}, reviews(1_200))
    assert problem.value.startswith("more than 1000 classes")
    assert "free text or numbers" in problem.next_step


@pytest.mark.parametrize(("document", "content"), [(REVIEWS, reviews(30)), (STORY, story(20)), (PAIRS, pairs(30))])
def test_too_few_rows_for_three_splits_says_how_many_each_has(tmp_path, document, content):
    problem = refusal(tmp_path, document, content)
    assert problem.value.startswith(f"{30 if document is not STORY else 20} examples (")
    assert "at least 10 in each" in problem.allowed


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"{not json}\n", "line 401: {not json}"),
        (b"[1, 2]\n", "line 401: [1, 2]"),
        (b'"text"\n', 'line 401: "text"'),
        (b'{"from": "a", "to": "b"} {}\n', "line 401"),
        (b'{"from": ' + b"[" * 100_000 + b"\n", "line 401"),
        (b'{"from": "a", "to": ' + b"9" * 10_000 + b"}\n", "line 401"),
        (b'{"from": "a\\u0000", "to": "b"}\n', "in the column 'from', line 401"),
        (b'{"from": "a", "to": "\\ud800"}\n', "in the column 'to', line 401"),
    ],
)
def test_malformed_json_names_the_line(tmp_path, line, found):
    problem = refusal(tmp_path, PAIRS, pairs() + line)
    assert problem.field == "file"
    assert found in problem.value


def test_a_json_value_that_is_no_text_is_refused(tmp_path):
    problem = refusal(tmp_path, PAIRS, pairs() + b'{"from": "a", "to": 3}\n')
    assert (problem.field, problem.value) == ("columns.target", "3 in line 401")
    labels = "".join(json.dumps({"t": text, "l": 0.5}) + "\n" for text in sentences(300))
    document = {"file": "a.jsonl", "task": "sequence-classification", "columns": {"text": "t", "label": "l"}}
    assert refusal(tmp_path, document, labels.encode()).value == "0.5 in line 1"


@pytest.mark.parametrize(
    ("row", "found"),
    [
        (b"one,two,3\n", "3 fields in the row at line 402"),
        (b"one\n", "1 fields in the row at line 402"),
        (b'"never closed,1\n', "a quote that opens near line 402 and does not close"),
        (b'"closed" and more,1\n', "line 402: "),
        (b"a\rb,1\n", "carriage return"),
    ],
)
def test_a_row_that_csv_does_not_have_is_named(tmp_path, row, found):
    assert found in refusal(tmp_path, REVIEWS, reviews() + row).value


def test_a_quote_left_open_over_many_megabytes_is_found_without_holding_them(tmp_path):
    content = reviews() + b'"open,1\n' + b"x,1\n" * 5_000_000
    assert "a quote that opens near line 402" in refusal(tmp_path, REVIEWS, content).value


def test_a_row_without_an_end_is_refused(tmp_path):
    problem = refusal(tmp_path, PAIRS, b'{"from": "' + b"x" * 18_000_000)
    assert problem.value == "more than 16,777,216 characters in line 1"


def test_two_columns_of_one_name_are_refused(tmp_path):
    assert "twice in the header" in refusal(tmp_path, REVIEWS, b"review,stars,review\na,1,b\n").value


@pytest.mark.parametrize(
    ("changes", "field", "allowed"),
    [
        ({"file": "../x.csv"}, "file", "pattern"),
        ({"file": "x"}, "file", "pattern"),
        ({"file": "a..csv"}, "file", "pattern"),
        ({"file": "x.parquet"}, "file", ".csv, .tsv"),
        ({"task": "regression"}, "task", "sequence-classification"),
        ({"columns": None}, "columns", "text and label"),
        ({"columns": {"text": "review"}}, "columns", "text and label"),
        ({"columns": {"source": "review", "target": "stars"}}, "columns", "text and label"),
        ({"columns": {"words": "review"}}, "columns.words", "'text'"),
        ({"format": "xml"}, "format", "'csv'"),
        ({"format": "txt"}, "task", "language-model"),
        ({"vocabulary": {"kind": "word"}}, "vocabulary.kind", "'byte'"),
        ({"vocabulary": {"kind": "byte", "size": 300}}, "vocabulary.size", "no size"),
        ({"vocabulary": {"kind": "subword", "size": 258}}, "vocabulary.size", "259 to 32000"),
        ({"vocabulary": {"kind": "character", "size": 10**6}}, "vocabulary.size", "4 to 20000"),
        ({"colour": "blue"}, "colour", "no field of this name"),
    ],
)
def test_a_wrong_description_is_refused_by_its_field(changes, field, allowed):
    with pytest.raises(InvalidInput) as refused:
        validate(OwnData, {**REVIEWS, **changes}, "task.dataset")
    problem = next(p for p in refused.value.problems if p.field.startswith(f"task.dataset.{field}"))
    assert allowed in problem.allowed


def test_plain_text_has_no_columns():
    with pytest.raises(InvalidInput, match=r"columns.*plain text has none"):
        validate(OwnData, {**STORY, "columns": {"text": "a"}})


@pytest.mark.parametrize("name", ["", "a", ".csv", "a/b.csv", "a b.csv", "é.csv", "a.csv\n", "x" * 120 + ".csv"])
def test_a_name_that_could_mean_something_else_is_refused(name):
    with pytest.raises(InvalidInput, match="file"):
        check_file_name(name)
