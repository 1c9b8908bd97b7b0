"""Looking at a file: what is told of its beginning, and of all of it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from own_files import pairs, reviews, story

from nas.errors import InvalidInput
from nas.quality.datasets.own.looking import look_at_beginning, survey


def test_the_beginning_tells_columns_and_rows_cut_short():
    content = b"text,label\n" + b"x" * 100 + b",1\nshort,2\n"
    found = look_at_beginning(content, "csv", whole=True)
    assert found["columns"] == ("text", "label")
    assert found["first_rows"] == ({"text": "x" * 79 + "…", "label": "1"}, {"text": "short", "label": "2"})
    assert look_at_beginning(story(), "txt", whole=True)["columns"] == ("text",)
    values = look_at_beginning(b'{"a": [1, "\xc3\xa9"], "b": null, "c": true}\n', "jsonl", whole=True)["first_rows"][0]
    assert values == {"a": '[1, "é"]', "b": "", "c": "true"}


@pytest.mark.parametrize(("content", "form"), [(reviews(), "csv"), (pairs(), "jsonl"), (story(), "txt")])
def test_wherever_the_beginning_is_cut_nothing_is_refused(content, form):
    whole = look_at_beginning(content, form, whole=True)
    for end in range(1, 400):
        found = look_at_beginning(content[:end], form, whole=False)
        if form != "txt":  # a few lines do not show whether blank ones part a text
            assert found["first_rows"] == whole["first_rows"][: len(found["first_rows"])]
    assert look_at_beginning(content[:5_000], form, whole=False) == whole


def test_a_survey_counts_values_and_lengths_of_every_column():
    found = survey([reviews()], "csv")
    assert found["rows"] == 400
    review, stars = found["columns"]
    assert (stars["filled"], stars["distinct"], stars["commonest"]) == (400, 3, {"1": 134, "2": 133, "3": 133})
    assert stars["length_percentiles"] == {"50": 1, "90": 1, "99": 1, "100": 1}
    assert review["distinct"] == 400
    lengths = [len(json.loads(line)["from"]) for line in pairs().splitlines()]
    column = survey([pairs()], "jsonl")["columns"][0]
    assert column["length_percentiles"] == {
        str(p): int(np.percentile(lengths, p, method="lower")) for p in (50, 90, 99, 100)
    }


def test_values_that_are_many_or_long_are_not_counted_one_by_one():
    many = survey([reviews(1_500)], "csv")["columns"][0]
    assert (many["distinct"], many["commonest"]) == (None, None)
    long = survey([b"a\n" + b"x" * 300 + b"\n"], "csv")["columns"][0]
    assert long["distinct"] is None


def test_columns_that_only_some_objects_have_are_surveyed_too():
    found = survey([b'{"a": "x"}\n{"a": null, "b": 1}\n'], "jsonl")
    assert [(column["name"], column["filled"]) for column in found["columns"]] == [("a", 1), ("b", 1)]


@pytest.mark.parametrize(
    "look", [lambda content: survey([content], "csv"), lambda c: look_at_beginning(c, "csv", whole=True)]
)
@pytest.mark.parametrize("content", [b"", b"a,b\n", bytes(100), b"a,b\n1\n"])
def test_what_is_no_table_is_refused(look, content):
    with pytest.raises(InvalidInput, match="file"):
        look(content)
