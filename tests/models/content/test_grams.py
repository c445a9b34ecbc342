"""What can be counted in a text, and how it is weighed."""

from __future__ import annotations

import numpy as np

from motet.models.content.grams import counted, grams, learnt
from tests.models.planted import stored, texts


def test_words_their_pairs_and_their_pieces_are_grams() -> None:
    found = grams("The card")
    assert set(found) >= {"the", "card", "the card", "|th~", "card|~", "ard~"}
    assert len(found) == len(set(found)) == 2 + 1 + 6 + 9


def test_a_misspelt_word_shares_pieces_with_the_right_one() -> None:
    assert len(set(grams("transfer")) & set(grams("transferr"))) > 10
    assert not set(grams("transfer")) & set(grams("cash"))


def test_a_gram_of_one_text_only_is_not_learnt() -> None:
    state = stored(learnt(texts("my card", "my pin", None)))
    assert "my" in state["grams"]
    assert "card" not in state["grams"]


def test_rows_are_of_length_one_or_zero_where_no_gram_is_known() -> None:
    state = learnt(texts("my card", "my card is lost", "a pin", "the pin"))
    rows = counted(state, texts("my card", "zzz", None)).toarray()
    assert np.allclose(np.linalg.norm(rows, axis=1), [1, 0, 0])


def test_rare_grams_weigh_more() -> None:
    state = learnt(texts("my card", "my card", "my pin", "my pin", "my cash"))
    row = counted(state, texts("my pin")).toarray()[0]
    assert row[state["grams"].index("pin")] > row[state["grams"].index("my")]
