"""Vocabularies: what goes in comes out, and the numbers are the documented ones."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nas.quality.datasets.vocabulary import END, PADDING, SPECIAL, UNKNOWN, ByteVocabulary, SymbolVocabulary

BYTES = ByteVocabulary()


@given(st.text())
def test_every_text_comes_back_from_its_bytes(text):
    assert BYTES.decode(BYTES.encode(text)) == text


@given(st.text(min_size=1))
def test_bytes_of_text_are_never_special_and_always_in_the_vocabulary(text):
    tokens = BYTES.encode(text)
    assert tokens.min() >= SPECIAL
    assert tokens.max() < BYTES.size
    assert len(tokens) == len(text.encode("utf-8"))


def test_the_numbers_of_bytes_are_those_of_byt5():
    assert BYTES.size == 259
    assert BYTES.encode("Aé").tolist() == [65 + 3, 0xC3 + 3, 0xA9 + 3]


def test_special_tokens_and_a_character_cut_in_two_decode_to_nothing():
    assert BYTES.decode(np.array([PADDING, *BYTES.encode("né")[:-1], END])) == "n"


@given(st.lists(st.sampled_from(["AA", "B", "CH"]), max_size=9))
def test_symbols_come_back_and_what_is_not_in_the_vocabulary_is_unknown(symbols):
    vocabulary = SymbolVocabulary(("AA", "B", "CH"))
    text = " ".join(symbols)
    assert vocabulary.size == 6
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert vocabulary.encode(f"{text} ZZ").tolist()[-1] == UNKNOWN


def test_without_a_separator_each_character_is_a_symbol():
    vocabulary = SymbolVocabulary(tuple("abc"), "")
    assert vocabulary.encode("cab!").tolist() == [5, 3, 4, UNKNOWN]
    assert vocabulary.decode([5, 3, 4, END]) == "cab"


def test_a_vocabulary_describes_itself_as_what_builds_it_anew():
    described = SymbolVocabulary(("AA", "B")).describe()
    assert described["special"] == {"padding": 0, "end": 1, "unknown": 2}
    anew = SymbolVocabulary(tuple(described["symbols"]), described["separator"])
    assert anew.encode("B AA").tolist() == [4, 3]
    assert BYTES.describe()["type"] == "bytes"
