"""Text as ByT5's byte tokens."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nas.quality.datasets.byte_vocabulary import END, PADDING, VOCABULARY_SIZE, decode, encode


@given(st.text())
def test_every_text_comes_back_from_its_tokens(text):
    assert decode(encode(text)) == text


@given(st.text(min_size=1))
def test_tokens_of_text_are_never_special_and_always_in_the_vocabulary(text):
    tokens = encode(text)
    assert tokens.min() >= 3
    assert tokens.max() < VOCABULARY_SIZE
    assert len(tokens) == len(text.encode("utf-8"))


def test_the_numbers_are_those_of_byt5():
    assert VOCABULARY_SIZE == 259
    assert encode("Aé").tolist() == [65 + 3, 0xC3 + 3, 0xA9 + 3]


def test_special_tokens_and_a_character_cut_in_two_decode_to_nothing():
    assert decode(np.array([PADDING, *encode("né")[:-1], END])) == "n"
