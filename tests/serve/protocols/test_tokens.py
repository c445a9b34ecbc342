"""Tokens that are reckoned: how many a text is, and how much of it so many hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.serve.protocols.tokens import BYTES, kept, reckoned


def test_four_bytes_are_a_token() -> None:
    assert [reckoned(text) for text in ("", "tea", "cups", "of tea", "é" * 4, "茶" * 4)] == [0, 1, 1, 2, 2, 3]
    assert reckoned("\ud800") == 1


@pytest.mark.parametrize(
    ("text", "tokens", "after", "found"),
    [
        ("a quiet evening", 4, "", "a quiet evening"),
        ("a quiet evening", 3, "", "a quiet"),
        ("quiet evening", 1, "", "quie"),  # no word ends in it
        ("tea time", 1, "", "tea"),
        ("time for tea", 1, "", "time"),
        (" evening", 3, "a quiet", ""),
        (" eve", 3, "a quiet", " eve"),
        ("\nnext line", 3, "a quiet", "\nnext"),
        ("茶茶", 1, "", "茶"),
        ("more", 1, "too long", ""),
    ],
)
def test_a_text_is_kept_up_to_the_end_of_a_word(text: str, tokens: int, after: str, found: str) -> None:
    assert kept(text, tokens, after) == found


@given(st.text(), st.integers(0, 20))
def test_what_is_kept_begins_the_text_and_fits(text: str, tokens: int) -> None:
    made = kept(text, tokens)
    assert text.startswith(made)
    assert len(made.encode()) <= tokens * BYTES
