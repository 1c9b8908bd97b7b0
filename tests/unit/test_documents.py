"""Documents from outside: what is read, what is refused, and how fast."""

import time

import pytest

from nas.documents import parse_document, to_yaml
from nas.errors import InvalidInput, TooLarge


def test_yaml_and_json_of_one_document_are_read_alike():
    assert parse_document("a: 1\nb: [x, 2.5]\n") == parse_document('{"a": 1, "b": ["x", 2.5]}')


def test_an_exponent_without_a_point_is_a_number():
    assert parse_document("limit: 5e6")["limit"] == 5e6


def test_what_is_written_as_yaml_is_read_back_equal():
    document = {"a": {"b": [1, 2.5, "x: y", None, True, "1e6", "null", "2026-01-01"]}, "c": "ü\n"}
    assert parse_document(to_yaml(document)) == document


@pytest.mark.parametrize(
    "text",
    [
        "a: &x [1]\nb: *x",
        "a: !!python/object/apply:os.system ['true']",
        "a: 1\na: 2",
        '{"a": 1, "a": 2}',
        "- 1\n- 2",
        "a: [1, 2",
        '{"a": 1',
        "",
        "a: .nan",
        '{"a": NaN}',
        '{"a": 1e999}',
        "a: " + "[" * 60 + "]" * 60,
        '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}",
        "1: x",
        "a: \x00",
    ],
)
def test_a_malformed_or_hostile_document_is_refused_with_a_reason(text):
    with pytest.raises(InvalidInput) as caught:
        parse_document(text)
    problem = caught.value.problems[0]
    assert problem.allowed
    assert problem.next_step


def test_an_alias_bomb_is_refused_at_once():
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    for previous, name in zip("abcdefgh", "bcdefghi", strict=True):
        bomb += f"{name}: &{name} [" + ", ".join([f"*{previous}"] * 9) + "]\n"
    started = time.perf_counter()
    with pytest.raises(InvalidInput):
        parse_document(bomb)
    assert time.perf_counter() - started < 1


def test_bytes_that_are_not_utf8_are_refused():
    with pytest.raises(InvalidInput, match="UTF-8"):
        parse_document(b"a: \xff\xfe")


def test_a_document_over_the_limit_is_refused_by_its_size():
    with pytest.raises(TooLarge, match="at most"):
        parse_document("a: " + "x" * 2_000_000)
